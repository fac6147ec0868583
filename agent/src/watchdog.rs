//! The watchdog: somebody outside starts the machine again when the agent's loop stands still.
//! Either systemd, over the socket that it names, or the kernel's device. A thread tells them that
//! the agent lives, for as long as the loop has gone round lately, and not a moment longer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lazaret_protocol::time::Timestamp;

use crate::clock::Clock;

/// Between two words to the kernel's device, in milliseconds: drivers wait 30 to 60 s for one.
const DEVICE_MS: u64 = 5000;

/// Who is told, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// Nobody.
    Nobody,
    /// systemd, where it has asked for it.
    Systemd,
    /// The kernel's device of this path. Once it is open it stays on, over the agent's end.
    Device(PathBuf),
}

/// Says that the loop goes round.
#[derive(Debug, Clone, Default)]
pub struct Watchdog {
    lately: Option<Lately>,
}

#[derive(Debug, Clone)]
struct Lately {
    clock: Clock,
    at_ms: Arc<AtomicU64>,
}

/// Who is told, opened.
#[derive(Debug)]
enum Listener {
    Systemd(UnixDatagram),
    Device(File),
}

impl Watchdog {
    /// Begins to tell whoever watches, for as long as the loop is never silent for `stall_ms`.
    ///
    /// # Errors
    /// The socket or the device cannot be opened.
    #[expect(clippy::disallowed_methods, reason = "systemd speaks to its services in variables")]
    pub fn start(watch: &Watch, stall_ms: u64) -> io::Result<Self> {
        let (listener, every_ms) = match watch {
            Watch::Nobody => return Ok(Self::default()),
            Watch::Systemd => {
                let Some(listener) = systemd(std::env::var_os("NOTIFY_SOCKET"))? else {
                    return Ok(Self::default());
                };
                listener.tell(b"READY=1")?;
                let asked = std::env::var("WATCHDOG_USEC").ok();
                let Some(every_ms) = asked.and_then(|us| half_in_ms(&us)) else {
                    return Ok(Self::default());
                };
                (listener, every_ms)
            }
            Watch::Device(path) => {
                (Listener::Device(OpenOptions::new().write(true).open(path)?), DEVICE_MS)
            }
        };
        let clock = Clock::new(Timestamp::default());
        let lately = Lately { clock, at_ms: Arc::default() };
        let watched = lately.clone();
        thread::Builder::new().name("watchdog".into()).spawn(move || {
            // Whoever watches has been told too often to be forgotten: what cannot be told is lost.
            while watched.is_within(stall_ms) && listener.tell(b"WATCHDOG=1").is_ok() {
                thread::sleep(Duration::from_millis(every_ms));
            }
            tracing::error!("the watchdog is not told any more that this agent lives");
        })?;
        Ok(Self { lately: Some(lately) })
    }

    /// The loop goes round.
    pub fn alive(&self) {
        if let Some(lately) = &self.lately {
            lately.at_ms.store(lately.clock.monotonic_ms(), Ordering::Relaxed);
        }
    }
}

impl Lately {
    fn is_within(&self, stall_ms: u64) -> bool {
        let at = self.at_ms.load(Ordering::Relaxed);
        self.clock.monotonic_ms().saturating_sub(at) <= stall_ms
    }
}

impl Listener {
    fn tell(&self, words: &[u8]) -> io::Result<()> {
        match self {
            Self::Systemd(socket) => socket.send(words).map(drop),
            // Any byte will do, but for `V`, which would end the watch.
            Self::Device(device) => {
                let mut device: &File = device;
                device.write_all(b"\0")
            }
        }
    }
}

/// The socket of sd_notify(3): a path, or a name in the abstract namespace behind an `@`.
fn systemd(named: Option<std::ffi::OsString>) -> io::Result<Option<Listener>> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    let Some(name) = named.filter(|name| !name.is_empty()) else { return Ok(None) };
    let socket = UnixDatagram::unbound()?;
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => std::os::unix::net::SocketAddr::from_abstract_name(name)?,
        None => std::os::unix::net::SocketAddr::from_pathname(PathBuf::from(name))?,
    };
    socket.connect_addr(&address)?;
    Ok(Some(Listener::Systemd(socket)))
}

/// Twice as often as asked, as sd_watchdog_enabled(3) recommends.
fn half_in_ms(usec: &str) -> Option<u64> {
    usec.parse::<u64>().ok()?.checked_div(2000).filter(|ms| *ms > 0)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_over_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let there = UnixDatagram::bind(&path).unwrap();
        let listener = systemd(Some(path.into_os_string())).unwrap().unwrap();
        listener.tell(b"WATCHDOG=1").unwrap();
        let mut words = [0; 32];
        let got = there.recv(&mut words).unwrap();
        assert_eq!(&words[..got], b"WATCHDOG=1");
        assert!(systemd(None).unwrap().is_none());
        assert!(systemd(Some("/nowhere/notify".into())).is_err());
    }

    #[test]
    fn the_device_is_written_to_until_the_loop_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        std::fs::write(&path, "").unwrap();
        let watchdog = Watchdog::start(&Watch::Device(path.clone()), 60_000).unwrap();
        while std::fs::read(&path).unwrap() != b"\0" {
            crate::clock::sleep_ms(1);
        }
        let lately = watchdog.lately.as_ref().unwrap();
        watchdog.alive();
        assert!(lately.is_within(1000));
        crate::clock::sleep_ms(20);
        assert!(!lately.is_within(5));
        watchdog.alive();
        assert!(lately.is_within(1000));
    }

    #[test]
    fn nobody_is_told_where_nobody_asked() {
        assert!(Watchdog::start(&Watch::Nobody, 1000).unwrap().lately.is_none());
        assert!(Watchdog::start(&Watch::Device("/nowhere".into()), 1000).is_err());
        assert_eq!(half_in_ms("30000000"), Some(15_000));
        assert_eq!(half_in_ms("x"), None);
    }
}

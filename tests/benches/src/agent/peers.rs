//! Update clients of Debian, run as daemons with nobody who answers them, and looked at once they
//! are at rest. Whatever of one cannot be measured here is none.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::{file_bytes, which};

/// Until a daemon is at rest.
const SETTLING: Duration = Duration::from_secs(8);

/// What one client of Debian's costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Its program.
    pub(super) program_bytes: Option<f64>,
    /// The same with the libraries that it links, the C library aside.
    pub(super) linked_bytes: Option<f64>,
    /// Resident memory of all its processes, in bytes.
    pub(super) resident: Option<f64>,
    /// The part of it that counts as its own, in bytes.
    pub(super) own: Option<f64>,
}

/// How one is run: in a folder of its own, by its whole path.
type Run = fn(&Path, &Path) -> anyhow::Result<Running>;

const PEERS: [(&str, Run); 3] = [("rauc", rauc), ("swupdate", swupdate), ("mender", mender)];

pub(super) fn measure() -> Vec<Peer> {
    PEERS.iter().map(|(name, run)| one(name, *run)).collect()
}

fn one(name: &'static str, run: Run) -> Peer {
    let mut peer =
        Peer { name, program_bytes: None, linked_bytes: None, resident: None, own: None };
    let Some(program) = which(name) else { return peer };
    eprintln!("{name}");
    peer.program_bytes = file_bytes(&program).ok();
    peer.linked_bytes = linked(&program).ok();
    match at_rest(&program, run) {
        Ok((resident, own)) => (peer.resident, peer.own) = (Some(resident), Some(own)),
        Err(err) => eprintln!("{name} is not measured at rest: {err:#}"),
    }
    peer
}

fn at_rest(program: &Path, run: Run) -> anyhow::Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let mut running = run(folder.path(), program)?;
    #[allow(clippy::disallowed_methods, reason = "a daemon says nowhere that it is at rest")]
    std::thread::sleep(SETTLING);
    if let Some(status) = running.0.first_mut().context("no process")?.try_wait()? {
        let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let said = said.lines().last().unwrap_or_default().to_owned();
        anyhow::bail!("it ended with {status}: {said}");
    }
    let first = running.0.first().context("no process")?.id();
    let (mut resident, mut own) = (0.0, 0.0);
    for process in family(first) {
        let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        resident += kibibytes(&rollup, "Rss:")? * 1024.0;
        own += kibibytes(&rollup, "Pss:")? * 1024.0;
    }
    Ok((resident, own))
}

/// A daemon first, and what it needs; all are killed when this goes.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended by itself needs no killing. Children of swupdate end with it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn started(folder: &Path, command: &mut Command) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{command:?}"))
}

/// As a service on a bus of its own, with two slots that are files.
fn rauc(folder: &Path, program: &Path) -> anyhow::Result<Running> {
    let settings = "[system]\ncompatible=bench\nbootloader=noop\n\
                    [slot.rootfs.0]\ndevice=a\ntype=raw\nbootname=A\n\
                    [slot.rootfs.1]\ndevice=b\ntype=raw\nbootname=B\n";
    put(folder, "system.conf", settings)?;
    put(folder, "a", "")?;
    put(folder, "b", "")?;
    let address = format!("unix:path={}", folder.join("bus").display());
    let daemon = which("dbus-daemon").context("dbus-daemon is not installed")?;
    let mut bus = Command::new(daemon);
    bus.args(["--session", "--nofork", &format!("--address={address}")]);
    let bus = started(folder, &mut bus)?;
    #[allow(clippy::disallowed_methods, reason = "a bus says nowhere that it listens")]
    std::thread::sleep(Duration::from_secs(1));
    let mut command = Command::new(program);
    command.args(["--conf=system.conf", "--override-boot-slot=A", "service"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    Ok(Running(vec![started(folder, &mut command)?, bus]))
}

/// With its web server, as its daemon is usually run; Debian's wants a certificate to check images.
fn swupdate(folder: &Path, program: &Path) -> anyhow::Result<Running> {
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"]);
    make.args(["-out", "certificate.pem", "-days", "30", "-subj", "/CN=bench"]);
    let made = make.current_dir(folder).output()?;
    anyhow::ensure!(made.status.success(), "openssl makes no certificate");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut command = Command::new(program);
    command.args(["-k", "certificate.pem", "-w", &format!("-p {port} -r .")]);
    Ok(Running(vec![started(folder, &mut command)?]))
}

/// As a daemon whose server is away.
fn mender(folder: &Path, program: &Path) -> anyhow::Result<Running> {
    let settings = r#"{"ServerURL": "https://127.0.0.1:1", "TenantToken": "none",
        "UpdatePollIntervalSeconds": 60, "InventoryPollIntervalSeconds": 60,
        "RetryPollIntervalSeconds": 60, "RootfsPartA": "a", "RootfsPartB": "b"}"#;
    put(folder, "mender.conf", settings)?;
    std::fs::create_dir_all(folder.join("data"))?;
    put(folder, "data/device_type", "device_type=bench\n")?;
    let mut command = Command::new(program);
    command.args(["--config", "mender.conf", "--data", "data", "--no-syslog", "daemon"]);
    Ok(Running(vec![started(folder, &mut command)?]))
}

#[allow(clippy::disallowed_methods, reason = "a scratch folder of a benchmark")]
fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(folder.join(name), text)?)
}

/// A process and the children of it.
fn family(first: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|number| number.parse().ok());
    std::iter::once(first).chain(children).collect()
}

fn kibibytes(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.with_context(|| format!("no {name}"))?.split_whitespace().next();
    Ok(number.unwrap_or_default().parse()?)
}

/// The program and its libraries by the dynamic linker's word, without the C library's own: every
/// device has those, and a static program of ours has them in it.
fn linked(program: &Path) -> anyhow::Result<f64> {
    const C_LIBRARY: [&str; 6] = ["libc.", "libm.", "libdl.", "libpthread.", "librt.", "ld-linux"];
    let output = Command::new("ldd").arg(program).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut bytes = file_bytes(program)?;
    for library in said.lines().filter_map(|line| line.split("=> ").nth(1)) {
        let path = PathBuf::from(library.split(" (").next().unwrap_or_default());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !C_LIBRARY.iter().any(|own| name.starts_with(own)) {
            bytes += file_bytes(&path.canonicalize()?)?;
        }
    }
    Ok(bytes)
}

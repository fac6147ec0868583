//! A key or switch of the kernel's input layer (`gpio-keys` and alike): it queues what happens, so
//! that an opening between two looks is not missed. Read from `/dev/input/eventN`, record by record
//! (`struct input_event`: two longs of time, type, code, value).

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use lazaret_protocol_evidence::log::Detail;
use rustix::fs::OFlags;

use super::{Input, InputConfig, Seen};
use crate::clock::Clock;

/// Two longs of time.
const TIME_BYTES: usize = 2 * size_of::<usize>();

/// The whole record.
const EVENT_BYTES: usize = TIME_BYTES + 8;

/// `EV_KEY` and `EV_SW`.
const KEY: u16 = 1;
const SWITCH: u16 = 5;

/// Records that are read in one look.
const EVENTS_MAX: usize = 256;

#[derive(Debug)]
struct CaseSwitch {
    name: String,
    path: PathBuf,
    code: u64,
    file: Option<File>,
}

pub(super) fn make(config: &InputConfig, _: &Clock) -> Box<dyn Input> {
    let InputConfig { name, path, code, .. } = config.clone();
    Box::new(CaseSwitch { name, path, code, file: None })
}

impl Input for CaseSwitch {
    fn look(&mut self) -> Vec<Seen> {
        if self.file.is_none() {
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
            let opened = OpenOptions::new().read(true).custom_flags(flags).open(&self.path);
            self.file = opened.ok();
        }
        let Some(file) = &mut self.file else { return Vec::new() };
        let mut seen = Vec::new();
        let mut event = [0; EVENT_BYTES];
        for _ in 0..EVENTS_MAX {
            match file.read(&mut event) {
                Ok(EVENT_BYTES) => {}
                Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => break,
                Ok(_) => break,
                Err(_) => {
                    // The device is gone; it is opened again at the next look.
                    self.file = None;
                    break;
                }
            }
            if let Some(kind) = kind(&event, self.code) {
                let detail = Detail::none().text("input", &self.name);
                seen.push(Seen { kind, detail });
            }
        }
        seen
    }
}

fn kind(event: &[u8; EVENT_BYTES], wanted: u64) -> Option<&'static str> {
    let rest = event.get(TIME_BYTES..)?;
    let short = |at: usize| {
        let bytes = rest.get(at..at.saturating_add(2))?;
        Some(u16::from_ne_bytes(bytes.try_into().ok()?))
    };
    let value = i32::from_ne_bytes(rest.get(4..8)?.try_into().ok()?);
    let of_ours = matches!(short(0)?, KEY | SWITCH) && u64::from(short(2)?) == wanted;
    match value {
        _ if !of_ours => None,
        0 => Some("case-closed"),
        1 => Some("case-opened"),
        // A key that is held down repeats itself.
        _ => None,
    }
}

//! USB devices that come and go, as sysfs lists them, each with its vendor, product and serial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lazaret_protocol_evidence::log::Detail;

use super::{Input, InputConfig, Seen};
use crate::clock::Clock;

/// Devices that are looked at.
const DEVICES_MAX: usize = 1024;

/// Longest attribute of a device, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 128;

/// Attributes that tell one device from another: in sysfs, and in the log.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("idVendor", "vendor"),
    ("idProduct", "product"),
    ("serial", "serial"),
    ("product", "name"),
    ("bDeviceClass", "class"),
];

#[derive(Debug)]
struct Usb {
    path: PathBuf,
    known: Option<BTreeMap<String, Detail>>,
}

pub(super) fn make(config: &InputConfig, _: &Clock) -> Box<dyn Input> {
    Box::new(Usb { path: config.path.clone(), known: None })
}

impl Input for Usb {
    fn look(&mut self) -> Vec<Seen> {
        let found = list(&self.path);
        let before = self.known.replace(found.clone());
        let Some(before) = before else { return Vec::new() };
        // The same port with another device is both: one went, one came.
        let new = |(port, detail): &(&String, &Detail)| before.get(*port) != Some(*detail);
        let gone = |(port, detail): &(&String, &Detail)| found.get(*port) != Some(*detail);
        let said =
            |kind| move |(_, detail): (&String, &Detail)| Seen { kind, detail: detail.clone() };
        let gone = before.iter().filter(gone).map(said("usb-removed"));
        gone.chain(found.iter().filter(new).map(said("usb-inserted"))).collect()
    }
}

fn list(folder: &Path) -> BTreeMap<String, Detail> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let devices = entries.take(DEVICES_MAX).filter_map(|entry| {
        let port = entry.file_name().into_string().ok()?;
        // Interfaces of a device (`1-1:1.0`) come and go with it; they have no vendor.
        attribute(&entry.path(), "idVendor")?;
        let mut detail = Detail::none().text("port", &port);
        for (name, key) in ATTRIBUTES.iter().copied() {
            if let Some(text) = attribute(&entry.path(), name) {
                detail = detail.text(key, text);
            }
        }
        Some((port, detail))
    });
    devices.collect()
}

fn attribute(device: &Path, name: &str) -> Option<String> {
    let text = std::fs::read(device.join(name)).ok()?;
    let text =
        String::from_utf8_lossy(text.get(..ATTRIBUTE_BYTES_MAX).unwrap_or(&text)).into_owned();
    Some(text.trim().to_owned())
}

//! Evidence with real programs: what a device collected is opened and checked by tools that are not
//! ours, every change to it is named, and what the server keeps is kept, or said to be lost.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod custody;
#[path = "../server/disk.rs"]
mod disk;
mod full;
mod link;
mod stock;

/// Puts these bytes into a file.
fn put(path: impl AsRef<std::path::Path>, bytes: impl AsRef<[u8]>) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

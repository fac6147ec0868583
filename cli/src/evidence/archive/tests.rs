//! Archives as nobody's device makes them.

use super::*;
use crate::evidence::fixture::{Device, tar_of};
use std::io::Write as _;

fn read_bytes(bytes: &[u8]) -> Result<Bundle, ArchiveError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    read(file)
}

/// An entry whose header says whatever it is told to.
fn entry(name: &[u8], kind: EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn refusal(entries: &[Vec<u8>]) -> ArchiveError {
    let mut bytes = entries.concat();
    bytes.extend(end());
    read_bytes(&bytes).unwrap_err()
}

#[test]
fn a_bundle_is_read_with_every_digest() {
    let files = Device::new().bundle();
    let bundle = read_bytes(&tar_of(&files)).unwrap();
    for (name, bytes) in files.iter().filter(|(name, _)| !name.starts_with("artifacts/")) {
        assert_eq!(bundle.content.get(name), Some(bytes), "{name}");
    }
    let names: Vec<&str> = bundle.files.iter().map(|file| file.name.as_str()).collect();
    assert!(names.iter().eq(files.iter().map(|(name, _)| name)));
    let processes = bundle.files.iter().find(|file| file.name == "artifacts/processes").unwrap();
    assert_eq!(processes.sha256, Sha256Digest::of(b"1 init\n"));
    assert_eq!(processes.length, 7);
}

#[test]
fn paths_outside_a_bundle_are_refused() {
    let odd: [&[u8]; 9] = [
        b"/device.pem",
        b"../device.pem",
        b"artifacts/../../x",
        b"./device.pem",
        b"artifacts//x",
        b"artifacts/X",
        b"notes.txt",
        b"artifacts/\xff",
        b"",
    ];
    for name in odd {
        let refused = refusal(&[entry(name, EntryType::Regular, 0, b"")]);
        assert!(matches!(refused, ArchiveError::OddPath { .. }), "{name:?}: {refused}");
    }
}

#[test]
fn entries_that_are_no_files_are_refused() {
    for kind in b"123456LKxgSV" {
        let entry = entry(b"artifacts/a", EntryType::new(*kind), 0, b"");
        let refused = refusal(&[entry]);
        let kind = char::from(*kind);
        assert!(
            matches!(&refused, ArchiveError::NotAFile { kind: got, .. } if *got == kind),
            "{kind}: {refused}"
        );
    }
}

#[test]
fn a_file_that_is_there_twice_is_refused() {
    let twice = entry(b"device.pem", EntryType::Regular, 0, b"");
    let refused = refusal(&[twice.clone(), twice]);
    assert!(matches!(refused, ArchiveError::Twice { .. }), "{refused}");
}

#[test]
fn files_beyond_their_limits_are_refused_unread() {
    let limits: [(&[u8], u64); 4] = [
        (b"manifest.dsse.json", 64 * 1024),
        (b"device.pem", 64 * 1024),
        (b"SHA256SUMS", 1 << 20),
        (b"log/security/tile/entries/000", 2 << 20),
    ];
    for (name, limit) in limits {
        let refused = refusal(&[entry(name, EntryType::Regular, limit + 1, b"")]);
        assert!(
            matches!(refused, ArchiveError::FileTooLarge { max, .. } if max == limit),
            "{name:?}: {refused}"
        );
    }
    let vast = entry(b"artifacts/a", EntryType::Regular, BUNDLE_BYTES_MAX + 1, b"");
    assert!(matches!(refusal(&[vast]), ArchiveError::FileTooLarge { .. }));
}

#[test]
fn more_files_than_a_bundle_has_are_refused() {
    let many: Vec<Vec<u8>> = (0..=FILES_MAX)
        .map(|i| entry(format!("artifacts/a{i}").as_bytes(), EntryType::Regular, 0, b""))
        .collect();
    assert!(matches!(refusal(&many), ArchiveError::TooManyFiles));
}

#[test]
fn a_file_larger_than_any_bundle_is_refused_unread() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * BUNDLE_BYTES_MAX + 1).unwrap();
    assert!(matches!(read(file), Err(ArchiveError::TooLarge { .. })));
}

#[test]
fn an_archive_that_ends_within_a_file_is_refused() {
    let whole = entry(b"artifacts/a", EntryType::Regular, 600, &[7; 600]);
    let refused = read_bytes(&whole[..512 + 599]).unwrap_err();
    assert!(
        matches!(refused, ArchiveError::Truncated { expected: 600, got: 599, .. }),
        "{refused}"
    );
}

#[test]
fn bytes_that_no_file_owns_are_found() {
    let mut padded = entry(b"artifacts/a", EntryType::Regular, 1, b"x");
    padded[512 + 100] = b'!';
    assert!(matches!(refusal(&[padded]), ArchiveError::Hidden { .. }));
    let mut after = entry(b"artifacts/a", EntryType::Regular, 1, b"x");
    after.extend(end());
    after.extend(entry(b"artifacts/b", EntryType::Regular, 1, b"y"));
    assert!(matches!(refusal(&[after]), ArchiveError::Hidden { .. }));
}

#[test]
fn things_that_are_no_archive_are_refused() {
    for bytes in [&b"hello"[..], &[0x1f; 600], &[0xff; 2048]] {
        assert!(matches!(read_bytes(bytes), Err(ArchiveError::Unreadable(_))));
    }
    assert_eq!(read_bytes(b"").unwrap(), Bundle::default());
}

#[test]
fn any_changed_byte_of_an_archive_changes_what_is_read_or_is_refused() {
    // Times, modes and owners in headers are nobody's word and read by nobody: left out by
    // comparing what is read. A changed header fails its own sum.
    let bytes = tar_of(&Device::new().bundle());
    let before = read_bytes(&bytes).unwrap();
    for place in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        // A leading zero of a header's own sum may be a blank as well.
        if place % 512 == 148 && bytes[place] == b'0' {
            continue;
        }
        if let Ok(after) = read_bytes(&changed) {
            assert_ne!(after, before, "byte {place} can change unnoticed");
        }
    }
}

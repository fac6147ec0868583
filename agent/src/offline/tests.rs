//! A bundle with one odd entry is refused whole, and named.

use std::io::Write as _;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::offline::{MANIFEST_BYTES_MAX, OfflineFile};
use tar::{Builder, Header};

use super::*;

/// An entry: its name, type and content.
type Entry = (&'static str, EntryType, Vec<u8>);

fn plain(name: &'static str, content: &[u8]) -> Entry {
    (name, EntryType::Regular, content.to_vec())
}

fn good() -> Vec<Entry> {
    vec![plain("metadata/1.root.json", b"{}"), plain("targets/gw2/1.0/ab.image", b"image")]
}

fn manifest_of(entries: &[Entry]) -> OfflineManifest {
    let file = |(name, _, content): &Entry| OfflineFile {
        path: (*name).to_owned(),
        length: u64::try_from(content.len()).unwrap(),
        sha256: Sha256Digest::of(content),
    };
    OfflineManifest {
        format: BUNDLE_FORMAT.to_owned(),
        model: "gw2".parse().unwrap(),
        version: "1.0".parse().unwrap(),
        made: Timestamp::from_ms(1),
        fresh_until: Timestamp::from_ms(2),
        deltas_from: Vec::new(),
        files: entries.iter().map(file).collect(),
    }
}

/// The tar of these entries, names written as they are.
fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn with_manifest(entries: Vec<Entry>, manifest: &OfflineManifest) -> Vec<u8> {
    let manifest = plain(MANIFEST_PATH, &serde_json::to_vec(manifest).unwrap());
    tar_of(&[vec![manifest], entries].concat())
}

fn bundle(entries: Vec<Entry>) -> Vec<u8> {
    let manifest = manifest_of(&entries);
    with_manifest(entries, &manifest)
}

fn open(bytes: &[u8]) -> Result<OfflineBundle, BundleRefused> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    OfflineBundle::open_file(file.path())
}

#[test]
fn a_good_bundle_gives_its_files_and_no_others() {
    let bundle = open(&bundle(good())).unwrap();
    assert_eq!(bundle.read("metadata/1.root.json", 100).unwrap(), Some(b"{}".to_vec()));
    assert_eq!(bundle.read("metadata/1.root.json", 0).unwrap(), Some(b"{".to_vec()));
    assert_eq!(bundle.read("metadata/2.root.json", 100).unwrap(), None);
    let (_, _, length) = bundle.open("targets/gw2/1.0/ab.image").unwrap();
    assert_eq!(length, 5);
    assert!(bundle.open("targets/gw2/1.0/cd.image").is_err());
}

#[test]
fn an_entry_that_leads_out_of_the_bundle_or_is_no_file_refuses_the_whole() {
    use EntryType::{Block, Char, Directory, Fifo, GNUSparse, Link, Symlink, XHeader};
    let odd: Vec<Entry> = vec![
        plain("/etc/passwd", b"x"),
        plain("../passwd", b"x"),
        plain("targets/../../passwd", b"x"),
        plain("targets//a", b"x"),
        plain("metadata/a/b.json", b"x"),
        plain("elsewhere/a", b"x"),
        plain("targets/a b", b"x"),
        plain("metadata/1.root.json", b"{}"),
        ("targets/a", Symlink, Vec::new()),
        ("targets/a", Link, Vec::new()),
        ("targets/", Directory, Vec::new()),
        ("targets/a", Char, Vec::new()),
        ("targets/a", Block, Vec::new()),
        ("targets/a", Fifo, Vec::new()),
        ("targets/a", GNUSparse, Vec::new()),
        ("targets/a", XHeader, b"12 path=abc\n".to_vec()),
        ("targets/a", EntryType::GNULongName, vec![b'a'; 100_000]),
    ];
    for entry in odd {
        let name = entry.0;
        let refused = open(&bundle([good(), vec![entry]].concat()));
        assert!(matches!(refused, Err(BundleRefused::Odd { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn a_long_name_is_read_as_it_was_written() {
    let long = format!("targets/gw2/{}/{}.image", "v".repeat(64), "a".repeat(64));
    let mut tar = Builder::new(Vec::new());
    let mut manifest = manifest_of(&[]);
    let (path, length) = (long.clone(), 5);
    manifest.files.push(OfflineFile { path, length, sha256: Sha256Digest::of(b"image") });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    for (name, content) in [(MANIFEST_PATH, manifest.as_slice()), (&long, b"image")] {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap());
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    }
    let bundle = open(&tar.into_inner().unwrap()).unwrap();
    assert_eq!(bundle.read(&long, 100).unwrap(), Some(b"image".to_vec()));
}

#[test]
fn what_is_cut_off_or_carried_behind_refuses_the_whole() {
    let whole = bundle(good());
    for cut in [0, 1, 511, 512, 1000, whole.len() - 1024, whole.len() - 600] {
        assert!(open(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let behind = [whole.clone(), vec![1; 512]].concat();
    assert!(matches!(open(&behind), Err(BundleRefused::NotWhole { .. })));
    let padded = [whole.clone(), vec![0; 9 * 1024]].concat();
    assert!(open(&padded).is_ok(), "tar pads with zeros");
    let endless = [whole, vec![0; 64 * 1024]].concat();
    assert!(matches!(open(&endless), Err(BundleRefused::NotWhole { .. })));
}

#[test]
fn a_size_that_lies_refuses_the_whole() {
    let mut lying = bundle(good());
    // The size field of the second entry, in octal.
    let manifest = serde_json::to_vec(&manifest_of(&good())).unwrap().len().div_ceil(512) * 512;
    let at = 512 + manifest + 124;
    lying[at..at + 11].copy_from_slice(b"77777777777");
    assert!(open(&lying).is_err());
}

#[test]
fn a_manifest_that_is_missing_foreign_or_of_other_files_refuses_the_whole() {
    let refused = |bytes: Vec<u8>| {
        let refused = open(&bytes);
        assert!(matches!(refused, Err(BundleRefused::Manifest { .. })), "{refused:?}");
    };
    refused(tar_of(&good()));
    let of = |change: &dyn Fn(&mut OfflineManifest)| {
        let mut manifest = manifest_of(&good());
        change(&mut manifest);
        with_manifest(good(), &manifest)
    };
    refused(of(&|m| m.format = "lazaret-offline-2".into()));
    refused(of(&|m| m.files[0].length = 3));
    refused(of(&|m| m.files[0].path = "metadata/9.root.json".into()));
    refused(of(&|m| drop(m.files.pop())));
    refused(of(&|m| m.files.push(m.files[0].clone())));
    let large = usize::try_from(MANIFEST_BYTES_MAX).unwrap() + 1;
    let large = tar_of(&[vec![plain(MANIFEST_PATH, &vec![b' '; large])], good()].concat());
    assert!(matches!(open(&large), Err(BundleRefused::Odd { .. })));
}

#[test]
fn a_folder_and_a_file_that_is_not_there_are_said_to_be_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        let refused = OfflineBundle::open_file(&path);
        assert!(matches!(refused, Err(BundleRefused::Unreadable { .. })), "{refused:?}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = bundle(good());
    let mut state = 1_u32;
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = usize::try_from(state >> 8).unwrap() % bytes.len();
            bytes[at] ^= u8::try_from(state % 255).unwrap();
        }
        // Refused or not, it comes to an end.
        let _ = open(&bytes);
    }
}

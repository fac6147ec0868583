//! A tree is as its archive says or not there at all, and no archive reaches out of it.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "all of this is a test")]

use std::ops::ControlFlow;

use tar::{Builder, Header};

use super::*;
use crate::durable::crash::Recorder;

/// What an entry is made of: its name, kind, target and content.
type Entry<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

fn header((name, kind, to, content): &Entry<'_>) -> Header {
    let mut header = Header::new_gnu();
    // Past the checks of the maker of archives, as a hostile one would.
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name.as_bytes());
    gnu.linkname[..to.len()].copy_from_slice(to.as_bytes());
    header.set_entry_type(*kind);
    header.set_mode(0o4755);
    header.set_size(u64::try_from(content.len()).unwrap());
    header.set_cksum();
    header
}

fn archive(entries: &[Entry<'_>]) -> (tempfile::TempDir, File, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let mut builder = Builder::new(File::create(&path).unwrap());
    for entry in entries {
        builder.append(&header(entry), entry.3).unwrap();
    }
    builder.finish().unwrap();
    drop(builder);
    let file = File::open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    (folder, file, length)
}

fn refusal(entries: &[Entry<'_>]) -> &'static str {
    let (folder, file, length) = archive(entries);
    let tree = folder.path().join("tree");
    match unpack(&file, length, &tree, &Durable::default()) {
        Err(TreeError::Refused { why, .. }) => {
            assert!(!tree.exists() && !beside(&tree, ".new").exists(), "{why}: it left something");
            why
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const NAME: EntryType = EntryType::Link;

#[test]
fn a_tree_is_what_its_archive_says() {
    let (folder, file, length) = archive(&[
        ("./", FOLDER, "", b""),
        ("bin/", FOLDER, "", b""),
        ("bin/app", FILE, "", b"program"),
        ("lib/deep/data", FILE, "", b"data"),
        ("bin/also", NAME, "bin/app", b""),
        ("bin/data", LINK, "../lib/deep/data", b""),
        ("current", LINK, "./bin", b""),
    ]);
    let tree = folder.path().join("tree");
    for _ in 0..2 {
        unpack(&file, length, &tree, &Durable::default()).unwrap();
        assert_eq!(fs::read(tree.join("current/app")).unwrap(), b"program");
        assert_eq!(fs::read(tree.join("bin/also")).unwrap(), b"program");
        assert_eq!(fs::read(tree.join("bin/data")).unwrap(), b"data");
        let mode = fs::metadata(tree.join("bin/app")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "nothing runs as somebody else");
        fs::write(tree.join("left over"), b"x").unwrap();
    }
    unpack(&file, length, &tree, &Durable::default()).unwrap();
    assert!(!tree.join("left over").exists(), "a tree takes the place of the one before");
}

#[test]
fn one_bad_entry_refuses_the_whole_archive() {
    let good: Entry<'_> = ("good", FILE, "", b"x");
    for (bad, why) in [
        (("../out", FILE, "", b"x".as_slice()), "its name leads out of the tree"),
        (("a/../../out", FILE, "", b"x"), "its name leads out of the tree"),
        (("/etc/passwd", FILE, "", b"x"), "its name is absolute"),
        (("", FILE, "", b"x"), "it has no name"),
        (("good", FILE, "", b"y"), "its name comes twice"),
        (("./good", FILE, "", b"y"), "its name comes twice"),
        (("good/below", FILE, "", b"y"), "it lies in something that is no folder"),
        (("link", LINK, "/etc", b""), "it leads out of the tree"),
        (("link", LINK, "..", b""), "it leads out of the tree"),
        (("a/link", LINK, "../../x", b""), "it leads out of the tree"),
        (("a/link", LINK, "b/../../..", b""), "it leads out of the tree"),
        (("link", LINK, "", b""), "its target is no name"),
        (("link", NAME, "/etc/passwd", b""), "its name is absolute"),
        (("link", NAME, "later", b""), "it is another name of a file that did not come before it"),
        (("null", EntryType::Char, "", b""), "devices and pipes are not unpacked"),
        (("disk", EntryType::Block, "", b""), "devices and pipes are not unpacked"),
        (("pipe", EntryType::Fifo, "", b""), "devices and pipes are not unpacked"),
        (("part", EntryType::Continuous, "", b""), "entries of this kind are not unpacked"),
    ] {
        assert_eq!(refusal(&[good, bad]), why, "{bad:?}");
    }
    // A file may not be written through a link that came before it, nor a folder become a link.
    let link: Entry<'_> = ("link", LINK, "good", b"");
    let through = refusal(&[good, link, ("link/x", FILE, "", b"y")]);
    assert_eq!(through, "it lies in something that is no folder");
    let turned = refusal(&[("a/x", FILE, "", b"y"), ("a", LINK, "good", b"")]);
    assert_eq!(turned, "something lies in it, and it is no folder");
    let deep = "d/".repeat(49);
    let (first, second) = (format!("{deep}x"), deep.clone());
    assert_eq!(
        refusal(&[good, (&first, FILE, "", b""), (&second, LINK, "x", b"")]),
        "something lies in it, and it is no folder"
    );
}

#[test]
fn a_description_that_is_too_long_is_not_taken_into_memory() {
    let name = vec![b'n'; 80_000];
    let long: Entry<'_> = ("././@LongLink", EntryType::GNULongName, "", &name);
    assert_eq!(refusal(&[long, ("x", FILE, "", b"")]), "its description is too long");
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    fs::write(&path, [b'x'; 2048]).unwrap();
    let tree = folder.path().join("tree");
    let refused = unpack(&File::open(&path).unwrap(), 2048, &tree, &Durable::default());
    assert!(matches!(refused, Err(TreeError::Archive(_))), "{refused:?}");
    // An archive that ends amid an entry is none either.
    let (_folder, file, length) = archive(&[("a", FILE, "", &[b'x'; 5000])]);
    let refused = unpack(&file, length - 4096, &tree, &Durable::default());
    assert!(matches!(refused, Err(TreeError::Archive(_))), "{refused:?}");
    assert!(!tree.exists());
}

#[test]
fn wherever_the_power_goes_there_is_the_old_tree_the_new_one_or_none() {
    let (folder, old, old_length) = archive(&[("a", FILE, "", b"old"), ("b/c", FILE, "", b"old")]);
    let slot = folder.path().join("slot");
    fs::create_dir(&slot).unwrap();
    let tree = slot.join("tree");
    let (_folder, new, length) = archive(&[("a", FILE, "", b"new"), ("b/c", FILE, "", b"new")]);
    let wrong = |without: Option<usize>| {
        unpack(&old, old_length, &tree, &Durable::default()).unwrap();
        let recorder = Recorder::new(&slot);
        unpack(&new, length, &tree, &recorder.durable()).unwrap();
        let recording = recorder.end();
        let syncs = recording.syncs();
        let mut wrong = Vec::new();
        let states = recording.crashes(without.map(|number| syncs[number].0), |crash, model| {
            let content = |name: &str| crash.file(name).map(<[u8]>::to_vec);
            let found = (content("tree/a"), content("tree/b/c"));
            let whole = |text: &[u8]| found == (Some(text.to_vec()), Some(text.to_vec()));
            let none = !crash.names.contains_key(Path::new("tree"));
            if !(whole(b"old") || whole(b"new") || none) {
                wrong.push(format!("after {}: {found:?}", crash.after));
            }
            // What a step has promised about the tree's own name.
            wrong.extend(model.broken(crash).into_iter().filter(|what| what.starts_with("tree:")));
            ControlFlow::Continue(())
        });
        (wrong, states, syncs)
    };
    let (found, states, syncs) = wrong(None);
    assert!(found.is_empty(), "{found:?}");
    println!("{states} crash states of an unpacked tree, none wrong");
    for (number, (_, what)) in syncs.iter().enumerate() {
        assert!(!wrong(Some(number)).0.is_empty(), "nobody misses {what}");
    }
    assert!(states > 10, "only {states} states");
}

//! Files held against a list: what differs is found, and the content of nothing else is taken.

use std::os::unix::fs::symlink;

use lazaret_protocol_evidence::manifest::ArtifactStatus;

use super::super::tests::World;
use super::super::{Collected, collect};
use super::*;

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::durable::Durable::default()
        .write(path, bytes, crate::durable::Access::Owner, "anchors")
        .unwrap();
}

/// The two artifacts of a release's files.
fn collected(world: &mut World) -> Vec<Collected> {
    world.profile.artifacts = vec!["files.txt".into(), "changed-files.tar".into()];
    collect(&world.scene())
}

fn text(collected: &Collected) -> String {
    String::from_utf8(collected.bytes.clone()).unwrap()
}

/// The files of the archive.
fn taken(collected: &Collected) -> Vec<(String, Vec<u8>)> {
    let mut archive = Archive::new(collected.bytes.as_slice());
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.push((name, bytes));
    }
    files
}

#[test]
fn what_differs_from_a_list_is_named_and_only_its_content_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    put(&root.join("bin/same"), b"as released");
    put(&root.join("bin/changed"), b"other bytes");
    put(&root.join("bin/added"), b"a tool of somebody");
    put(&root.join("bin/host.key"), b"secret");
    let list = folder.path().join("list");
    let line = |bytes: &[u8], name: &str| format!("{}  {name}\n", Sha256Digest::of(bytes));
    let lines = [
        line(b"as released", "bin/same"),
        line(b"as it was", "./bin/changed"),
        line(b"gone", "/bin/missing"),
    ];
    put(&list, lines.concat().as_bytes());
    let settings =
        format!("release_files = {list:?}\nrelease_root = {root:?}\nwatched_paths = [{root:?}]\n");
    let mut world = World::new(&settings);
    let found = collected(&mut world);
    let said = text(&found[0]);
    for (how, name) in
        [("changed", "bin/changed"), ("missing", "bin/missing"), ("added", "bin/added")]
    {
        let line = said.lines().find(|line| line.ends_with(name));
        assert!(line.is_some_and(|line| line.starts_with(how)), "{name}: {said}");
    }
    assert!(!said.contains("bin/same"), "{said}");
    let names: Vec<String> = taken(&found[1]).into_iter().map(|(name, _)| name).collect();
    let ends: Vec<bool> =
        names.iter().map(|name| name.ends_with("changed") || name.ends_with("added")).collect();
    assert_eq!(ends, [true, true], "{names:?}");
    assert_eq!(found[1].status, ArtifactStatus::Partial);
    assert!(found[1].reason.as_deref().unwrap().contains("1 files are withheld"));
    assert_eq!(collected(&mut world)[1].bytes, found[1].bytes, "the same files, the same bytes");
    // What is too large for the budget is left out, and that is said.
    world.profile.limits.artifact_bytes_max = 4000;
    let found = collected(&mut world);
    assert!(found[1].reason.as_deref().unwrap().contains("have no room"), "{found:?}");
}

#[test]
fn without_a_list_every_watched_file_is_hashed_and_none_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("a"), b"a");
    symlink("/etc/passwd", folder.path().join("link")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    assert!(made.unwrap().success());
    let mut world = World::new(&format!("watched_paths = [{:?}]\n", folder.path()));
    let found = collected(&mut world);
    let said = text(&found[0]);
    assert!(said.contains(&Sha256Digest::of(b"a").to_string()), "{said}");
    assert!(said.starts_with("held against: no list"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("unlisted")).count(), 3, "{said}");
    assert_eq!(taken(&found[1]), []);
    let body = String::from_utf8(body(&world.scene())).unwrap();
    assert_eq!(body.lines().count(), 3);
    assert!(body.lines().all(|line| line.split('|').count() == 11), "{body}");
}

#[test]
fn a_tree_is_held_against_the_image_that_was_signed_and_a_changed_image_is_no_list() {
    let mut world = World::new("slot_content = \"tree\"\n");
    let folder = tempfile::tempdir().unwrap();
    world.config.slots.folder = folder.path().to_owned();
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in [("bin/same", b"same".as_slice()), ("bin/changed", b"as signed")] {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o755);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let image = tar.into_inner().unwrap();
    let (path, root) = (folder.path().join("a/image"), folder.path().join("a/tree"));
    put(&path, &image);
    put(&root.join("bin/same"), b"same");
    put(&root.join("bin/changed"), b"as somebody wants it");
    let listed = of_archive(&path, (Sha256Digest::of(&image), u64::try_from(image.len()).unwrap()));
    let files = listed.unwrap();
    assert_eq!(files.len(), 2);
    let list = List { words: "the image".into(), files, places: vec![root.clone()], root };
    let survey = held_against(&world.scene(), list);
    let differ: Vec<How> = survey.differ.iter().map(|it| it.how).collect();
    assert_eq!((differ, survey.hashed), (vec![How::Changed], 2));
    let refused = of_archive(&path, (Sha256Digest::of(b"another"), u64::MAX));
    assert!(refused.unwrap_err().contains("is not what was signed"));
}

#[test]
fn a_list_of_another_form_is_no_list() {
    assert!(of_sums(b"zz  a\n").is_err());
    assert!(of_sums(format!("{}  ../a\n", Sha256Digest::of(b"")).as_bytes()).is_err());
    let both = format!("{0}  a\n{0} *b\n", Sha256Digest::of(b""));
    assert_eq!(of_sums(both.as_bytes()).unwrap().len(), 2);
}

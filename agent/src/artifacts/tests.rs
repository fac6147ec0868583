//! The contract of every artifact, and what single ones keep in or out.

use std::path::Path;

use lazaret_protocol_evidence::manifest::ArtifactName;

use super::*;
use crate::durable::Durable;
use crate::slots::{BOOTLOADERS, SlotSettings};

#[test]
fn every_artifact_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let slots =
        BOOTLOADERS[0].1(&SlotSettings::directory(folder.path()), Durable::default()).unwrap();
    let text = "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
                state_dir = \"s\"\nslots_dir = \"s\"\n\
                model = \"m\"\nserial = \"s\"\nallow_software_keys = true\n";
    let config = Config::parse(text, Path::new("/")).unwrap();
    let journal = Journal::fresh();
    let scene = Scene { journal: &journal, slots: slots.as_ref(), config: &config };
    for (name, collect) in ARTIFACTS {
        assert!(name.parse::<ArtifactName>().is_ok(), "{name} is no artifact name");
        match collect(&scene) {
            Ok(bytes) => assert!(!bytes.is_empty() && bytes.len() <= ARTIFACT_BYTES_MAX, "{name}"),
            // What containers and who is not root may not read; it says why.
            Err(why) => {
                assert!(
                    ["kernel-log.txt", "crashes.txt"].contains(name) && !why.is_empty(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn this_process_is_in_the_list_and_its_secrets_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let slots =
        BOOTLOADERS[0].1(&SlotSettings::directory(folder.path()), Durable::default()).unwrap();
    let text = "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
                state_dir = \"s\"\nslots_dir = \"s\"\n\
                model = \"m\"\nserial = \"s\"\nallow_software_keys = true\n";
    let config = Config::parse(text, Path::new("/")).unwrap();
    let journal = Journal::fresh();
    let scene = Scene { journal: &journal, slots: slots.as_ref(), config: &config };
    let list = String::from_utf8(processes::processes(&scene).unwrap()).unwrap();
    let own = format!("\n{}\t", std::process::id());
    assert!(list.contains(&own), "{list}");
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let long = cut(vec![b'x'; ARTIFACT_BYTES_MAX + 1]);
    assert_eq!(long.len(), ARTIFACT_BYTES_MAX);
    assert!(long.ends_with(b"its limit]\n"));
    assert_eq!(cut(vec![b'x'; ARTIFACT_BYTES_MAX]), vec![b'x'; ARTIFACT_BYTES_MAX]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_note_and_all_of_them_a_failure() {
    let bytes = together(&["/proc/version", "/nowhere"]).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("/nowhere cannot be read"));
    assert!(together(&["/nowhere"]).is_err());
}

#[test]
fn secrets_in_arguments_and_settings_are_taken_out_and_that_is_said() {
    let lines = [
        ("mount -o password=hunter2 /mnt", "mount -o password=[redacted: 7 bytes] /mnt"),
        ("curl --token abc https://a", "curl --token [redacted: 3 bytes] https://a"),
        ("export API_KEY=k", "export API_KEY=[redacted: 1 bytes]"),
        ("secret: value rest", "secret: [redacted: 5 bytes] rest"),
        ("sshd -D", "sshd -D"),
        ("passwd -l root", "passwd -l root"),
    ];
    for (line, expected) in lines {
        assert_eq!(redacted(line), expected);
    }
}

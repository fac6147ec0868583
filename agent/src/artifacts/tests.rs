//! The contract of every artifact, and what single ones keep in or out.

use std::path::Path;

use lazaret_protocol_evidence::manifest::ArtifactName;

use super::*;
use crate::clock::Clock;
use crate::durable::Durable;
use crate::slots::{BOOTLOADERS, SlotSettings};

/// What artifacts look at on this machine, with a profile.
pub(super) struct World {
    _folder: tempfile::TempDir,
    pub(super) slots: Box<dyn Bootloader>,
    pub(super) config: Config,
    pub(super) journal: Journal,
    pub(super) profile: Profile,
    pub(super) wanted: Wanted,
    pub(super) room: Option<u64>,
}

impl World {
    pub(super) fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let slots =
            BOOTLOADERS[0].1(&SlotSettings::directory(folder.path()), Durable::default()).unwrap();
        let text = format!(
            "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
             state_dir = \"s\"\nslots_dir = \"s\"\n\
             model = \"m\"\nserial = \"s\"\nallow_software_keys = true\n{settings}"
        );
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let (journal, wanted) = (Journal::fresh(), Wanted::default());
        let profile = Profile::find(&config.profiles, None).unwrap();
        Self { _folder: folder, slots, config, journal, profile, wanted, room: None }
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        let clock = Clock::new(Timestamp::from_ms(0));
        Scene {
            journal: &self.journal,
            slots: self.slots.as_ref(),
            config: &self.config,
            profile: &self.profile,
            wanted: &self.wanted,
            now: clock.now(),
            budget: Budget::begin(clock, self.profile.limits, self.room),
            survey: OnceCell::new(),
        }
    }
}

#[test]
fn every_artifact_keeps_the_contract() {
    let world = World::new("");
    let scene = world.scene();
    for (name, collect) in ARTIFACTS {
        assert!(name.parse::<ArtifactName>().is_ok(), "{name} is no artifact name");
        match collect(&scene) {
            // Those that may be larger ask the budget how large.
            Ok(bytes) => assert!(!bytes.is_empty() && bytes.len() <= 16 << 20, "{name}"),
            // What containers and who is not root may not read; it says why.
            Err(why) => {
                assert!(
                    ["kernel-log.txt", "journal.txt"].contains(name) && !why.is_empty(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn this_process_is_in_the_list_and_its_secrets_are_not() {
    let world = World::new("");
    let scene = world.scene();
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
        assert_eq!(redacted(line, &[]), expected);
    }
    let own = ["imei".to_owned()];
    assert_eq!(redacted("modem IMEI=35", &own), "modem IMEI=[redacted: 2 bytes]");
}

#[test]
fn a_used_up_budget_ends_artifacts_with_the_reason_and_stops_none_of_the_others() {
    let mut world = World::new("");
    world.profile.artifacts = vec!["processes.txt".into(), "users.txt".into(), "slots.json".into()];
    let whole = collect(&world.scene());
    assert!(whole.iter().all(|it| it.status == ArtifactStatus::Collected), "{whole:?}");
    world.profile.limits.artifact_bytes_max = 100;
    let cut = collect(&world.scene());
    assert_eq!(cut.len(), 3);
    assert_eq!((cut[0].status, cut[0].bytes.len()), (ArtifactStatus::Partial, 100));
    assert_eq!(cut[0].reason.as_deref(), Some("cut after 100 bytes, its limit"));
    world.profile.limits.bytes_max = 100;
    let used_up = collect(&world.scene());
    assert_eq!(used_up[1].status, ArtifactStatus::Failed);
    assert_eq!(used_up[1].reason.as_deref(), Some("the collection's 100 bytes are used up"));
    world.profile.limits = Profile::find(&[], None).unwrap().limits;
    world.room = Some(50);
    let full = collect(&world.scene());
    assert!(full[2].reason.as_deref().unwrap().contains("the disk has room for 50 bytes"));
    world.room = None;
    world.profile.limits.time_ms_max = 0;
    let late = collect(&world.scene());
    assert!(late.iter().all(|it| it.status == ArtifactStatus::Failed));
    assert_eq!(late[0].reason.as_deref(), Some("the collection's time of 0 s is used up"));
}

//! A repository's people and their folders: a ceremony held once through `lazaret-keys`, and
//! releases signed by its holders on top of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys::commands::payload::Release;
use lazaret_repo_keys::commands::{assemble, ceremony, payload, sign};
use lazaret_repo_keys::session::{Session, Voice};
use lazaret_repo_keys_signing::OnlineKeys;
use lazaret_repo_keys_signing::durable::{self, Access};

use crate::Files;

/// The moment of the ceremony, and the present of most tests.
pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub(super) struct House {
    folder: tempfile::TempDir,
}

/// The one ceremony of this test run: alice, bob and carol, two of whom must sign, for gw2 and gw3.
pub(super) fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("pass"), b"a long passphrase\n");
        let house = House { folder };
        let args = ceremony::Ceremony {
            out: house.path("repo"),
            holders: ["alice", "bob", "carol"].map(|name| name.parse().unwrap()).to_vec(),
            threshold: 2,
            models: ["gw2", "gw3"].map(|name| name.parse().unwrap()).to_vec(),
            name: "Acme".to_owned(),
            responders: Vec::new(),
            approvers: Vec::new(),
            approver_threshold: 2,
        };
        ceremony::run(&house.session(now()), &args).unwrap();
        house
    })
}

pub(super) fn write(path: &Path, bytes: &[u8]) {
    durable::write_new(path, bytes, Access::Public).unwrap();
}

pub(super) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The first version of a release, or one that follows `previous`.
pub(super) struct Wanted<'a> {
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) counter: u64,
    pub(super) image: &'a [u8],
    pub(super) previous: Option<&'a (String, Vec<u8>)>,
}

impl House {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn session(&self, now: Timestamp) -> Session {
        Session {
            voice: Voice::Quiet,
            now,
            transcript: Some(self.path("transcript.txt")),
            passphrase_file: Some(self.path("pass")),
            pin_fd: None,
        }
    }

    pub(super) fn keys(&self) -> OnlineKeys {
        OnlineKeys::load(&self.path("repo/online")).unwrap()
    }

    pub(super) fn holder(&self, name: &str) -> PathBuf {
        self.path(&format!("repo/holders/{name}.pub"))
    }

    /// `1.root.json` and `1.targets.json`.
    pub(super) fn founding(&self) -> Vec<(String, Vec<u8>)> {
        ["1.root.json", "1.targets.json"]
            .map(|name| (name.to_owned(), read(&self.path("repo/metadata").join(name))))
            .to_vec()
    }

    /// A release signed by alice and bob.
    pub(super) fn release(&self, wanted: &Wanted<'_>) -> (String, Vec<u8>) {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        write(&at("image"), wanted.image);
        let previous = wanted.previous.map(|(name, bytes)| {
            write(&at(name), bytes);
            at(name)
        });
        let args = Release {
            model: wanted.model.parse().unwrap(),
            version: wanted.version.parse().unwrap(),
            image: at("image"),
            counter: wanted.counter,
            floor: None,
            needs: None,
            schedule: None,
            salt: None,
            previous: previous.clone(),
            keep_releases: 4,
            expires_days: 120,
            out: at("payload"),
        };
        let session = self.session(now());
        payload::run(&session, &payload::Command::Release(args)).unwrap();
        let image = format!("{}/{}={}", wanted.model, wanted.version, at("image").display());
        let targets = Some(self.path("repo/metadata/1.targets.json"));
        let trusted = (previous, None, targets);
        self.sign(&at("payload"), &["alice", "bob"], trusted, &[image.parse().unwrap()])
    }

    /// Has `holders` sign a payload, and assembles it. `trusted` is the last version, root and
    /// targets.
    pub(super) fn sign(
        &self,
        payload: &Path,
        holders: &[&str],
        trusted: (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>),
        images: &[sign::ImageArg],
    ) -> (String, Vec<u8>) {
        let (previous, root, targets) = trusted;
        let work = tempfile::tempdir().unwrap();
        let mut signatures = Vec::new();
        for holder in holders {
            let args = sign::Sign {
                payload: payload.to_path_buf(),
                key: self.path(&format!("repo/holders/{holder}.key")).display().to_string().into(),
                previous: previous.clone(),
                root: root.clone(),
                targets: targets.clone(),
                images: images.to_vec(),
                releases: Vec::new(),
                out: work.path().join(format!("{holder}.sig")),
            };
            sign::run(&self.session(now()), &args).unwrap();
            signatures.push(args.out);
        }
        let args = assemble::Assemble {
            payload: payload.to_path_buf(),
            signatures,
            root,
            targets,
            out_dir: work.path().join("out"),
        };
        let path = assemble::run(&self.session(now()), &args).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))
    }

    /// Digests of the anchors and of `more`.
    pub(super) fn known(&self, more: &[&[u8]]) -> BTreeSet<Sha256Digest> {
        let anchors = read(&self.path("repo/anchors.json"));
        let more = more.iter().map(|bytes| Sha256Digest::of(bytes));
        more.chain([Sha256Digest::of(&anchors)]).collect()
    }
}

/// The repository after the ceremony and the first release of gw2, activated.
pub(super) fn published(first: &(String, Vec<u8>)) -> Files {
    let house = house();
    let mut new = house.founding();
    new.push(first.clone());
    let made = crate::activate(&Files::default(), new, None, &house.keys(), now()).unwrap();
    Files::default().with(made.files)
}

pub(super) fn first_release() -> &'static (String, Vec<u8>) {
    static FIRST: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    FIRST.get_or_init(|| {
        house().release(&Wanted {
            model: "gw2",
            version: "1.0",
            counter: 1,
            image: b"image one",
            previous: None,
        })
    })
}

pub(super) fn second_release() -> &'static (String, Vec<u8>) {
    static SECOND: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    SECOND.get_or_init(|| {
        house().release(&Wanted {
            model: "gw2",
            version: "2.0",
            counter: 2,
            image: b"image two",
            previous: Some(first_release()),
        })
    })
}

//! Keys come and go, and what depends on them is signed again in the same activation.

use std::path::{Path, PathBuf};

use lazaret_repo_keys::commands::payload::{self, ModelArg};
use lazaret_repo_keys::commands::{key, online, sign};
use lazaret_repo_keys_signing::OnlineKeys;
use lazaret_repo_keys_signing::metadata::{Signature, assemble};

use super::house::{Wanted, first_release, house, now, published, read, write};
use super::readers::Device;
use crate::{PublishError, activate, offline_keys, second_reader};

struct Rotation {
    folder: tempfile::TempDir,
}

impl Rotation {
    fn new() -> Self {
        let rotation = Self { folder: tempfile::tempdir().unwrap() };
        let out = rotation.path("online");
        online::create(&house().session(now()), &online::Create { out }).unwrap();
        rotation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keys(&self) -> OnlineKeys {
        OnlineKeys::load(&self.path("online")).unwrap()
    }

    /// Root version 2 with the new server keys, signed by alice and bob.
    fn root(&self, holders: &[&str]) -> (String, Vec<u8>) {
        let house = house();
        let previous = house.path("repo/metadata/1.root.json");
        let args = payload::Root {
            holder_keys: holders.iter().map(|name| house.holder(name)).collect(),
            threshold: 2,
            targets_keys: Vec::new(),
            targets_threshold: None,
            online: self.path("online/online.pub.json"),
            previous: Some(previous.clone()),
            expires_days: 365,
            out: self.path("root.payload"),
        };
        payload::root(&house.session(now()), &args).unwrap();
        let trusted = (Some(previous.clone()), Some(previous), None);
        house.sign(&args.out, &["alice", "bob"], trusted, &[])
    }

    /// Targets version 2 for `models`, with the deltas key of `online`.
    fn targets(&self, root: &(String, Vec<u8>), says: (&[&str], &Path)) -> (String, Vec<u8>) {
        let house = house();
        let (models, online) = says;
        let people = ["alice", "bob", "carol"].map(|name| house.holder(name)).to_vec();
        let model = |name: &str| ModelArg {
            model: name.parse().unwrap(),
            keys: people.clone(),
            threshold: 2,
        };
        let previous = house.path("repo/metadata/1.targets.json");
        let args = payload::Targets {
            anchors: house.path("repo/anchors.json"),
            models: models.iter().map(|name| model(name)).collect(),
            emergency: None,
            online: online.to_path_buf(),
            previous: Some(previous.clone()),
            expires_days: 180,
            out: self.path("targets.payload"),
        };
        payload::targets(&house.session(now()), &args).unwrap();
        write(&self.path(&root.0), &root.1);
        let trusted = (Some(previous), Some(self.path(&root.0)), None);
        house.sign(&args.out, &["alice", "bob"], trusted, &[])
    }
}

#[tokio::test]
async fn new_server_keys_sign_everything_of_theirs_again_at_once() {
    let current = published(first_release());
    let rotation = Rotation::new();
    let root = rotation.root(&["alice", "bob", "carol"]);
    let online = rotation.path("online/online.pub.json");
    let targets = rotation.targets(&root, (&["gw2", "gw3"], &online));
    let new = vec![root, targets];
    let old_keys = activate(&current, new.clone(), None, &house().keys(), now()).unwrap_err();
    assert!(matches!(old_keys, PublishError::NotSignedBy { .. }), "{old_keys:?}");

    let made = activate(&current, new, None, &rotation.keys(), now()).unwrap();
    let names: Vec<_> = made.files.iter().map(|(name, _)| name.as_str()).collect();
    let wanted =
        ["2.root.json", "2.targets.json", "2.deltas.json", "2.snapshot.json", "timestamp.json"];
    assert_eq!(names, wanted);
    let all = current.clone().with(made.files);
    second_reader(&all, &house().known(&[b"image one"]), now()).await.unwrap();
    let mut device = Device::new();
    device.find(&current, "gw2/1.0/image").unwrap();
    device.find(&all, "gw2/1.0/image").unwrap();
}

/// The snapshot goes on listing what it listed once, or devices take it for a rollback (TUF 5.5.5).
#[test]
fn a_model_that_is_dropped_does_not_stop_the_others() {
    let house = house();
    let gw3 = house.release(&Wanted {
        model: "gw3",
        version: "1.0",
        counter: 1,
        image: b"image three",
        previous: None,
    });
    let keys = house.keys();
    let before = published(first_release());
    let made = activate(&before, vec![gw3], None, &keys, now()).unwrap();
    let before = before.with(made.files);
    let mut device = Device::new();
    device.find(&before, "gw3/1.0/image").unwrap();

    let rotation = Rotation::new();
    let root = house.founding().remove(0);
    let online = house.path("repo/online/online.pub.json");
    let targets = rotation.targets(&root, (&["gw2"], &online));
    let made = activate(&before, vec![targets], None, &keys, now()).unwrap();
    let after = before.with(made.files);
    device.find(&after, "gw2/1.0/image").unwrap();
    device.find(&after, "gw3/1.0/image").unwrap_err();
}

#[test]
fn a_root_that_drops_targets_holders_needs_targets_signed_again_with_it() {
    let current = published(first_release());
    let rotation = Rotation::new();
    let house = house();
    let key_path = house.path("repo/holders/dora.key");
    if !key_path.exists() {
        let args = key::Create {
            holder: "dora".parse().unwrap(),
            out: key_path,
            pkcs11: None,
            algorithm: None,
        };
        key::create(&house.session(now()), &args).unwrap();
    }
    // alice and bob signed targets version 1; with bob and alice gone from it, its threshold is not
    // met.
    let args = payload::Root {
        holder_keys: ["alice", "bob", "carol"].map(|name| house.holder(name)).to_vec(),
        threshold: 2,
        targets_keys: ["carol", "dora"].map(|name| house.holder(name)).to_vec(),
        targets_threshold: Some(2),
        online: house.path("repo/online/online.pub.json"),
        previous: Some(house.path("repo/metadata/1.root.json")),
        expires_days: 365,
        out: rotation.path("root.payload"),
    };
    payload::root(&house.session(now()), &args).unwrap();
    let previous = args.previous.clone();
    let trusted = (previous.clone(), previous, None);
    let root = house.sign(&args.out, &["alice", "bob"], trusted, &[]);
    let refused = activate(&current, vec![root], None, &house.keys(), now()).unwrap_err();
    assert!(
        matches!(refused, PublishError::ThresholdNotMet { ref role, .. } if role == "targets"),
        "{refused:?}"
    );
}

/// dora and eve would be root, and reach their own threshold; nobody of the last root agrees.
#[test]
fn a_root_that_only_its_own_new_holders_signed_is_refused() {
    let current = published(first_release());
    let rotation = Rotation::new();
    let house = house();
    let mut session = house.session(now());
    session.transcript = Some(rotation.path("transcript.txt"));
    for name in ["dora", "eve"] {
        let out = rotation.path(&format!("{name}.key"));
        key::create(
            &session,
            &key::Create { holder: name.parse().unwrap(), out, pkcs11: None, algorithm: None },
        )
        .unwrap();
    }
    let previous = house.path("repo/metadata/1.root.json");
    let args = payload::Root {
        holder_keys: ["dora.pub", "eve.pub"].map(|name| rotation.path(name)).to_vec(),
        threshold: 2,
        targets_keys: Vec::new(),
        targets_threshold: None,
        online: rotation.path("online/online.pub.json"),
        previous: Some(previous.clone()),
        expires_days: 365,
        out: rotation.path("root.payload"),
    };
    payload::root(&session, &args).unwrap();
    let signatures = ["dora", "eve"].map(|name| {
        let out = rotation.path(&format!("{name}.sig"));
        let args = sign::Sign {
            payload: args.out.clone(),
            key: rotation.path(&format!("{name}.key")).display().to_string().into(),
            previous: Some(previous.clone()),
            root: None,
            targets: None,
            images: Vec::new(),
            releases: Vec::new(),
            out: out.clone(),
        };
        sign::run(&session, &args).unwrap();
        let file: sign::SignatureFile = serde_json::from_slice(&read(&out)).unwrap();
        Signature { keyid: file.keyid, sig: hex::decode(file.sig).unwrap() }
    });
    let forged = assemble(&read(&args.out), &signatures);
    let refused = crate::check_upload(&current, "2.root.json", &forged, now()).unwrap_err();
    assert!(matches!(refused, PublishError::ThresholdNotMet { valid: 0, .. }), "{refused:?}");
}

#[test]
fn every_offline_key_is_known_to_be_one() {
    let house = house();
    let offline = offline_keys(&published(first_release())).unwrap();
    for name in ["alice", "bob", "carol"] {
        let public: lazaret_repo_keys_signing::HolderPublic =
            serde_json::from_slice(&read(&house.holder(name))).unwrap();
        assert!(offline.contains(&public.key), "{name}");
    }
    assert!(house.keys().refuse_offline(&offline).is_ok());
}

//! tough, and our own client, read what is published.

use super::delta;
use super::house::{Wanted, first_release, house, now, published, second_release};
use crate::{Files, PublishError, activate, second_reader};
use lazaret_protocol::target::ImageCustom;
use lazaret_protocol::time::DAY_MS;
use lazaret_protocol_tuf::{
    Change, Floors, Limits, Machine, Refresh, Stored, Supplied, Target, TufError, Want,
};
use lazaret_repo_keys_signing::OnlineRole;
use lazaret_repo_keys_signing::metadata::{Document, Signature, assemble, make};
use std::collections::BTreeMap;
use tough::schema::Targets;

fn second() -> Files {
    let current = published(first_release());
    let new = vec![second_release().clone()];
    let deltas = Some(vec![delta(b"image two")]);
    let made = activate(&current, new, deltas, &house().keys(), now()).unwrap();
    current.with(made.files)
}

#[tokio::test]
async fn tough_reads_the_first_and_the_second_release() {
    let known = house().known(&[b"image one", b"image two", b"delta"]);
    second_reader(&published(first_release()), &known, now()).await.unwrap();
    second_reader(&second(), &known, now()).await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_at_hand_is_named() {
    let known = house().known(&[b"image one", b"image two"]);
    let refused = second_reader(&second(), &known, now()).await.unwrap_err();
    let PublishError::TargetMissing { name, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(name, "gw2/2.0/from-1.0.delta");
}

#[tokio::test]
async fn a_repository_with_an_expired_timestamp_is_refused() {
    let known = house().known(&[b"image one"]);
    let late = now().plus_ms(3 * DAY_MS);
    let refused = second_reader(&published(first_release()), &known, late).await.unwrap_err();
    assert!(matches!(refused, PublishError::Expired { ref role, .. } if role == "timestamp"));
}

/// The timestamp says the snapshot's version and nothing of its bytes: those answer for themselves.
#[tokio::test]
async fn a_snapshot_that_was_changed_or_swapped_is_refused() {
    let known = house().known(&[b"image one", b"image two", b"delta"]);
    let older = published(first_release()).0["1.snapshot.json"].clone();
    let mut changed = second().0["2.snapshot.json"].clone();
    let at = changed.windows(9).position(|nine| nine == b"\"version\"").unwrap();
    changed[at + 10] ^= 1;
    for bad in [older, changed] {
        let mut all = second();
        all.0.insert("2.snapshot.json".to_owned(), bad);
        let refused = second_reader(&all, &known, now()).await.unwrap_err();
        assert!(matches!(refused, PublishError::SecondReaderRefused(_)), "{refused:?}");
    }
}

/// tough stops looking at the first delegated role without a file, gw2 here, and says nothing.
#[tokio::test]
async fn a_model_without_a_release_does_not_hide_the_faults_of_those_behind_it() {
    let house = house();
    let gw3 = house.release(&Wanted {
        model: "gw3",
        version: "1.0",
        counter: 1,
        image: b"image three",
        previous: None,
    });
    let mut all = published(&gw3);
    let known = house.known(&[b"image three"]);
    second_reader(&all, &known, now()).await.unwrap();

    let deltas = Document::<Targets>::parse(all.named("1.deltas.json").unwrap()).unwrap();
    let keys = house.keys();
    let keyid = make::key_id("deltas", &keys.role_public(OnlineRole::Deltas)).unwrap();
    let sig = keys.sign(OnlineRole::Snapshot, &deltas.payload);
    let forged = assemble(&deltas.payload, &[Signature { keyid, sig }]);
    all.0.insert("1.deltas.json".to_owned(), forged);
    let refused = second_reader(&all, &known, now()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            PublishError::SecondReaderRefusedRole { ref role, .. } if role == "deltas"
        ),
        "{refused:?}"
    );
}

/// A device with our own client: what it stores, and its floors.
pub(super) struct Device {
    files: BTreeMap<String, Vec<u8>>,
    floors: Floors,
}

impl Device {
    /// As it leaves the factory.
    pub(super) fn new() -> Self {
        let root = house().founding().remove(0).1;
        let files = BTreeMap::from([("root.json".to_owned(), root)]);
        Self { files, floors: Floors::default() }
    }

    /// Refreshes from `served` and looks for a target.
    pub(super) fn find(&mut self, served: &Files, name: &str) -> Result<Target, TufError> {
        let stored = Stored::from_files(self.files.clone()).unwrap();
        let floors = self.floors.clone();
        let mut refresh = Refresh::begin(stored, floors, now(), Limits::default())?;
        self.drive(&mut refresh, served)?;
        let mut trusted = refresh.finish()?;
        let mut search = trusted.find(name);
        self.drive(&mut search, served)?;
        search.finish()
    }

    fn drive(&mut self, machine: &mut impl Machine, served: &Files) -> Result<(), TufError> {
        let mut outcome = Ok(());
        while let Want::File(wanted) = machine.next() {
            let supplied = match served.named(&wanted.name) {
                Some(bytes) => Supplied::Bytes(bytes.to_vec()),
                None => Supplied::Missing,
            };
            outcome = machine.supply(supplied);
        }
        for change in machine.keep() {
            match change {
                Change::Write { file, bytes } => self.files.insert(file, bytes),
                other => self.files.remove(other.file()),
            };
        }
        self.floors = machine.floors();
        outcome
    }
}

#[test]
fn our_own_client_reads_what_tough_reads() {
    let mut device = Device::new();
    let first = published(first_release());
    let image = device.find(&first, "gw2/1.0/image").unwrap();
    image.check_bytes(b"image one").unwrap();
    let custom: ImageCustom = serde_json::from_value(image.custom).unwrap();
    assert_eq!((custom.counter, custom.floor, custom.model.as_str()), (1, 0, "gw2"));

    let second = second();
    let image = device.find(&second, "gw2/2.0/image").unwrap();
    image.check_bytes(b"image two").unwrap();
    let found = device.find(&second, "gw2/2.0/from-1.0.delta").unwrap();
    assert_eq!(found.role, "deltas");
    let digest = delta(b"image two").sha256;
    assert_eq!(found.wire_path, format!("gw2/2.0/{digest}.from-1.0.delta"));
    device.find(&second, "trust/anchors").unwrap();
    device.find(&second, "gw2/3.0/image").unwrap_err();
    // What was served before is a rollback now.
    device.find(&first, "gw2/1.0/image").unwrap_err();
}

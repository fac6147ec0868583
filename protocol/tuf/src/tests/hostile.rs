//! Properties: whatever a mirror serves, nothing panics and nothing becomes trusted that was not
//! signed.

use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::device::Device;
use super::repository::Repository;

/// A repository with a target `t` of a delegated role.
fn honest() -> Repository {
    let mut repository = Repository::new();
    repository.delegate("targets", "a", &["*"], false);
    repository.add_target("a", "t", b"content");
    repository.rotate("root");
    repository.publish_all();
    repository
}

const FILES: [&str; 5] =
    ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "2.a.json"];

/// Changes that a mirror may make to a file.
#[derive(Debug, Clone)]
enum Change {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Swap(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => index().prop_map(Change::Cut),
        2 => (index(), "[\\[\\]{}\",:0-9a-z ]{1,4}").prop_map(|(at, text)| {
            Change::Insert(at, text.into_bytes())
        }),
        1 => index().prop_map(Change::Swap),
    ]
}

fn apply(repository: &mut Repository, file: &str, change: &Change) {
    let mut bytes = repository.files[file].clone();
    match change {
        Change::Flip(at, bits) => {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Change::Insert(at, text) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, text.iter().copied());
        }
        Change::Swap(with) => {
            let names: Vec<&String> = repository.files.keys().collect();
            bytes = repository.files[names[with.index(names.len())]].clone();
        }
    }
    repository.files.insert(file.into(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changed_metadata_yields_the_signed_target_or_an_error(
        changes in prop::collection::vec((0..FILES.len(), change()), 1..3),
    ) {
        let mut repository = honest();
        let expected = Device::new(&repository).find(&repository, "t").unwrap();
        let mut device = Device::new(&repository);
        for (file, change) in &changes {
            apply(&mut repository, FILES[*file], change);
        }
        if let Ok(found) = device.find(&repository, "t") {
            prop_assert_eq!(found, expected);
        }
        // What was kept on the way is whole, and leads on once the mirror is honest again.
        let repository = honest();
        prop_assert!(device.find(&repository, "t").is_ok());
    }

    #[test]
    fn random_bytes_are_refused_as_any_file(
        file in 0..FILES.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut repository = honest();
        repository.files.insert(FILES[file].into(), bytes);
        let mut device = Device::new(&repository);
        prop_assert!(device.find(&repository, "t").is_err());
    }

    #[test]
    fn random_bytes_on_the_disk_are_refused(
        role in prop::sample::select(alloc::vec!["root", "timestamp", "snapshot", "targets", "a"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let repository = honest();
        let mut device = Device::new(&repository);
        device.find(&repository, "t").unwrap();
        device.disk.insert(crate::local_name(role), bytes);
        prop_assert_eq!(device.find(&repository, "t").unwrap_err().code(), "tuf-stored-corrupt");
    }
}

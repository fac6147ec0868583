//! A repository made by python-tuf 7.0.0: ed25519 and ECDSA keys, thresholds of two, a rotated
//! root, unknown fields, both hashes, quoted role names, hash prefixes and succinct roles.

use alloc::collections::BTreeMap;
use alloc::string::ToString as _;

use serde_json::{Value, json};

use super::device::Device;
use super::repository::Repository;
use crate::error::TufError;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        BTreeMap::from([$((
            $name.to_string(),
            include_bytes!(concat!("python-tuf-7.0.0/", $name)).to_vec(),
        )),*])
    };
}

fn made_by_python() -> Repository {
    let mut repository = Repository::new();
    repository.files = files![
        "1.root.json",
        "2.root.json",
        "timestamp.json",
        "1.snapshot.json",
        "1.targets.json",
        "1.A%20%C3%A9%2F%3F.json",
        "1.bins.json",
        "1.bin-0.json",
        "1.bin-1.json",
        "1.bin-2.json",
        "1.bin-3.json",
    ];
    repository
}

#[test]
fn what_python_tuf_signs_is_read() {
    let repository = made_by_python();
    let mut device = Device::new(&repository);
    let mut trusted = device.refresh(&repository).unwrap();
    let mut find = |name: &str| device.search(&mut trusted, &repository, name).unwrap();
    let top = find("dir/top file");
    assert_eq!(top.check_bytes(b"top"), Ok(()));
    assert!(top.hashes.sha256.is_some() && top.hashes.sha512.is_some());
    assert_eq!(top.custom, json!({"n": 7}));
    let zip = find("a/b.zip");
    assert_eq!((zip.role.as_str(), zip.check_bytes(b"zip")), ("A é/?", Ok(())));
    let binned = find("some/where");
    assert!(binned.role.starts_with("bin-"));
    assert_eq!(binned.check_bytes(b"binned"), Ok(()));
    assert_eq!(device.versions(), [2, 1, 1, 1]);
}

#[test]
fn one_signature_fewer_than_python_tuf_made_is_refused() {
    for (file, role, needed) in [("2.root.json", "root", 2), ("timestamp.json", "timestamp", 1)] {
        let mut repository = made_by_python();
        let mut value: Value = serde_json::from_slice(&repository.files[file]).unwrap();
        value["signatures"].as_array_mut().unwrap().pop();
        repository.files.insert(file.into(), serde_json::to_vec(&value).unwrap());
        let err = Device::new(&repository).refresh(&repository).unwrap_err();
        let got = needed - 1;
        assert_eq!(err, TufError::ThresholdNotMet { role: role.into(), needed, got });
    }
}

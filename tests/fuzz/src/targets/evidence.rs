//! What a device's evidence is made of: written by a device that may be hostile, or changed on the
//! way, and read by the responder's tools.

use std::collections::BTreeMap;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::age::Header;
use lazaret_protocol_evidence::bundle::{FileFound, Parts, Signer, verify};
use lazaret_protocol_evidence::device_log::base::Base;
use lazaret_protocol_evidence::manifest::Manifest;
use lazaret_protocol_evidence::sums;
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};

use crate::signer;

/// Parts the manifest from the sums and the entries of a log.
const PARTED_BY: u8 = 0xff;

/// What is small: the header of an encrypted file, the beginning of a pruned log, and the sums.
pub(crate) fn log(input: &[u8]) {
    if let Ok(base) = Base::parse(input) {
        assert_eq!(base.to_bytes(), input, "a base has one form");
    }
    if let Ok(header) = Header::parse(input) {
        assert!(header.authenticated < header.length, "the MAC is within the header");
    }
    if let Ok(read) = sums::parse(input) {
        let lines = input.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(read.len(), lines, "a path for every line");
    }
}

pub(crate) fn bundle(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == PARTED_BY);
    let manifest = parts.next().unwrap_or_default();
    let rest: Vec<&[u8]> = parts.collect();
    read_bundle(manifest, &rest);
    // The same as the device's own statement.
    let sealed = signer::envelope("application/vnd.in-toto+json", manifest);
    let sealed = lazaret_protocol::canonical::to_bytes(&sealed).unwrap_or_default();
    read_bundle(&sealed, &rest);
}

fn read_bundle(manifest: &[u8], rest: &[&[u8]]) {
    let key = signer::public_key();
    if let Ok(manifest) = Manifest::open(manifest, &key) {
        let _files = manifest.files();
    }
    let at = |text| Timestamp::parse_rfc3339(text).expect("a date");
    let signer = Signer {
        device: "d-1".parse().expect("a device id"),
        key,
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2027-01-01T00:00:00Z"),
    };
    let names = ["SHA256SUMS", "log/security/checkpoint"];
    let mut content: BTreeMap<String, Vec<u8>> =
        names.iter().zip(rest).map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    content.insert("manifest.dsse.json".to_owned(), manifest.to_vec());
    let found = |(name, bytes): (&String, &Vec<u8>)| FileFound {
        name: name.clone(),
        sha256: Sha256Digest::of(bytes),
        length: bytes.len() as u64,
    };
    let files: Vec<FileFound> = content.iter().map(found).collect();
    let parts = Parts { content: &content, files: &files, signer: Ok(signer), witnesses: &[] };
    let verdict = verify(&parts);
    assert!(!verdict.holds(), "a bundle without a log holds");
}

pub(crate) fn log_seeds() -> Vec<Vec<u8>> {
    let mut before = Edge::new();
    for number in 0..256_u64 {
        let _full = before.push(leaf_hash(&number.to_be_bytes()));
    }
    let base = Base { before, epoch: b"epoch".to_vec() }.to_bytes();
    let header = b"age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n".to_vec();
    let digest = Sha256Digest::of(b"a");
    vec![base, header, sums::write([("device.pem", digest)]).into_bytes()]
}

pub(crate) fn bundle_seeds() -> Vec<Vec<u8>> {
    let sums = log_seeds().pop().unwrap_or_default();
    vec![[b"{}".as_slice(), &sums].join(&PARTED_BY)]
}

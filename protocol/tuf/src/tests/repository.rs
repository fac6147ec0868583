//! A repository that signs whatever a test wants, honest or not, and serves it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use ed25519_dalek::Signer as _;
use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use p256::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};

use crate::machine::{Presence, Supplied, WantedFile};

/// Later than any test's clock that is meant to be right.
pub(super) const EXPIRES: &str = "2030-01-01T00:00:00Z";
/// Before any test's clock that is meant to be right.
pub(super) const EXPIRED: &str = "2025-01-01T00:00:00Z";

#[derive(Clone)]
pub(super) enum SecretKey {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

/// A key under a key id.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: SecretKey,
}

impl Key {
    pub(super) fn ed25519(seed: u16) -> Self {
        let mut bytes = [0x5a; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        Self::named(SecretKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&bytes)))
    }

    pub(super) fn p256(seed: u8) -> Self {
        Self::named(SecretKey::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap()))
    }

    fn named(secret: SecretKey) -> Self {
        let mut key = Self { id: String::new(), secret };
        key.id = Sha256Digest::of(&canonical::value_to_bytes(&key.public()).unwrap()).to_string();
        key
    }

    pub(super) fn public(&self) -> Value {
        match &self.secret {
            SecretKey::Ed25519(key) => json!({
                "keytype": "ed25519", "scheme": "ed25519",
                "keyval": {"public": hex::encode(key.verifying_key().as_bytes())},
            }),
            SecretKey::P256(key) => {
                let public = p256::PublicKey::from(key.verifying_key());
                let pem = public.to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
                json!({
                    "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256",
                    "keyval": {"public": pem},
                })
            }
        }
    }

    pub(super) fn sign(&self, signed: &Value) -> Value {
        let message = canonical::value_to_bytes(signed).unwrap();
        let signature = match &self.secret {
            SecretKey::Ed25519(key) => key.sign(&message).to_bytes().to_vec(),
            SecretKey::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&message);
                signature.to_der().as_bytes().to_vec()
            }
        };
        json!({"keyid": self.id, "sig": hex::encode(signature)})
    }
}

/// A metadata file of `signed` with those keys' signatures.
pub(super) fn file(signed: &Value, keys: &[Key]) -> Vec<u8> {
    let signatures: Vec<Value> = keys.iter().map(|key| key.sign(signed)).collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": signed})).unwrap()
}

pub(super) struct Repository {
    /// What is signed, by role. Tests edit it before they publish.
    pub(super) signed: BTreeMap<String, Value>,
    /// Who signs, by role.
    pub(super) keys: BTreeMap<String, Vec<Key>>,
    /// What is served, by name on the wire.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Whether snapshot and timestamp list lengths and hashes.
    pub(super) hashes: bool,
    /// What was asked for.
    pub(super) asked: RefCell<Vec<String>>,
    key_count: u16,
}

impl Repository {
    /// One key per role, version 1 of everything, no targets.
    pub(super) fn new() -> Self {
        let mut new = Self {
            signed: BTreeMap::new(),
            keys: BTreeMap::new(),
            files: BTreeMap::new(),
            hashes: false,
            asked: RefCell::default(),
            key_count: 0,
        };
        new.signed.insert(
            "root".into(),
            json!({
                "_type": "root", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
                "consistent_snapshot": true, "keys": {}, "roles": {},
            }),
        );
        for role in ["root", "timestamp", "snapshot", "targets"] {
            let key = new.new_key();
            new.set_keys(role, vec![key], 1);
        }
        new.signed.insert("targets".into(), empty_targets());
        for role in ["timestamp", "snapshot"] {
            new.signed.insert(
                role.into(),
                json!({
                    "_type": role, "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
                    "meta": {},
                }),
            );
        }
        for role in ["root", "targets", "snapshot", "timestamp"] {
            new.write(role);
        }
        new
    }

    pub(super) fn new_key(&mut self) -> Key {
        self.key_count += 1;
        Key::ed25519(self.key_count)
    }

    /// Says in (unpublished) root who may sign for a top-level role.
    pub(super) fn set_keys(&mut self, role: &str, keys: Vec<Key>, threshold: u64) {
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let root = self.signed.get_mut("root").unwrap();
        root["roles"][role] = json!({"keyids": ids, "threshold": threshold});
        for key in &keys {
            root["keys"][&key.id] = key.public();
        }
        self.keys.insert(role.into(), keys);
    }

    /// Gives a top-level role a new key in place of its own, and publishes the root that says so.
    pub(super) fn rotate(&mut self, role: &str) {
        let before = self.keys["root"].clone();
        let key = self.new_key();
        self.set_keys(role, vec![key], 1);
        self.publish_root(&before);
    }

    /// Publishes the next root, signed by those keys and its own.
    pub(super) fn publish_root(&mut self, before: &[Key]) {
        let root = self.signed.get_mut("root").unwrap();
        root["version"] = json!(root["version"].as_u64().unwrap() + 1);
        let mut signers = before.to_vec();
        signers.extend(self.keys["root"].clone());
        signers.sort_by(|a, b| a.id.cmp(&b.id));
        signers.dedup_by(|a, b| a.id == b.id);
        let bytes = file(&self.signed["root"], &signers);
        self.files.insert(format!("{}.root.json", self.version("root")), bytes);
    }

    pub(super) fn version(&self, role: &str) -> u64 {
        self.signed[role]["version"].as_u64().unwrap()
    }

    pub(super) fn set(&mut self, role: &str, field: &str, value: Value) {
        self.signed.get_mut(role).unwrap()[field] = value;
    }

    /// Signs and serves a role as it is, without a new version.
    pub(super) fn write(&mut self, role: &str) {
        match role {
            "snapshot" => self.list_roles(),
            "timestamp" => {
                let listed = self.listed("snapshot");
                self.set("timestamp", "meta", json!({"snapshot.json": listed}));
            }
            _ => {}
        }
        self.write_as_is(role);
    }

    /// As [`write`](Self::write), with `meta` as the test left it.
    pub(super) fn write_as_is(&mut self, role: &str) {
        let bytes = file(&self.signed[role], &self.keys[role]);
        self.files.insert(self.wire_name(role), bytes);
    }

    fn list_roles(&mut self) {
        let top = ["root", "timestamp", "snapshot"];
        let roles: Vec<String> =
            self.signed.keys().filter(|role| !top.contains(&role.as_str())).cloned().collect();
        let mut meta = json!({});
        for role in roles {
            meta[format!("{role}.json")] = self.listed(&role);
        }
        self.set("snapshot", "meta", meta);
    }

    fn listed(&self, role: &str) -> Value {
        let mut listed = json!({"version": self.version(role)});
        if let Some(bytes) = self.files.get(&self.wire_name(role)).filter(|_| self.hashes) {
            listed["length"] = json!(bytes.len());
            listed["hashes"] = json!({"sha256": Sha256Digest::of(bytes).to_string()});
        }
        listed
    }

    pub(super) fn wire_name(&self, role: &str) -> String {
        let consistent = self.signed["root"]["consistent_snapshot"] == json!(true);
        if role == "root" || (role != "timestamp" && consistent) {
            crate::name::wire_name(role, Some(self.version(role)))
        } else {
            crate::name::wire_name(role, None)
        }
    }

    /// Publishes the next version of a role.
    pub(super) fn publish(&mut self, role: &str) {
        let next = self.version(role) + 1;
        self.set(role, "version", json!(next));
        self.write(role);
    }

    /// Publishes the next snapshot, and the next timestamp with it.
    pub(super) fn release(&mut self) {
        self.publish("snapshot");
        self.publish("timestamp");
    }

    pub(super) fn add_target(&mut self, role: &str, name: &str, content: &[u8]) {
        let hash = Sha256Digest::of(content).to_string();
        self.signed.get_mut(role).unwrap()["targets"][name] =
            json!({"length": content.len(), "hashes": {"sha256": hash}, "custom": {"by": role}});
    }

    /// Delegates by path patterns; `to` is made if it is new. Both are to be written afterwards.
    pub(super) fn delegate(&mut self, from: &str, to: &str, paths: &[&str], terminating: bool) {
        self.delegate_with(from, to, &json!({"paths": paths, "terminating": terminating}));
    }

    pub(super) fn delegate_with(&mut self, from: &str, to: &str, extra: &Value) {
        if !self.signed.contains_key(to) {
            let key = self.new_key();
            self.keys.insert(to.into(), vec![key]);
            self.signed.insert(to.into(), empty_targets());
        }
        let key = self.keys[to][0].clone();
        let from = self.signed.get_mut(from).unwrap();
        if from.get("delegations").is_none() {
            from["delegations"] = json!({"keys": {}, "roles": []});
        }
        from["delegations"]["keys"][&key.id] = key.public();
        let mut role = json!({"name": to, "keyids": [key.id], "threshold": 1});
        for (field, value) in extra.as_object().unwrap() {
            role[field] = value.clone();
        }
        from["delegations"]["roles"].as_array_mut().unwrap().push(role);
    }

    /// Signs and serves all delegated roles and targets at their next version, and releases.
    pub(super) fn publish_all(&mut self) {
        let top = ["root", "timestamp", "snapshot"];
        let roles: Vec<String> = self.signed.keys().cloned().collect();
        for role in roles.iter().filter(|role| !top.contains(&role.as_str())) {
            self.publish(role);
        }
        self.release();
    }

    pub(super) fn serve(&self, wanted: &WantedFile) -> Supplied {
        self.asked.borrow_mut().push(wanted.name.clone());
        match self.files.get(&wanted.name) {
            // A transport reads one byte more than allowed and no further.
            Some(bytes) => {
                let read = usize::try_from(wanted.length_max + 1).unwrap().min(bytes.len());
                Supplied::Bytes(bytes[..read].to_vec())
            }
            None => {
                assert!(
                    wanted.presence == Presence::Optional || !wanted.name.ends_with("root.json")
                );
                Supplied::Missing
            }
        }
    }

    /// What was asked for since this was last called.
    pub(super) fn take_asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

pub(super) fn empty_targets() -> Value {
    json!({
        "_type": "targets", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
        "targets": {},
    })
}

//! Repositories by chance: delegation graphs with any scopes, targets anywhere, and at most one
//! thing that is wrong or unusual. What it all means is for its readers to say, not for this file.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Everything that is asked for, and that targets are called.
pub(crate) const PATHS: [&str; 7] = ["x", "y", "a/x", "a/y", "b/x", "a/b/x", "A/x"];
const PATTERNS: [&str; 10] =
    ["*", "a/*", "*/x", "b/?", "a/[x-z]", "x", "a/b/*", "?", "*/*/*", "[!x]"];
const EXPIRES: &str = "2036-01-01T00:00:00Z";
/// Delegated roles are `r0` to `r3`.
const ROLES_MAX: usize = 4;

/// What a generated repository is made of.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) consistent: bool,
    pub(crate) hashes: bool,
    pub(crate) delegations: Vec<Delegation>,
    /// Targets by role and path.
    pub(crate) targets: BTreeSet<(usize, usize)>,
    pub(crate) twist: Twist,
}

/// One delegation: from `targets` (0) or role `n - 1`, to a role.
#[derive(Debug, Clone)]
pub(crate) struct Delegation {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) scope: Scope,
    pub(crate) terminating: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Scope {
    Paths(Vec<&'static str>),
    Prefixes(Vec<&'static str>),
}

/// The one thing that is unusual about a repository. A role is one of `targets` (0) and `r0`...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    Nothing,
    Expired(usize),
    Unsigned(usize),
    Garbage(usize),
    Missing(usize),
    SignedTwiceByOne(usize),
    AnotherVersionThanListed(usize),
    AnotherFileThanListed(usize),
    UnlistedInSnapshot(usize),
    UnknownField(usize),
    UnknownFieldInDelegation,
    StrangeKeyBeside,
    KeyIdThatIsNoHash,
    Sha512Only,
    OneWrongHashOfTwo,
    TimestampExpired,
    SnapshotUnsigned,
    RootSkipped,
    SecondRoot,
}

/// Recipes, each with its own chance.
pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let scope = prop_oneof![
        4 => prop::collection::vec(prop::sample::select(&PATTERNS[..]), 1..3)
            .prop_map(Scope::Paths),
        1 => prop::collection::vec(
            prop::sample::select(&["0", "7a", "2", "e", "f", "1", "8"][..]), 1..4
        )
            .prop_map(Scope::Prefixes),
    ];
    let delegation = (0..=ROLES_MAX, 0..ROLES_MAX, scope, prop::bool::weighted(0.25))
        .prop_map(|(from, to, scope, terminating)| Delegation { from, to, scope, terminating });
    let targets = prop::collection::btree_set((0..=ROLES_MAX, 0..PATHS.len()), 0..14);
    let delegations = prop::collection::vec(delegation, 0..6);
    let wild = (any::<bool>(), any::<bool>(), delegations, targets, twists()).prop_map(
        |(consistent, hashes, delegations, targets, twist)| {
            let delegations = usable(delegations);
            Recipe { consistent, hashes, delegations, targets, twist }
        },
    );
    (wild, any::<bool>()).prop_map(|(wild, tame)| if tame { tamed(wild) } else { wild })
}

/// A repository as careful people make it, which every client can read: a tree of roles, each
/// trusted with paths that are named in full, and listing no others.
fn tamed(mut recipe: Recipe) -> Recipe {
    let mut seen = BTreeSet::new();
    recipe.delegations.retain(|d| d.from <= d.to && seen.insert(d.to));
    for (number, delegation) in recipe.delegations.iter_mut().enumerate() {
        let paths = PATHS.iter().skip(number % 3).step_by(1 + delegation.to % 2);
        delegation.scope = Scope::Paths(paths.copied().collect());
    }
    let Recipe { delegations, targets, .. } = &mut recipe;
    targets.retain(|(role, path)| {
        let holds = |d: &Delegation| match &d.scope {
            Scope::Paths(paths) => d.to + 1 == *role && paths.contains(&PATHS[*path]),
            Scope::Prefixes(_) => false,
        };
        *role == 0 || delegations.iter().any(holds)
    });
    recipe
}

fn twists() -> impl Strategy<Value = Twist> {
    let role = 0..=ROLES_MAX;
    prop_oneof![
        8 => Just(Twist::Nothing),
        4 => (role, 0..9_usize).prop_map(|(role, which)| {
            [
                Twist::Expired, Twist::Unsigned, Twist::Garbage, Twist::Missing,
                Twist::SignedTwiceByOne, Twist::AnotherVersionThanListed,
                Twist::AnotherFileThanListed, Twist::UnlistedInSnapshot, Twist::UnknownField,
            ][which](role)
        }),
        4 => prop::sample::select(&[
            Twist::UnknownFieldInDelegation, Twist::StrangeKeyBeside, Twist::KeyIdThatIsNoHash,
            Twist::Sha512Only, Twist::OneWrongHashOfTwo, Twist::TimestampExpired,
            Twist::SnapshotUnsigned, Twist::RootSkipped, Twist::SecondRoot,
        ][..]),
    ]
}

/// No delegator names a role twice (4.5).
fn usable(delegations: Vec<Delegation>) -> Vec<Delegation> {
    let mut seen = BTreeSet::new();
    delegations.into_iter().filter(|d| seen.insert((d.from, d.to))).collect()
}

pub(crate) fn role_name(role: usize) -> String {
    if role == 0 { "targets".into() } else { format!("r{}", role - 1) }
}

/// The content of a target: who lists it is part of it, so that readers cannot mistake it.
pub(crate) fn content(role: usize, path: usize) -> Vec<u8> {
    format!("{} of {}", PATHS[path], role_name(role)).into_bytes()
}

/// A recipe, made: the files below `metadata/` by name, and the first root.
pub(crate) struct Made {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) root: Vec<u8>,
}

struct Maker<'a> {
    recipe: &'a Recipe,
    files: BTreeMap<String, Vec<u8>>,
    snapshot: serde_json::Map<String, Value>,
}

pub(crate) fn make(recipe: &Recipe) -> Made {
    let mut maker = Maker { recipe, files: BTreeMap::new(), snapshot: serde_json::Map::new() };
    for role in 0..=ROLES_MAX {
        maker.targets(role);
    }
    maker.top();
    let root = maker.root(1);
    if recipe.twist == Twist::SecondRoot {
        let second = maker.root(2);
        maker.files.insert("2.root.json".into(), second);
    }
    if recipe.twist == Twist::RootSkipped {
        let third = maker.root(3);
        maker.files.insert("2.root.json".into(), third);
    }
    Made { files: maker.files, root }
}

impl Maker<'_> {
    fn targets(&mut self, role: usize) {
        let name = role_name(role);
        let twist = self.recipe.twist;
        let expires = if twist == Twist::Expired(role) { "2020-01-01T00:00:00Z" } else { EXPIRES };
        let mut entries = serde_json::Map::new();
        for (_, path) in self.recipe.targets.iter().filter(|(of, _)| *of == role) {
            entries.insert(PATHS[*path].into(), self.entry(&content(role, *path)));
        }
        let mut signed = json!({
            "_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": expires,
            "targets": entries,
        });
        if let Some(delegations) = self.delegations(role) {
            signed["delegations"] = delegations;
        }
        if twist == Twist::UnknownField(role) {
            signed["unknown"] = json!({"list": [1, null, "é\n"]});
        }
        let bytes = match twist {
            Twist::Unsigned(of) if of == role => file(&signed, &[]),
            Twist::Garbage(of) if of == role => b"{ not metadata".to_vec(),
            Twist::SignedTwiceByOne(of) if of == role => file(&signed, &[key(role), key(role)]),
            _ => file(&signed, &[key(role)]),
        };
        let listed = if twist == Twist::AnotherVersionThanListed(role) { 2 } else { 1 };
        if twist != Twist::UnlistedInSnapshot(role) {
            let mut meta = self.meta(listed, &bytes);
            if twist == Twist::AnotherFileThanListed(role) {
                meta["hashes"] = json!({"sha256": "00".repeat(32)});
            }
            self.snapshot.insert(format!("{name}.json"), meta);
        }
        if twist != Twist::Missing(role) {
            self.serve(&name, listed, bytes);
        }
    }

    fn top(&mut self) {
        let twist = self.recipe.twist;
        let snapshot = json!({
            "_type": "snapshot", "spec_version": "1.0.31", "version": 1, "expires": EXPIRES,
            "meta": self.snapshot,
        });
        let signers = if twist == Twist::SnapshotUnsigned { vec![] } else { vec![key(100)] };
        let snapshot = file(&snapshot, &signers);
        let expired = twist == Twist::TimestampExpired;
        let timestamp = json!({
            "_type": "timestamp", "spec_version": "1.0.31", "version": 1,
            "expires": if expired { "2020-01-01T00:00:00Z" } else { EXPIRES },
            "meta": {"snapshot.json": self.meta(1, &snapshot)},
        });
        self.files.insert("timestamp.json".into(), file(&timestamp, &[key(101)]));
        self.serve("snapshot", 1, snapshot);
    }

    fn root(&self, version: u64) -> Vec<u8> {
        let mut keys = serde_json::Map::new();
        let mut role = |number: usize| {
            let key = key(number);
            keys.insert(id(&key), public(&key));
            json!({"keyids": [id(&key)], "threshold": 1})
        };
        let mut roles = json!({
            "root": role(102), "timestamp": role(101), "snapshot": role(100), "targets": role(0),
        });
        if let Twist::SignedTwiceByOne(0) = self.recipe.twist {
            let second = key(50);
            keys.insert(id(&second), public(&second));
            roles["targets"] = json!({"keyids": [id(&key(0)), id(&second)], "threshold": 2});
        }
        let signed = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": EXPIRES,
            "consistent_snapshot": self.recipe.consistent, "keys": keys, "roles": roles,
        });
        file(&signed, &[key(102)])
    }

    fn delegations(&self, from: usize) -> Option<Value> {
        let own: Vec<&Delegation> =
            self.recipe.delegations.iter().filter(|d| d.from == from).collect();
        if own.is_empty() {
            return None;
        }
        let twist = self.recipe.twist;
        let mut keys = serde_json::Map::new();
        let mut roles = Vec::new();
        for delegation in own {
            let key = key(delegation.to + 1);
            let mut name = id(&key);
            if twist == Twist::KeyIdThatIsNoHash {
                name = "ab".repeat(32);
            }
            keys.insert(name.clone(), public(&key));
            let twice = twist == Twist::SignedTwiceByOne(delegation.to + 1);
            let mut role = json!({
                "name": role_name(delegation.to + 1), "keyids": [name],
                "threshold": if twice { 2 } else { 1 }, "terminating": delegation.terminating,
            });
            match &delegation.scope {
                Scope::Paths(patterns) => role["paths"] = json!(patterns),
                Scope::Prefixes(prefixes) => role["path_hash_prefixes"] = json!(prefixes),
            }
            if twist == Twist::UnknownFieldInDelegation {
                role["unknown"] = json!({"a": 1});
            }
            roles.push(role);
        }
        if twist == Twist::StrangeKeyBeside {
            let strange = json!({"keytype": "new", "scheme": "newer", "keyval": {"public": "00"}});
            keys.insert("cd".repeat(32), strange);
        }
        Some(json!({"keys": keys, "roles": roles}))
    }

    fn entry(&self, content: &[u8]) -> Value {
        let sha512 = "00".repeat(64);
        let hashes = match self.recipe.twist {
            Twist::Sha512Only => json!({"sha512": sha512}),
            Twist::OneWrongHashOfTwo => {
                json!({"sha256": Sha256Digest::of(content).to_string(), "sha512": sha512})
            }
            _ => json!({"sha256": Sha256Digest::of(content).to_string()}),
        };
        json!({"length": content.len(), "hashes": hashes, "custom": {"n": 1}})
    }

    fn meta(&self, version: u64, bytes: &[u8]) -> Value {
        if !self.recipe.hashes {
            return json!({"version": version});
        }
        let sha256 = Sha256Digest::of(bytes).to_string();
        json!({"version": version, "length": bytes.len(), "hashes": {"sha256": sha256}})
    }

    fn serve(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        let name = if self.recipe.consistent {
            format!("{version}.{role}.json")
        } else {
            format!("{role}.json")
        };
        self.files.insert(name, bytes);
    }
}

fn key(number: usize) -> SigningKey {
    let seed = Sha256Digest::of(format!("key {number}").as_bytes());
    SigningKey::from_bytes(seed.as_bytes())
}

fn public(key: &SigningKey) -> Value {
    let public = hex::encode(key.verifying_key().as_bytes());
    json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}})
}

fn id(key: &SigningKey) -> String {
    Sha256Digest::of(&canonical::value_to_bytes(&public(key)).unwrap()).to_string()
}

fn file(signed: &Value, keys: &[SigningKey]) -> Vec<u8> {
    let message = canonical::value_to_bytes(signed).unwrap();
    let signatures: Vec<Value> = keys
        .iter()
        .map(|key| json!({"keyid": id(key), "sig": hex::encode(key.sign(&message).to_bytes())}))
        .collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": signed})).unwrap()
}

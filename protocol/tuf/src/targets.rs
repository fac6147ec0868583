//! What the targets role and delegated roles say (TUF 4.5): targets, and whom they delegate to.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use serde_json::{Map, Value};

use crate::envelope::{Envelope, Header};
use crate::error::TufError;
use crate::keys::{self, Keys, RoleKeys};
use crate::metadata::Hashes;
use crate::name::{self, TARGETS, TOP_LEVEL};
use crate::pattern;
use crate::target::Target;

/// Longest path pattern, in bytes. Matching takes up to forty bytes of memory for each, and time in
/// proportion to its length times that of the target's name.
const PATTERN_BYTES_MAX: usize = 4096;

/// Targets metadata, of the top-level role or a delegated one.
#[derive(Debug, Clone)]
pub(crate) struct TargetsMetadata {
    pub(crate) header: Header,
    /// Entries are read when they are searched for: one that is broken stops only its own target.
    targets: Map<String, Value>,
    delegations: Delegations,
}

/// Whom a role delegates to.
#[derive(Debug, Clone)]
enum Delegations {
    /// By name, in order of appearance.
    Roles(Vec<Delegation>),
    /// One of `2^bits` bins by hash (TAP 15).
    Succinct { keys: RoleKeys, bits: u32, prefix: String },
}

#[derive(Debug, Clone)]
struct Delegation {
    role: String,
    keys: RoleKeys,
    terminating: bool,
    scope: Scope,
}

#[derive(Debug, Clone)]
enum Scope {
    Paths(Vec<String>),
    HashPrefixes(Vec<String>),
}

/// A role to ask about a target, with the keys that its delegator gave it.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) role: String,
    pub(crate) keys: RoleKeys,
}

/// Those delegations that match a target, in the order to ask them.
pub(crate) struct Matching {
    pub(crate) visits: Vec<Visit>,
    /// Whether the last of them is terminating: then nobody else is asked.
    pub(crate) terminating: bool,
}

impl TargetsMetadata {
    pub(crate) fn read(mut envelope: Envelope) -> Result<Self, TufError> {
        let header = envelope.header(TARGETS)?;
        let Some(Value::Object(targets)) = envelope.take("targets") else {
            return Err(envelope.refused("expected an object targets"));
        };
        let delegations = match envelope.field("delegations") {
            None => Delegations::Roles(Vec::new()),
            Some(from) => Delegations::read(from).map_err(|why| envelope.refused(&why))?,
        };
        Ok(Self { header, targets, delegations })
    }

    /// The entry of a target, where `role`, whose metadata this is, lists it.
    pub(crate) fn target(
        &self,
        role: &str,
        name: &str,
        consistent: bool,
    ) -> Option<Result<Target, TufError>> {
        let entry = self.targets.get(name)?;
        let (version, expires) = (self.header.version, self.header.expires);
        let read = read_entry(entry).map(|(length, hashes, custom)| Target {
            name: name.into(),
            wire_path: if consistent {
                name::hashed_path(name, &hashes.hex())
            } else {
                name.into()
            },
            role: role.into(),
            role_version: version,
            expires,
            length,
            hashes,
            custom,
        });
        Some(read.map_err(|why| TufError::BadTarget { name: name.into(), role: role.into(), why }))
    }

    /// When this metadata expires.
    pub(crate) const fn expires(&self) -> Timestamp {
        self.header.expires
    }

    /// The delegations that match a target (TUF 5.6.7.2), in order of appearance, up to the first
    /// terminating one.
    pub(crate) fn delegations_for(&self, target: &str) -> Matching {
        match &self.delegations {
            Delegations::Succinct { keys, bits, prefix } => {
                let role = name::succinct_role(prefix, *bits, target);
                let visits = vec![Visit { role, keys: keys.clone() }];
                // TAP 15: every bin is terminating.
                Matching { visits, terminating: true }
            }
            Delegations::Roles(roles) => {
                let hash = Sha256Digest::of(target.as_bytes()).to_string();
                let mut visits = Vec::new();
                for delegation in roles.iter().filter(|d| d.scope.holds(target, &hash)) {
                    let (role, keys) = (delegation.role.clone(), delegation.keys.clone());
                    visits.push(Visit { role, keys });
                    if delegation.terminating {
                        return Matching { visits, terminating: true };
                    }
                }
                Matching { visits, terminating: false }
            }
        }
    }
}

fn read_entry(entry: &Value) -> Result<(u64, Hashes, Value), String> {
    let length = entry.get("length").and_then(Value::as_u64).ok_or("expected a length in bytes")?;
    let hashes = Hashes::read(entry.get("hashes").unwrap_or(&Value::Null))?;
    Ok((length, hashes, entry.get("custom").cloned().unwrap_or(Value::Null)))
}

impl Delegations {
    fn read(from: &Value) -> Result<Self, String> {
        let known = keys::read_keys(from.get("keys").unwrap_or(&Value::Null))?;
        match (from.get("roles"), from.get("succinct_roles")) {
            (Some(roles), None) => {
                let roles = roles.as_array().ok_or("expected a list of delegated roles")?;
                let roles = roles.iter().map(|role| Delegation::read(role, &known));
                let roles = roles.collect::<Result<Vec<_>, _>>()?;
                // TUF 4.5, ROLENAME: unique within the delegations.
                let mut names = BTreeSet::new();
                match roles.iter().find(|role| !names.insert(&role.role)) {
                    Some(twice) => Err(format!("role {:?} is delegated to twice", twice.role)),
                    None => Ok(Self::Roles(roles)),
                }
            }
            (None, Some(succinct)) => Self::read_succinct(succinct, &known),
            _ => Err("expected either roles or succinct_roles in delegations".into()),
        }
    }

    fn read_succinct(from: &Value, known: &Keys) -> Result<Self, String> {
        let role = from.as_object().ok_or("expected an object succinct_roles")?;
        let keys = RoleKeys::read(role, known)?;
        let bits = role.get("bit_length").and_then(Value::as_u64);
        let bits = bits.and_then(|bits| u32::try_from(bits).ok()).filter(|b| (1..=32).contains(b));
        let bits = bits.ok_or("expected a bit_length of 1 to 32")?;
        let prefix = role.get("name_prefix").and_then(Value::as_str);
        let prefix = prefix.ok_or("expected a string name_prefix")?;
        if !name::is_role_name(&format!("{prefix}-00000000")) {
            return Err("expected a name_prefix that fits a file name".into());
        }
        Ok(Self::Succinct { keys, bits, prefix: prefix.into() })
    }
}

impl Delegation {
    fn read(from: &Value, known: &Keys) -> Result<Self, String> {
        let from = from.as_object().ok_or("expected an object for each delegated role")?;
        let role = from.get("name").and_then(Value::as_str).unwrap_or_default();
        if !name::is_role_name(role) || TOP_LEVEL.contains(&role) {
            return Err(format!("expected a name for a delegated role, got {role:?}"));
        }
        let keys = RoleKeys::read(from, known)?;
        // The specification's own example leaves `terminating` out.
        let terminating = match from.get("terminating") {
            None => false,
            Some(Value::Bool(terminating)) => *terminating,
            Some(_) => return Err("expected terminating to be a boolean".into()),
        };
        let scope = match (from.get("paths"), from.get("path_hash_prefixes")) {
            (Some(paths), None) => Scope::Paths(patterns(paths)?),
            (None, Some(prefixes)) => Scope::HashPrefixes(strings(prefixes)?),
            _ => return Err("expected either paths or path_hash_prefixes".into()),
        };
        Ok(Self { role: role.into(), keys, terminating, scope })
    }
}

impl Scope {
    /// TUF 4.5: a role is trusted with those targets only.
    fn holds(&self, target: &str, hash: &str) -> bool {
        match self {
            Self::Paths(patterns) => patterns.iter().any(|p| pattern::matches(p, target)),
            Self::HashPrefixes(prefixes) => prefixes.iter().any(|p| hash.starts_with(p.as_str())),
        }
    }
}

fn patterns(from: &Value) -> Result<Vec<String>, String> {
    let patterns = strings(from)?;
    match patterns.iter().find(|pattern| pattern.len() > PATTERN_BYTES_MAX) {
        Some(_) => Err(format!("expected path patterns of at most {PATTERN_BYTES_MAX} bytes")),
        None => Ok(patterns),
    }
}

fn strings(from: &Value) -> Result<Vec<String>, String> {
    let list = from.as_array().ok_or("expected a list of strings")?;
    let strings = list.iter().map(|item| item.as_str().map(String::from));
    Ok(strings.collect::<Option<Vec<_>>>().ok_or("expected a list of strings")?)
}

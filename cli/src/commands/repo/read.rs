//! Reads the whole repository through the TUF client, from a root that the operator holds: every
//! role that is shown was verified as a device verifies it, but for its expiry, which is the
//! subject.

use std::collections::BTreeMap;

use anyhow::Context as _;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{Floors, Limits, Machine, Refresh, Supplied, TufError, Want};
use serde_json::Value;

use crate::client::Client;

/// What stands in the place of a star when a delegated role is looked for. No release has it.
const PROBE: &str = "lazaret-repo-status";

/// Roots that are walked; a root a month for 80 years.
const ROOTS_MAX: u32 = 1024;

/// A verified repository.
#[derive(Debug)]
pub(super) struct Repository {
    /// Each role with its bytes; a delegated role that nothing was signed for yet has none.
    pub(super) roles: BTreeMap<String, Option<Vec<u8>>>,
    /// Every root from the operator's own on, by file name.
    pub(super) roots: BTreeMap<String, Vec<u8>>,
}

/// Reads and verifies everything.
pub(super) fn repository(client: &Client, root: Vec<u8>) -> anyhow::Result<Repository> {
    let mut fetched = Fetched { client, files: BTreeMap::new() };
    let number = version_of(&root).context("expected a signed root")?;
    fetched.files.insert(format!("{number}.root.json"), root.clone());
    // At the beginning of time nothing has expired: what has, is still shown.
    let beginning = Timestamp::from_ms(0);
    let limits = Limits { root_rotations_max: ROOTS_MAX, ..Limits::default() };
    let mut refresh = Refresh::begin_from_factory_root(root, Floors::default(), beginning, limits)
        .context("the root is not one")?;
    fetched.drive(&mut refresh)?;
    let mut trusted = refresh.finish().context("the repository does not verify")?;
    let targets = fetched.latest("targets").context("no targets")?;
    let mut roles = BTreeMap::new();
    for (role, paths) in delegations(&targets) {
        let Some(path) = paths.first() else { continue };
        let probe = path.replace('*', PROBE);
        let mut search = trusted.find(&probe);
        fetched.drive(&mut search)?;
        match search.finish() {
            Ok(_) | Err(TufError::TargetNotFound { .. }) => {}
            // Nothing was signed for it yet.
            Err(_) if !fetched.lists(&role) => {}
            Err(err) => return Err(err).with_context(|| format!("{role} does not verify")),
        }
        roles.insert(role.clone(), fetched.latest(&role));
    }
    for role in ["root", "targets", "snapshot", "timestamp"] {
        let bytes = fetched.latest(role).with_context(|| format!("no {role}"))?;
        roles.insert(role.to_owned(), Some(bytes));
    }
    let roots = fetched.files.into_iter().filter(|(name, _)| name.ends_with(".root.json"));
    Ok(Repository { roles, roots: roots.collect() })
}

/// The delegations of targets, in their order: role and path patterns.
pub(super) fn delegations(targets: &[u8]) -> Vec<(String, Vec<String>)> {
    let file: Value = serde_json::from_slice(targets).unwrap_or_default();
    let roles = file.pointer("/signed/delegations/roles").and_then(Value::as_array);
    let texts = |value: &Value| {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let read =
        |role: &Value| Some((role.get("name")?.as_str()?.to_owned(), texts(role.get("paths")?)));
    roles.map(Vec::as_slice).unwrap_or_default().iter().filter_map(read).collect()
}

/// The version that a file says.
pub(super) fn version_of(bytes: &[u8]) -> Option<u64> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    file.pointer("/signed/version")?.as_u64()
}

struct Fetched<'a> {
    client: &'a Client,
    files: BTreeMap<String, Vec<u8>>,
}

impl Fetched<'_> {
    fn drive(&mut self, machine: &mut impl Machine) -> anyhow::Result<()> {
        while let Want::File(wanted) = machine.next() {
            let supplied = match self.client.metadata(&wanted.name)? {
                Some(bytes) => {
                    self.files.insert(wanted.name.clone(), bytes.clone());
                    Supplied::Bytes(bytes)
                }
                None => Supplied::Missing,
            };
            // The machine keeps why it failed, and `finish` says it.
            if machine.supply(supplied).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn latest(&self, role: &str) -> Option<Vec<u8>> {
        let own = self.files.iter().filter(|(name, _)| {
            let stem = name.strip_suffix(".json").unwrap_or(name);
            stem == role || stem.split_once('.').is_some_and(|(_, rest)| rest == role)
        });
        own.max_by_key(|(_, bytes)| version_of(bytes)).map(|(_, bytes)| bytes.clone())
    }

    fn lists(&self, role: &str) -> bool {
        let snapshot = self.latest("snapshot").unwrap_or_default();
        let file: Value = serde_json::from_slice(&snapshot).unwrap_or_default();
        let meta = file.pointer("/signed/meta").and_then(Value::as_object);
        meta.is_some_and(|meta| meta.contains_key(&format!("{role}.json")))
    }
}

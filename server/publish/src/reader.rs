//! The second reader: tough loads the whole repository from memory, as a client that shares no code
//! with us, before anything becomes visible. Expiry is judged here against `now`, because tough can
//! only ask the system's clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::path_matches;
use lazaret_repo_keys_signing::metadata::{Document, make};
use lazaret_repo_keys_signing::repository::{
    DELTAS, Files, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Trusted, missing, read,
};
use lazaret_repo_keys_signing::{FileName, RoleName};
use tough::schema::{self, PathSet, Signed, Snapshot, Targets};
use tough::{
    ExpirationEnforcement, Repository, RepositoryLoader, Transport, TransportError,
    TransportErrorKind, TransportStream,
};
use url::Url;

use crate::error::PublishError;
use crate::trusted::check_fresh;

/// An address that no resolver knows. Nothing is ever sent there: the transport is a map.
const BASE: &str = "https://repository.invalid/";

/// Has tough read `all` as it would be served, and checks that every target it lists is among
/// `known_targets`, the digests of the files at hand.
///
/// # Errors
/// tough refuses or sees something else than we do, something has expired, or a target is not at
/// hand.
pub async fn second_reader(
    all: &Files,
    known_targets: &BTreeSet<Sha256Digest>,
    now: Timestamp,
) -> Result<(), PublishError> {
    let trusted = Trusted::read(all)?;
    check_all_fresh(all, &trusted, now)?;
    let repository = load(all).await?;
    if repository.root().signed.version.get() != trusted.root.version() {
        let what = format!("root version {}", repository.root().signed.version);
        return Err(PublishError::SecondReaderDiffers { what });
    }
    check_targets(&repository.targets().signed, "targets", known_targets)?;
    let delegations = repository.targets().signed.delegations.iter();
    for role in delegations.flat_map(|delegations| &delegations.roles) {
        check_role(all, &repository, role, known_targets)?;
    }
    Ok(())
}

async fn load(all: &Files) -> Result<Repository, PublishError> {
    let root = first_root(all).ok_or_else(|| missing(&ROOT))?;
    let differs = |what: &str| PublishError::SecondReaderDiffers { what: what.to_owned() };
    let url = |path: &str| Url::parse(BASE).and_then(|base| base.join(path));
    let metadata = url("metadata/").map_err(|_| differs("no base address"))?;
    let targets = url("targets/").map_err(|_| differs("no base address"))?;
    // Without a datastore of ours tough uses a temporary one, so that nothing it remembers
    // (versions, a clock floor) outlives this reading.
    RepositoryLoader::new(&root, metadata, targets)
        .transport(InMemory(Arc::new(all.clone())))
        .expiration_enforcement(ExpirationEnforcement::Unsafe)
        .load()
        .await
        .map_err(|err| PublishError::SecondReaderRefused(Box::new(err)))
}

/// The oldest root from which every later one is at hand, so that tough walks the chain too.
fn first_root(all: &Files) -> Option<&[u8]> {
    let versions = all.versions(&ROOT);
    let mut newest_first = versions.into_iter().rev();
    let (mut version, mut first) = newest_first.next()?;
    for (older, bytes) in newest_first {
        if older.saturating_add(1) != version {
            break;
        }
        (version, first) = (older, bytes);
    }
    Some(first)
}

/// A release that has expired harms its own model alone and must not keep the others from an
/// update, so it is not looked at here.
fn check_all_fresh(all: &Files, trusted: &Trusted, now: Timestamp) -> Result<(), PublishError> {
    check_fresh(&ROOT, &trusted.root, now)?;
    check_fresh(&TARGETS, &trusted.targets, now)?;
    let timestamp: Document<schema::Timestamp> =
        read(all, &TIMESTAMP)?.ok_or_else(|| missing(&TIMESTAMP))?;
    check_fresh(&TIMESTAMP, &timestamp, now)?;
    let snapshot: Document<Snapshot> = read(all, &SNAPSHOT)?.ok_or_else(|| missing(&SNAPSHOT))?;
    check_fresh(&SNAPSHOT, &snapshot, now)?;
    if let Some(deltas) = read::<Targets>(all, &DELTAS)? {
        check_fresh(&DELTAS, &deltas, now)?;
    }
    Ok(())
}

/// Checks one delegated role with tough's own verification. `Repository::load` does this too, but
/// stops without an error at the first role that has no file yet (a model that nothing was released
/// for), and then looks at none of the others.
fn check_role(
    all: &Files,
    repository: &Repository,
    role: &schema::DelegatedRole,
    known_targets: &BTreeSet<Sha256Digest>,
) -> Result<(), PublishError> {
    let differs = |what: String| PublishError::SecondReaderDiffers { what };
    let name: RoleName = role.name.parse()?;
    let line = repository.snapshot().signed.meta.get(&format!("{}.json", role.name));
    let (bytes, line) = match (all.latest(&name), line) {
        (None, None) => return Ok(()),
        (Some(bytes), Some(line)) => (bytes, line),
        _ => return Err(differs(format!("snapshot and files disagree on {}", role.name))),
    };
    let served = FileName::of(name.clone(), line.version.get()).to_string();
    if all.named(&served) != Some(bytes) {
        return Err(differs(format!("snapshot names {served}, which is not the latest")));
    }
    let signed: Signed<Targets> = serde_json::from_slice(bytes)
        .map_err(|err| differs(format!("{} cannot be read: {err}", role.name)))?;
    let Some(delegations) = &repository.targets().signed.delegations else {
        return Err(differs("no delegations".to_owned()));
    };
    delegations.verify_role(&signed, &role.name).map_err(|source| {
        PublishError::SecondReaderRefusedRole { role: role.name.clone(), source: Box::new(source) }
    })?;
    let PathSet::Paths(paths) = &role.paths else {
        return Err(differs(format!("hash prefixes for {}", role.name)));
    };
    for target in signed.signed.targets.keys() {
        let ours = paths.iter().any(|path| path_matches(path.value(), target.raw()));
        if !ours || !delegations.target_is_delegated(target) {
            return Err(differs(format!("{:?} is not {}'s", target.raw(), role.name)));
        }
    }
    check_targets(&signed.signed, &role.name, known_targets)
}

fn check_targets(
    targets: &Targets,
    role: &str,
    known_targets: &BTreeSet<Sha256Digest>,
) -> Result<(), PublishError> {
    for (name, target) in &targets.targets {
        let sha256 = make::sha256_of(target).ok_or_else(|| PublishError::SecondReaderDiffers {
            what: format!("{role} has a target without SHA-256"),
        })?;
        // What is empty is at hand: the emergency role's targets have nothing to fetch.
        if target.length > 0 && !known_targets.contains(&sha256) {
            return Err(PublishError::TargetMissing { name: name.raw().to_owned(), sha256 });
        }
    }
    Ok(())
}

/// Metadata out of a map.
#[derive(Debug, Clone)]
struct InMemory(Arc<Files>);

#[async_trait]
impl Transport for InMemory {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let name = url.path().strip_prefix("/metadata/").unwrap_or_default();
        let Some(bytes) = self.0.named(name) else {
            return Err(TransportError::new(TransportErrorKind::FileNotFound, url));
        };
        let chunk = Bytes::copy_from_slice(bytes);
        Ok(Box::pin(futures_util::stream::iter([Ok(chunk)])))
    }
}

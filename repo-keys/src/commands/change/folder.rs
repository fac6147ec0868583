//! The folder of a change: the metadata it builds on, the payloads, public keys for their names.
//! Whoever signs or assembles reads it anew and believes nothing of it but what verifies.

use std::fs;
use std::path::Path;

use lazaret_repo_keys_signing::durable::FileError;
use lazaret_repo_keys_signing::metadata::Document;
use lazaret_repo_keys_signing::repository::{Files, ROOT, Trusted};
use lazaret_repo_keys_signing::{FileName, OfflineRole, RoleName};
use tough::schema::Root;

use crate::change::{self, Resigned};
use crate::difference::Names;
use crate::error::{Rule, StepError};
use crate::plan::{KeySet, Plan, RootPlan, TargetsPlan};
use crate::session::Step;

/// Files in the folder of a change: 1,000 roots, 100 models.
const FILES_MAX: usize = 4096;

/// The name of the anchors beside the payloads of a change.
pub(super) const ANCHORS_FILE: &str = "anchors.json";

/// A change as it lies in its folder.
pub(super) struct Folder {
    /// What it builds on.
    pub(super) current: Files,
    /// What is to be signed, in the order of TUF.
    pub(super) roles: Vec<(Resigned, Vec<u8>)>,
    /// New anchors, where there are any.
    pub(super) anchors: Option<Vec<u8>>,
    /// Whose keys are whose, as the folder says.
    pub(super) names: Names,
}

/// Reads the signed metadata of a folder: files named as a repository names them.
pub(super) fn read_metadata(step: &mut Step, folder: &Path) -> Result<Files, StepError> {
    let mut files = Files::default();
    for name in names_in(folder)? {
        let Ok(FileName::Versioned { role: RoleName::Offline(_), .. }) = name.parse() else {
            continue;
        };
        let bytes = step.read(&folder.join(&name))?;
        files.0.insert(name, bytes);
    }
    if files.latest(&ROOT).is_none() {
        let what = format!("expected N.root.json in {}, there is none", folder.display());
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    Ok(files)
}

pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, StepError> {
    let mut names = Vec::new();
    let read = |source| FileError::Io { what: "read", path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(read)?.take(FILES_MAX) {
        names.push(entry.map_err(read)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

impl Folder {
    /// Reads a change and checks that it is one: it builds on signed metadata, every version
    /// follows, every role whose signers change is signed again, and it brings no new image.
    pub(super) fn read(step: &mut Step, folder: &Path) -> Result<Self, StepError> {
        let current = read_metadata(step, folder)?;
        change::check_roots(&current)?;
        let trusted = Trusted::read(&current)?;
        let mut payloads = Vec::new();
        for name in names_in(folder)?.iter().filter(|name| name.ends_with(".payload")) {
            let bytes = step.read(&folder.join(name))?;
            payloads.push((Plan::read_payload(&bytes)?, bytes));
        }
        payloads.sort_by_key(|(plan, _)| plan.role());
        let mut root = RootPlan::of(&trusted.root)?;
        let mut targets = TargetsPlan::of(&trusted.targets)?;
        let root_before = root.root.clone();
        for (plan, _) in &payloads {
            match plan {
                Plan::Root(plan) => root = plan.clone(),
                Plan::Targets(plan) => targets = plan.clone(),
                Plan::Release(_) | Plan::Emergency(_) => {}
            }
        }
        let mut roles = Vec::new();
        for (after, bytes) in payloads {
            let before = before(&current, &after)?;
            let signers = match after.role() {
                OfflineRole::Root => vec![root_before.clone(), root.root.clone()],
                OfflineRole::Targets => vec![root.targets.clone()],
                role => vec![delegated(&targets, &role)?],
            };
            roles.push((Resigned { before, after, signers }, bytes));
        }
        if roles.is_empty() {
            let what = format!("expected payloads in {}, there is none", folder.display());
            return Err(StepError::refused(Rule::WrongFile, what));
        }
        let anchors = read_anchors(step, folder)?;
        Ok(Self { current, roles, anchors, names: Names::in_folder(folder) })
    }
}

/// The last signed version, which must be one below. A change of keys says nothing new about
/// images or emergencies, so that nobody gets one signed in passing.
fn before(current: &Files, after: &Plan) -> Result<Option<Plan>, StepError> {
    let role = after.role();
    let last = current.latest(&RoleName::Offline(role.clone()));
    let before = last.map(Plan::read_signed).transpose()?;
    let expected = before.as_ref().map_or(0, Plan::version).saturating_add(1);
    if after.version() != expected {
        let what = format!(
            "expected {role} version {expected}, the payload is version {}",
            after.version()
        );
        return Err(StepError::refused(Rule::WrongVersion, what));
    }
    let same = match (&before, after) {
        (Some(Plan::Release(before)), Plan::Release(after)) => before.images == after.images,
        (Some(Plan::Emergency(before)), Plan::Emergency(after)) => before.entries == after.entries,
        (_, Plan::Release(_) | Plan::Emergency(_)) => false,
        _ => true,
    };
    if !same {
        let what =
            format!("a change of keys says nothing new in {role}; make a payload of its own");
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    Ok(before)
}

fn delegated(targets: &TargetsPlan, role: &OfflineRole) -> Result<KeySet, StepError> {
    let set = match role {
        OfflineRole::Release(model) => targets.models.get(model),
        OfflineRole::Emergency => targets.emergency.as_ref(),
        OfflineRole::Root | OfflineRole::Targets => None,
    };
    set.cloned().ok_or_else(|| {
        StepError::refused(Rule::WrongFile, format!("nobody may sign {role} after this change"))
    })
}

fn read_anchors(step: &mut Step, folder: &Path) -> Result<Option<Vec<u8>>, StepError> {
    let path = folder.join(ANCHORS_FILE);
    if path.exists() { step.read(&path).map(Some) } else { Ok(None) }
}

/// Holds the chain of roots against the holder's own copy of one of them.
pub(super) fn check_trusted_root(
    step: &mut Step,
    current: &Files,
    path: &Path,
) -> Result<(), StepError> {
    let own = step.read(path)?;
    let version = Document::<Root>::parse(&own)?.version();
    let theirs = current.versions(&ROOT).remove(&version);
    if theirs == Some(own.as_slice()) {
        step.say(format!("the chain of roots goes back to your own root version {version}"));
        return Ok(());
    }
    let what = format!("the change does not build on your own root version {version}");
    Err(StepError::refused(Rule::WrongFile, what))
}

/// Reads every signature file below `folder`.
pub(super) fn read_signatures(
    step: &mut Step,
    folder: &Path,
) -> Result<Vec<crate::commands::sign::SignatureFile>, StepError> {
    let mut files = Vec::new();
    for name in names_in(folder)?.iter().filter(|name| name.ends_with(".sig")) {
        files.push(step.read_json(&folder.join(name), "a holder's signature")?);
    }
    Ok(files)
}

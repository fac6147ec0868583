//! A change of keys as a whole: from the repository as it is signed and a list of wishes to the new
//! version of every offline role that the change touches, and who has to sign each. Nothing here
//! reads or writes files, and nothing signs.

use std::collections::BTreeSet;

use lazaret_protocol::id::ModelName;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_repo_keys_signing::metadata::{Document, Keyring};
use lazaret_repo_keys_signing::repository::{Files, ROOT, Trusted};
use lazaret_repo_keys_signing::{OfflineRole, OnlinePublic, RoleName};
use tough::schema::{RoleType, Root};

use crate::error::{Rule, StepError};
use crate::hashing::Measured;
use crate::plan::{KeySet, Plan, RootPlan, TargetsPlan};

/// One thing that shall be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A holder comes.
    Add(OfflineRole, PublicKey),
    /// A holder goes.
    Remove(OfflineRole, PublicKey),
    /// So many must sign from then on.
    Threshold(OfflineRole, u64),
    /// The server has new keys.
    Online(OnlinePublic),
    /// Devices trust something else beside TUF.
    Anchors(Measured),
    /// Releases for a further model.
    AddModel(ModelName, KeySet),
    /// No more releases for a model.
    DropModel(ModelName),
    /// There is an incident team, or another one.
    Team(KeySet),
    /// The same again, with a later end.
    Renew(OfflineRole),
}

/// The new version of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resigned {
    /// What is signed now; none where this is the role's first version.
    pub before: Option<Plan>,
    /// What will be signed.
    pub after: Plan,
    /// Who must sign: each of these sets up to its own threshold. A root has two, its predecessor's
    /// and its own (TUF 5.3.4).
    pub signers: Vec<KeySet>,
}

impl Resigned {
    /// The name of its payload in a folder of the change: `2.root.payload`.
    #[must_use]
    pub fn payload_name(&self) -> String {
        format!("{}.{}.payload", self.after.version(), self.after.role())
    }
}

/// Lives of new versions, in days (DESIGN section 3), and what counts as the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// The present.
    pub now: Timestamp,
    /// Every role's life where somebody asks for one, in days.
    pub days: Option<u64>,
}

impl Lives {
    fn of(self, role: &OfflineRole) -> Timestamp {
        let usual = match role {
            OfflineRole::Root => 365,
            OfflineRole::Targets | OfflineRole::Emergency => 180,
            OfflineRole::Release(_) => 120,
        };
        let whole = Timestamp::from_ms(self.now.as_ms() / 1000 * 1000);
        whole.plus_ms(self.days.unwrap_or(usual).saturating_mul(DAY_MS))
    }
}

/// Works out what has to be signed again, in the order of TUF: whoever's keys change signs anew in
/// the same change, so that at no moment anything is signed by keys that are not listed.
///
/// # Errors
/// The repository does not verify, a wish contradicts it or another one, or nothing would change.
pub fn work_out(files: &Files, wishes: &[Wish], lives: Lives) -> Result<Vec<Resigned>, StepError> {
    check_roots(files)?;
    let trusted = Trusted::read(files)?;
    let root_before = RootPlan::of(&trusted.root)?;
    let targets_before = TargetsPlan::of(&trusted.targets)?;
    let (mut root, mut targets) = (root_before.clone(), targets_before.clone());
    let mut renewed = BTreeSet::new();
    for wish in wishes {
        apply(wish, &mut root, &mut targets, &mut renewed)?;
    }
    let mut all = Vec::new();
    if root != root_before || renewed.contains(&OfflineRole::Root) {
        let signers = vec![root_before.root.clone(), root.root.clone()];
        let after = Plan::Root(root.clone()).renewed(lives.of(&OfflineRole::Root));
        all.push(Resigned { before: Some(Plan::Root(root_before.clone())), after, signers });
    }
    if targets != targets_before
        || root.targets != root_before.targets
        || renewed.contains(&OfflineRole::Targets)
    {
        let after = Plan::Targets(targets.clone()).renewed(lives.of(&OfflineRole::Targets));
        let signers = vec![root.targets.clone()];
        all.push(Resigned { before: Some(Plan::Targets(targets_before.clone())), after, signers });
    }
    for (role, document) in delegated(&trusted) {
        let Some(set) = signers_of(&targets, &role) else { continue };
        let changed = signers_of(&targets_before, &role) != Some(set);
        if changed || renewed.remove(&role) {
            let before = Plan::of_delegated(document, &role)?;
            let after = before.clone().renewed(lives.of(&role));
            all.push(Resigned { before: Some(before), after, signers: vec![set.clone()] });
        }
        renewed.remove(&role);
    }
    let top = [OfflineRole::Root, OfflineRole::Targets];
    if let Some(role) = renewed.iter().find(|role| !top.contains(role)) {
        return Err(StepError::misuse(format!("expected a signed role to renew, {role} has none")));
    }
    if all.is_empty() {
        return Err(StepError::misuse("nothing would change"));
    }
    for resigned in &all {
        resigned.after.payload().map_err(StepError::of_wish)?;
    }
    Ok(all)
}

fn delegated(trusted: &Trusted) -> Vec<(OfflineRole, &Document<tough::schema::Targets>)> {
    let releases = trusted.releases.iter();
    let mut all: Vec<_> = releases
        .map(|(model, release)| (OfflineRole::Release(model.clone()), &release.document))
        .collect();
    let emergency = trusted.emergency.as_ref();
    all.extend(emergency.map(|emergency| (OfflineRole::Emergency, &emergency.document)));
    all
}

fn signers_of<'a>(targets: &'a TargetsPlan, role: &OfflineRole) -> Option<&'a KeySet> {
    match role {
        OfflineRole::Release(model) => targets.models.get(model),
        OfflineRole::Emergency => targets.emergency.as_ref(),
        OfflineRole::Root | OfflineRole::Targets => None,
    }
}

fn set_of<'a>(
    role: &OfflineRole,
    root: &'a mut RootPlan,
    targets: &'a mut TargetsPlan,
) -> Result<&'a mut KeySet, StepError> {
    let found = match role {
        OfflineRole::Root => Some(&mut root.root),
        OfflineRole::Targets => Some(&mut root.targets),
        OfflineRole::Release(model) => targets.models.get_mut(model),
        OfflineRole::Emergency => targets.emergency.as_mut(),
    };
    found.ok_or_else(|| StepError::misuse(format!("expected a role of the repository, got {role}")))
}

fn apply(
    wish: &Wish,
    root: &mut RootPlan,
    targets: &mut TargetsPlan,
    renewed: &mut BTreeSet<OfflineRole>,
) -> Result<(), StepError> {
    let misuse = |what: String| Err(StepError::misuse(what));
    match wish {
        Wish::Add(role, key) => {
            if !set_of(role, root, targets)?.keys.insert(key.clone()) {
                return misuse(format!("{role} lists key {} already", key.key_id()));
            }
        }
        Wish::Remove(role, key) => {
            if !set_of(role, root, targets)?.keys.remove(key) {
                return misuse(format!("{role} does not list key {}", key.key_id()));
            }
        }
        Wish::Threshold(role, threshold) => {
            set_of(role, root, targets)?.threshold = *threshold;
        }
        Wish::Online(online) => {
            root.snapshot = online.snapshot.clone();
            root.timestamp = online.timestamp.clone();
            targets.deltas = online.deltas.clone();
        }
        Wish::Anchors(anchors) => targets.anchors = *anchors,
        Wish::AddModel(model, set) => {
            if targets.models.insert(model.clone(), set.clone()).is_some() {
                return misuse(format!("there is a model {model} already"));
            }
        }
        Wish::DropModel(model) => {
            if targets.models.remove(model).is_none() {
                return misuse(format!("there is no model {model}"));
            }
        }
        Wish::Team(set) => targets.emergency = Some(set.clone()),
        Wish::Renew(role) => {
            renewed.insert(role.clone());
        }
    }
    Ok(())
}

/// Walks the chain of roots at hand as devices do: each is signed by the one before it.
///
/// # Errors
/// A gap, or a root that the one before did not agree to.
pub fn check_roots(files: &Files) -> Result<(), StepError> {
    let mut last: Option<Document<Root>> = None;
    for (version, bytes) in files.versions(&ROOT) {
        let root = Document::<Root>::parse(bytes)?;
        let expected = last.as_ref().map_or(version, |last| last.version().saturating_add(1));
        if root.version() != version || version != expected {
            let what = format!("expected root version {expected}, got {}", root.version());
            return Err(StepError::refused(Rule::WrongVersion, what));
        }
        Keyring::of_root(&root.signed, RoleType::Root)?.check(&root)?;
        if let Some(last) = &last {
            Keyring::of_root(&last.signed, RoleType::Root)?.check(&root)?;
        }
        last = Some(root);
    }
    Ok(())
}

/// The role in `root=alice.pub`: root, targets, rel-MODEL or emergency.
///
/// # Errors
/// No offline role.
pub fn offline_role(text: &str) -> Result<OfflineRole, String> {
    match text.parse() {
        Ok(RoleName::Offline(role)) => Ok(role),
        _ => Err(format!("expected root, targets, rel-MODEL or emergency, got {text:?}")),
    }
}

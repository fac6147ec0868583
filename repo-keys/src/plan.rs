//! What an offline role will say, in our words. A plan gives its payload and is read back from one,
//! and a payload whose plan does not give the same bytes again is refused: nobody signs what was
//! not shown.

mod emergency;
mod release;
mod root;
mod targets;

use std::collections::BTreeSet;

use lazaret_protocol::key::PublicKey;
use lazaret_protocol::target::{ANCHORS_TARGET, parse_emergency_target, parse_image_target};
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::OfflineRole;
use lazaret_repo_keys_signing::metadata::{self, Document, Keyring, MetadataError};
use serde_json::Value;
use tough::schema::{Root, Targets};

use crate::error::{Rule, StepError};

pub use emergency::EmergencyPlan;
pub use release::ReleasePlan;
pub(crate) use release::{check_new, in_between};
pub use root::RootPlan;
pub use targets::{ModelSigners, TargetsPlan};

/// Keys, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// The keys, each once.
    pub keys: BTreeSet<PublicKey>,
    /// How many must sign.
    pub threshold: u64,
}

impl From<Keyring> for KeySet {
    fn from(ring: Keyring) -> Self {
        Self { keys: ring.keys.into_values().collect(), threshold: ring.threshold }
    }
}

impl KeySet {
    fn to_vec(&self) -> Vec<PublicKey> {
        self.keys.iter().cloned().collect()
    }
}

/// What one offline role will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Who may sign.
    Root(RootPlan),
    /// Delegations and anchors.
    Targets(TargetsPlan),
    /// Images of one model.
    Release(ReleasePlan),
    /// Faster schedules.
    Emergency(EmergencyPlan),
}

impl Plan {
    /// Reads the bytes that are to be signed.
    ///
    /// # Errors
    /// Not a payload of an offline role, or one that says more than a plan can show.
    pub fn read_payload(bytes: &[u8]) -> Result<Self, StepError> {
        let plan = match peek(bytes) {
            Some(Peeked::Root) => Self::Root(RootPlan::of(&Document::parse_payload(bytes)?)?),
            Some(Peeked::Targets(speaker)) => {
                Self::of_delegated(&Document::parse_payload(bytes)?, &speaker)?
            }
            None => {
                let what = "expected a payload of root, targets, a release role or emergency";
                return Err(StepError::refused(Rule::WrongFile, what));
            }
        };
        if plan.payload()? != bytes {
            let what = "the payload says more than this tool understands";
            return Err(StepError::refused(Rule::Unshowable, what));
        }
        Ok(plan)
    }

    /// Reads signed metadata of an offline role. Its signatures are not looked at.
    ///
    /// # Errors
    /// Not metadata of an offline role.
    pub fn read_signed(bytes: &[u8]) -> Result<Self, StepError> {
        let file: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let signed = file.get("signed").map(Value::to_string).unwrap_or_default();
        match peek(signed.as_bytes()) {
            Some(Peeked::Root) => Ok(Self::Root(RootPlan::of(&Document::parse(bytes)?)?)),
            Some(Peeked::Targets(speaker)) => {
                Self::of_delegated(&Document::parse(bytes)?, &speaker)
            }
            None => Err(StepError::refused(
                Rule::WrongFile,
                "expected signed metadata of root, targets, a release role or emergency",
            )),
        }
    }

    /// Reads what `speaker` says in metadata of the type `targets`.
    ///
    /// # Errors
    /// It says what that role may not say.
    pub fn of_delegated(
        document: &Document<Targets>,
        speaker: &OfflineRole,
    ) -> Result<Self, StepError> {
        Ok(match speaker {
            OfflineRole::Release(model) => Self::Release(ReleasePlan::read(document, model)?),
            OfflineRole::Emergency => Self::Emergency(EmergencyPlan::read(document)?),
            OfflineRole::Root | OfflineRole::Targets => Self::Targets(TargetsPlan::of(document)?),
        })
    }

    /// The same once more, one version on: what a role says when only who signs it has changed, or
    /// when its time runs out.
    #[must_use]
    pub fn renewed(mut self, expires: Timestamp) -> Self {
        let (version, until) = match &mut self {
            Self::Root(plan) => (&mut plan.version, &mut plan.expires),
            Self::Targets(plan) => (&mut plan.version, &mut plan.expires),
            Self::Release(plan) => (&mut plan.version, &mut plan.expires),
            Self::Emergency(plan) => (&mut plan.version, &mut plan.expires),
        };
        *version = version.saturating_add(1);
        *until = expires;
        self
    }

    /// The role it is for.
    #[must_use]
    pub fn role(&self) -> OfflineRole {
        match self {
            Self::Root(_) => OfflineRole::Root,
            Self::Targets(_) => OfflineRole::Targets,
            Self::Release(plan) => OfflineRole::Release(plan.model.clone()),
            Self::Emergency(_) => OfflineRole::Emergency,
        }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Root(plan) => plan.version,
            Self::Targets(plan) => plan.version,
            Self::Release(plan) => plan.version,
            Self::Emergency(plan) => plan.version,
        }
    }

    /// When it expires.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        match self {
            Self::Root(plan) => plan.expires,
            Self::Targets(plan) => plan.expires,
            Self::Release(plan) => plan.expires,
            Self::Emergency(plan) => plan.expires,
        }
    }

    /// The bytes to sign. The same plan always gives the same bytes.
    ///
    /// # Errors
    /// The plan breaks a rule of its role.
    pub fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        match self {
            Self::Root(plan) => plan.payload(),
            Self::Targets(plan) => plan.payload(),
            Self::Release(plan) => plan.payload(),
            Self::Emergency(plan) => plan.payload(),
        }
    }
}

enum Peeked {
    Root,
    /// The top-level targets, the release role of a model, or the emergency role.
    Targets(OfflineRole),
}

/// A payload does not name its role, but only one role could have said what it says: top-level
/// targets lists the anchors, a release role lists images of one model, and who has nothing to say
/// is the emergency role.
fn peek(payload: &[u8]) -> Option<Peeked> {
    let value: Value = serde_json::from_slice(&metadata::as_json(payload)).ok()?;
    match value.get("_type")?.as_str()? {
        "root" => Some(Peeked::Root),
        "targets" => {
            let targets = value.get("targets")?.as_object()?;
            if targets.contains_key(ANCHORS_TARGET) {
                return Some(Peeked::Targets(OfflineRole::Targets));
            }
            let Some(name) = targets.keys().next() else {
                return Some(Peeked::Targets(OfflineRole::Emergency));
            };
            if parse_emergency_target(name).is_some() {
                return Some(Peeked::Targets(OfflineRole::Emergency));
            }
            let (model, _) = parse_image_target(name)?.ok()?;
            Some(Peeked::Targets(OfflineRole::Release(model)))
        }
        _ => None,
    }
}

/// A root whose own signatures reach its own threshold.
///
/// # Errors
/// Not a root, or not signed by its own keys.
pub fn read_root(bytes: &[u8]) -> Result<Document<Root>, StepError> {
    let document = Document::<Root>::parse(bytes)?;
    Keyring::of_root(&document.signed, tough::schema::RoleType::Root)?.check(&document)?;
    Ok(document)
}

//! The top-level targets: the anchors, and who releases for which model.

use std::collections::{BTreeMap, HashMap};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::target::{ANCHORS_TARGET, EMERGENCY_ROLE, release_role};
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::{
    Document, Keyring, MetadataError, make, payload_of, rules,
};
use lazaret_repo_keys_signing::repository::EMERGENCY;
use lazaret_repo_keys_signing::{OfflineRole, OnlineRole, RoleName};
use tough::schema::{DelegatedRole, Delegations, PathPattern, PathSet, Targets};

use super::KeySet;
use super::root::single;
use crate::hashing::Measured;

/// Who signs releases, by model.
pub type ModelSigners = BTreeMap<ModelName, KeySet>;

/// What the top-level targets will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetsPlan {
    /// One more than the last.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// The target `trust/anchors`.
    pub anchors: Measured,
    /// Release signers.
    pub models: ModelSigners,
    /// The incident team, which signs faster schedules; none where there is no such role.
    pub emergency: Option<KeySet>,
    /// The server's key for deltas.
    pub deltas: PublicKey,
}

impl TargetsPlan {
    pub(super) fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        let mut keys = HashMap::new();
        let mut roles = Vec::new();
        let mut delegate = |name: String, set: &KeySet, paths: &[String]| {
            // Nobody after the incident team may answer for its names.
            let terminating = name == EMERGENCY_ROLE;
            let listed = make::role_keys(&name, &set.to_vec(), set.threshold, &mut keys)?;
            roles.push(DelegatedRole {
                name,
                keyids: listed.keyids,
                threshold: listed.threshold,
                paths: PathSet::Paths(patterns(paths)?),
                terminating,
                targets: None,
            });
            Ok::<(), MetadataError>(())
        };
        for (model, signers) in &self.models {
            delegate(release_role(model), signers, &rules::release_paths(model))?;
        }
        if let Some(team) = &self.emergency {
            let paths = rules::EMERGENCY_PATHS.map(str::to_owned);
            delegate(EMERGENCY_ROLE.to_owned(), team, &paths)?;
        }
        let server = KeySet { keys: [self.deltas.clone()].into(), threshold: 1 };
        let name = OnlineRole::Deltas.as_str().to_owned();
        delegate(name, &server, &rules::DELTA_PATHS.map(str::to_owned))?;

        let anchors = make::target::<()>(self.anchors.length, &self.anchors.sha256, None)?;
        let targets = Targets {
            spec_version: make::SPEC_VERSION.to_owned(),
            version: make::number("targets", self.version)?,
            expires: make::moment(self.expires),
            targets: HashMap::from([(make::anchors_name()?, anchors)]),
            delegations: Some(Delegations { keys, roles }),
            _extra: HashMap::new(),
        };
        rules::check_targets(&targets)?;
        payload_of(&targets)
    }

    /// Reads the top-level targets.
    ///
    /// # Errors
    /// They say what no targets of this house may say.
    pub fn of(document: &Document<Targets>) -> Result<Self, MetadataError> {
        let targets = &document.signed;
        rules::check_targets(targets)?;
        let refuse = |what: &str| MetadataError::OutOfScope {
            role: "targets".to_owned(),
            what: what.to_owned(),
        };
        let anchors = targets.targets.iter().find(|(name, _)| name.raw() == ANCHORS_TARGET);
        let anchors = anchors.ok_or_else(|| refuse("no anchors"))?.1;
        let sha256: Sha256Digest =
            make::sha256_of(anchors).ok_or_else(|| refuse("anchors without a SHA-256"))?;
        let mut models = ModelSigners::new();
        let listed = targets.delegations.as_ref().map_or(&[][..], |listed| &listed.roles);
        for delegated in listed {
            if let Ok(role) = delegated.name.parse()
                && let RoleName::Offline(OfflineRole::Release(model)) = &role
            {
                models.insert(model.clone(), Keyring::of_delegation(targets, &role)?.into());
            }
        }
        let deltas = RoleName::Online(OnlineRole::Deltas);
        let delegated = listed.iter().any(|role| role.name == EMERGENCY_ROLE);
        let emergency = delegated.then(|| Keyring::of_delegation(targets, &EMERGENCY));
        Ok(Self {
            version: document.version(),
            expires: document.expires(),
            anchors: Measured { length: anchors.length, sha256 },
            models,
            emergency: emergency.transpose()?.map(KeySet::from),
            deltas: single("deltas", Keyring::of_delegation(targets, &deltas)?.into())?,
        })
    }
}

fn patterns(paths: &[String]) -> Result<Vec<PathPattern>, MetadataError> {
    let pattern = |path: &String| {
        PathPattern::new(path.clone()).map_err(|err| MetadataError::Malformed {
            expected: "path patterns in targets",
            why: err.to_string(),
        })
    };
    paths.iter().map(pattern).collect()
}

//! Who is an operator: the registry of people, the one-time codes with which they fetch their
//! certificates, and what of a certificate counts. What a person may do on a route is the route's;
//! service tokens are [`token`]'s.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{
    INVITATION_VALID_MS_MAX, OperatorRequest, OperatorView, Role, SCOPE_NAME_BYTES_MAX,
    SCOPE_NAMES_MAX, Scope,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

pub mod token;

/// The label of a device that says to which incident it belongs.
pub const INCIDENT_LABEL: &str = "incident";

/// Certificates of one person that are good at once: the one in use and the one that renews it.
const CERTIFICATES_MAX: usize = 2;

/// A person, as the registry has them. Who has only a certificate from the key tool, whose
/// organisational units say the roles, stands here only when something is to be said of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    /// Who.
    pub name: OperatorName,
    /// What they may do; none: what the certificate says.
    pub roles: Option<Vec<Role>>,
    /// A third party's scope.
    pub scope: Option<Scope>,
    /// When their access ends.
    pub ends: Option<Timestamp>,
    /// Why they are let in no more.
    pub disabled: Option<String>,
    /// Certificates that this server issued to them and that are good, the oldest first. Where
    /// there are any, no other one of the same name is.
    pub certificates: Vec<Sha256Digest>,
    /// A code that waits for them.
    pub invitation: Option<Code>,
    /// Who entered them.
    pub added_by: String,
    /// When.
    pub added: Timestamp,
}

/// A one-time code. It has 256 bits of its own, so that a plain hash of it is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// SHA-256 of it.
    pub hash: Sha256Digest,
    /// When it lapses.
    pub expires: Timestamp,
}

impl Code {
    fn fits(&self, shown: Sha256Digest, now: Timestamp) -> bool {
        self.hash == shown && now < self.expires
    }
}

impl Record for OperatorRecord {
    const KIND: &'static str = "operator";
    fn name(&self) -> String {
        self.name.to_string()
    }
}

/// The code of the first administrator. There is one at a time; using it takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The code, none once it was used.
    pub code: Option<Code>,
}

impl Bootstrap {
    /// There is one.
    pub const NAME: &'static str = "administrator";
}

impl Record for Bootstrap {
    const KIND: &'static str = "bootstrap";
    fn name(&self) -> String {
        Self::NAME.to_string()
    }
}

/// What a person may do at this moment, and for how long it holds if nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Their roles.
    pub roles: Vec<Role>,
    /// Bounds, all of which hold.
    pub scopes: Vec<Scope>,
    /// When it ends by itself.
    pub ends: Option<Timestamp>,
}

impl OperatorRecord {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> OperatorView {
        OperatorView {
            name: self.name.clone(),
            roles: self.roles.clone(),
            scope: self.scope.clone(),
            ends: self.ends,
            disabled: self.disabled.clone(),
            certificates: u64::try_from(self.certificates.len()).unwrap_or(u64::MAX),
            invited: self.invitation.is_some(),
            added_by: self.added_by.clone(),
            added: self.added,
        }
    }

    /// Whether this person is let in at all.
    ///
    /// # Errors
    /// Disabled, or their access has ended.
    pub fn admitted(&self, now: Timestamp) -> Result<(), Refused> {
        let refused = |why: String| Err(Refused::because(RefusalCode::Forbidden, why));
        if let Some(why) = &self.disabled {
            return refused(format!("{} is disabled: {why}", self.name));
        }
        match self.ends {
            Some(ends) if ends <= now => {
                refused(format!("the access of {} ended {ends}", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// What the holder of a certificate may do. `said` are the roles in the certificate, which the
/// operators' CA signed; the registry goes before it.
///
/// # Errors
/// Disabled, ended, or a certificate that is not theirs any more.
pub fn standing(
    record: Option<&OperatorRecord>,
    (certificate, said): (Sha256Digest, Vec<Role>),
    now: Timestamp,
) -> Result<Standing, Refused> {
    let Some(record) = record else {
        return Ok(Standing { roles: said, scopes: Vec::new(), ends: None });
    };
    record.admitted(now)?;
    if !record.certificates.is_empty() && !record.certificates.contains(&certificate) {
        let why = format!("{} has another certificate by now", record.name);
        return Err(Refused::because(RefusalCode::Unauthenticated, why));
    }
    Ok(Standing {
        roles: record.roles.clone().unwrap_or(said),
        scopes: record.scope.clone().into_iter().collect(),
        ends: record.ends,
    })
}

/// Whether a device is within a scope.
#[must_use]
pub fn covers(scope: &Scope, device: &Device) -> bool {
    let incident = device.labels.get(INCIDENT_LABEL);
    let group = |group: &String| scope.groups.contains(group);
    (scope.models.is_empty() || scope.models.contains(&device.model))
        && (scope.groups.is_empty() || device.group.as_ref().is_some_and(group))
        && (scope.incident.is_none() || scope.incident.as_ref() == incident)
        && !scope.is_empty()
}

/// Enters a person who is to fetch a certificate with `code`.
///
/// # Errors
/// There is such a person, or the roles, scope or end make no sense.
pub fn add(
    found: &Found<OperatorRecord>,
    request: &OperatorRequest,
    code: Sha256Digest,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<OperatorRecord>, Refused> {
    if found.value.is_some() {
        let detail = format!("{} is an operator already", request.name);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    check_roles(&request.roles)?;
    check_scope(request.scope.as_ref(), request.ends)?;
    if let Some(ends) = request.ends.filter(|ends| *ends <= now) {
        return Err(bad(format!("expected an end to come, got {ends}")));
    }
    let record = OperatorRecord {
        name: request.name.clone(),
        roles: Some(request.roles.clone()),
        scope: request.scope.clone(),
        ends: request.ends,
        disabled: None,
        certificates: Vec::new(),
        invitation: Some(invitation(code, request.valid_ms, now)?),
        added_by: by.to_string(),
        added: now,
    };
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

/// Gives a person another code, because they lost their key. What they have stays good until the
/// code is used.
///
/// # Errors
/// No such person, or one who invites themselves.
pub fn invite(
    found: &Found<OperatorRecord>,
    (code, valid_ms): (Sha256Digest, u64),
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<OperatorRecord>, Refused> {
    let mut record = somebody_else(found, by)?;
    record.invitation = Some(invitation(code, valid_ms, now)?);
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

/// Lets a person in no more, from the commit on. Who has no record yet gets one.
///
/// # Errors
/// Oneself: an administrator who locks themselves out leaves nobody.
pub fn disable(
    found: &Found<OperatorRecord>,
    name: &OperatorName,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<OperatorRecord>, Refused> {
    let mut record = match &found.value {
        Some(_) => somebody_else(found, by)?,
        None if name == by => return Err(oneself(by)),
        None => OperatorRecord {
            name: name.clone(),
            roles: None,
            scope: None,
            ends: None,
            disabled: None,
            certificates: Vec::new(),
            invitation: None,
            added_by: by.to_string(),
            added: now,
        },
    };
    record.disabled = Some(reason.to_string());
    record.invitation = None;
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

/// Lets a person in again, with what they had.
///
/// # Errors
/// No such person, or oneself.
pub fn enable(
    found: &Found<OperatorRecord>,
    by: &OperatorName,
) -> Result<Decision<OperatorRecord>, Refused> {
    let mut record = somebody_else(found, by)?;
    record.disabled = None;
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

/// Makes a new code for the first administrator, in the place of any before it.
pub fn prepare(
    found: &Found<Bootstrap>,
    hash: Sha256Digest,
    expires: Timestamp,
) -> Decision<Timestamp> {
    let code = Some(Code { hash, expires });
    Decision::reply(expires).replace(found, &Bootstrap { code })
}

/// Makes an administrator of whoever shows the code. It is taken away with it. A person of that
/// name who has lost their key gets their access back.
///
/// # Errors
/// Another code, a lapsed or used one. All three look alike.
pub fn bootstrap(
    (found, person): (&Found<Bootstrap>, &Found<OperatorRecord>),
    (name, shown): (&OperatorName, Sha256Digest),
    certificate: Sha256Digest,
    now: Timestamp,
) -> Result<Decision<OperatorRecord>, Refused> {
    let code = found.value.as_ref().and_then(|bootstrap| bootstrap.code.as_ref());
    if !code.is_some_and(|code| code.fits(shown, now)) {
        return Err(code_refused());
    }
    let record = OperatorRecord {
        name: name.clone(),
        roles: Some(Vec::from([Role::Admin])),
        scope: None,
        ends: None,
        disabled: None,
        certificates: Vec::from([certificate]),
        invitation: None,
        added_by: "bootstrap".to_string(),
        added: now,
    };
    let used = Bootstrap { code: None };
    Ok(Decision::reply(record.clone()).replace(found, &used).replace(person, &record))
}

/// Gives a person who was invited their certificate. Every one that they had before is void: the
/// code was made because it is lost, or because there is none.
///
/// # Errors
/// Another code, a lapsed or used one, nobody of that name, all alike; or somebody disabled.
pub fn redeem(
    found: &Found<OperatorRecord>,
    shown: Sha256Digest,
    certificate: Sha256Digest,
    now: Timestamp,
) -> Result<Decision<OperatorRecord>, Refused> {
    let mut record = found.value.clone().ok_or_else(code_refused)?;
    if !record.invitation.as_ref().is_some_and(|code| code.fits(shown, now)) {
        return Err(code_refused());
    }
    record.admitted(now)?;
    record.invitation = None;
    record.certificates = Vec::from([certificate]);
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

/// Enters a further certificate of a person whose own is about to end. The one before stays good,
/// because the answer may be lost.
///
/// # Errors
/// Somebody whose certificates this server does not issue.
pub fn renew(
    found: &Found<OperatorRecord>,
    certificate: Sha256Digest,
) -> Result<Decision<OperatorRecord>, Refused> {
    let record = found.value.clone().filter(|record| !record.certificates.is_empty());
    let mut record = record.ok_or_else(|| {
        let why = "this certificate is from the key tool: have `lazaret-keys ca operator` make the \
                   next one";
        Refused::because(RefusalCode::Conflict, why)
    })?;
    record.certificates.push(certificate);
    let extra = record.certificates.len().saturating_sub(CERTIFICATES_MAX);
    record.certificates.drain(..extra);
    Ok(Decision::reply(record.clone()).replace(found, &record))
}

fn invitation(hash: Sha256Digest, valid_ms: u64, now: Timestamp) -> Result<Code, Refused> {
    if valid_ms == 0 || valid_ms > INVITATION_VALID_MS_MAX {
        return Err(bad(format!(
            "expected an invitation valid for 1 to {INVITATION_VALID_MS_MAX} ms, got {valid_ms}"
        )));
    }
    Ok(Code { hash, expires: now.plus_ms(valid_ms) })
}

/// Roles that go together. Who manages people does not act on the fleet: nobody can make the
/// second person that an act asks for.
fn check_roles(roles: &[Role]) -> Result<(), Refused> {
    if roles.is_empty() {
        return Err(bad("expected at least one role, got none".to_string()));
    }
    let with_admin = |role: &Role| matches!(role, Role::Admin | Role::Auditor | Role::Viewer);
    if roles.contains(&Role::Admin) && !roles.iter().all(with_admin) {
        let why = "expected admin alone, or with viewer and auditor: who manages people does not \
                   act on the fleet";
        return Err(bad(why.to_string()));
    }
    Ok(())
}

pub(crate) fn check_scope(scope: Option<&Scope>, ends: Option<Timestamp>) -> Result<(), Refused> {
    let Some(scope) = scope else { return Ok(()) };
    if scope.is_empty() {
        return Err(bad("expected a scope that names a model, a group or an incident".to_string()));
    }
    let names = scope.groups.iter().chain(&scope.incident);
    let fits = |name: &String| !name.is_empty() && name.len() <= SCOPE_NAME_BYTES_MAX;
    let few = scope.models.len() <= SCOPE_NAMES_MAX && scope.groups.len() <= SCOPE_NAMES_MAX;
    if !few || !names.clone().all(fits) {
        return Err(bad(format!(
            "expected at most {SCOPE_NAMES_MAX} models and groups in a scope, each of 1 to \
             {SCOPE_NAME_BYTES_MAX} bytes"
        )));
    }
    if ends.is_none() {
        return Err(bad("expected an end of a third party's access, got none".to_string()));
    }
    Ok(())
}

fn somebody_else(
    found: &Found<OperatorRecord>,
    by: &OperatorName,
) -> Result<OperatorRecord, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "the registry has no such operator");
    let record = found.value.clone().ok_or_else(unknown)?;
    if record.name == *by { Err(oneself(by)) } else { Ok(record) }
}

fn oneself(by: &OperatorName) -> Refused {
    let why = format!("{by} asks about themselves: another administrator has to");
    Refused::because(RefusalCode::Forbidden, why)
}

fn code_refused() -> Refused {
    let why = "the code is not one that is good at present, for this name";
    Refused::because(RefusalCode::CodeRefused, why)
}

fn bad(why: String) -> Refused {
    Refused::because(RefusalCode::BadRequest, why)
}

#[cfg(test)]
mod tests;

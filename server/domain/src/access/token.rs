//! Service tokens: made by a person for a program, never more than the person may do, and counted
//! as that person wherever people are counted.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{Role, Scope, TOKEN_VALID_MS_MAX, TokenRequest, TokenView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{MINUTE_MS, Timestamp};
use serde::{Deserialize, Serialize};

use super::{OperatorRecord, Standing, bad, check_scope};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Longest purpose, in bytes.
const PURPOSE_BYTES_MAX: usize = 64;

/// A token. Found by the hash of its secret, which has 256 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceToken {
    /// SHA-256 of the secret.
    pub hash: Sha256Digest,
    /// Its name.
    pub id: String,
    /// Whose.
    pub operator: OperatorName,
    /// What it is for.
    pub purpose: String,
    /// What it allows.
    pub roles: Vec<Role>,
    /// Its own scope.
    pub scope: Option<Scope>,
    /// Bounds that the person had when it was made.
    pub within: Vec<Scope>,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// When it was used last, to the minute.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

impl Record for ServiceToken {
    const KIND: &'static str = "service-token";
    fn name(&self) -> String {
        self.hash.to_string()
    }
}

impl ServiceToken {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> TokenView {
        TokenView {
            id: self.id.clone(),
            operator: self.operator.clone(),
            purpose: self.purpose.clone(),
            roles: self.roles.clone(),
            scope: self.scope.clone(),
            made: self.made,
            ends: self.ends,
            last_used: self.last_used,
            revoked: self.revoked,
        }
    }

    /// Whether a use at `now` is worth a write.
    #[must_use]
    pub fn is_use_news(&self, now: Timestamp) -> bool {
        self.last_used.is_none_or(|last| now.since_ms(last) >= MINUTE_MS)
    }
}

/// Makes a token of the person `by`, who may do what `standing` says.
///
/// # Errors
/// A role that they have not, one that no token has, or a life or scope that makes no sense.
pub fn make(
    found: &Found<ServiceToken>,
    request: &TokenRequest,
    (hash, id): (Sha256Digest, String),
    (by, standing, now): (&OperatorName, &Standing, Timestamp),
) -> Result<Decision<ServiceToken>, Refused> {
    if request.valid_ms == 0 || request.valid_ms > TOKEN_VALID_MS_MAX {
        return Err(bad(format!(
            "expected a token valid for 1 to {TOKEN_VALID_MS_MAX} ms, got {}",
            request.valid_ms
        )));
    }
    let purpose = request.purpose.trim();
    if purpose.is_empty() || purpose.len() > PURPOSE_BYTES_MAX {
        return Err(bad(format!("expected a purpose of 1 to {PURPOSE_BYTES_MAX} bytes")));
    }
    if request.roles.is_empty() {
        return Err(bad("expected at least one role, got none".to_string()));
    }
    let ends = now.plus_ms(request.valid_ms);
    check_scope(request.scope.as_ref(), Some(ends))?;
    for role in &request.roles {
        if *role == Role::Admin {
            let why = "no token manages people: use a certificate";
            return Err(Refused::because(RefusalCode::Forbidden, why));
        }
        if !standing.roles.contains(role) {
            let why = format!("{by} has not the role {} to give to a token", role.as_str());
            return Err(Refused::because(RefusalCode::Forbidden, why));
        }
    }
    let token = ServiceToken {
        hash,
        id,
        operator: by.clone(),
        purpose: purpose.to_string(),
        roles: request.roles.clone(),
        scope: request.scope.clone(),
        within: standing.scopes.clone(),
        made: now,
        // It does not outlive the access of whoever made it.
        ends: standing.ends.map_or(ends, |person| person.min(ends)),
        last_used: None,
        revoked: None,
    };
    Ok(Decision::reply(token.clone()).replace(found, &token))
}

/// What the bearer of a token may do: what it says, as long as the person is let in and still has
/// those roles where the registry says theirs.
///
/// # Errors
/// Revoked or ended; or the person is let in no more.
pub fn standing(
    token: &ServiceToken,
    person: Option<&OperatorRecord>,
    now: Timestamp,
) -> Result<Standing, Refused> {
    if token.revoked.is_some() || token.ends <= now {
        let why = format!("the token {} is revoked or has ended", token.id);
        return Err(Refused::because(RefusalCode::Unauthenticated, why));
    }
    let mut roles = token.roles.clone();
    let mut scopes: Vec<Scope> = token.within.iter().chain(&token.scope).cloned().collect();
    let mut ends = token.ends;
    if let Some(person) = person {
        person.admitted(now)?;
        if let Some(theirs) = &person.roles {
            roles.retain(|role| theirs.contains(role));
        }
        scopes.extend(person.scope.clone());
        ends = person.ends.map_or(ends, |person| person.min(ends));
    }
    Ok(Standing { roles, scopes, ends: Some(ends) })
}

/// Revokes a token: at once, for good. Its owner may, and whoever manages people.
///
/// # Errors
/// No such token, or somebody else's.
pub fn revoke(
    found: &Found<ServiceToken>,
    (by, roles): (&OperatorName, &[Role]),
    now: Timestamp,
) -> Result<Decision<ServiceToken>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "there is no such token");
    let token = found.value.clone().ok_or_else(unknown)?;
    if token.operator != *by && !roles.contains(&Role::Admin) {
        return Err(unknown());
    }
    if token.revoked.is_some() {
        return Ok(Decision::reply(token));
    }
    let revoked = ServiceToken { revoked: Some(now), ..token };
    Ok(Decision::reply(revoked.clone()).replace(found, &revoked))
}

/// Notes that a token was used.
pub fn used(found: &Found<ServiceToken>, now: Timestamp) -> Decision<()> {
    match found.value.clone().filter(|token| token.is_use_news(now)) {
        Some(token) => {
            let minute =
                now.as_ms().saturating_sub(now.as_ms().checked_rem(MINUTE_MS).unwrap_or(0));
            let used = ServiceToken { last_used: Some(Timestamp::from_ms(minute)), ..token };
            Decision::reply(()).replace(found, &used)
        }
        None => Decision::reply(()),
    }
}

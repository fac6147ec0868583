//! Operators: who they are by the certificate that the operators' CA signed or by a service token,
//! and what they may do by the registry, which is asked on every request.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{Role, Scope};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::access::token::{self, ServiceToken};
use lazaret_server_domain::access::{self, OperatorRecord, Standing};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::{Store, StoreError};

use super::certificate::PeerCertificate;

/// Why an operator is not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OperatorRefused {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The registry cannot be asked, so nobody is let in.
    #[error("registry cannot be asked")]
    Registry {
        /// What the store said.
        #[source]
        source: StoreError,
    },
}

/// A person who may do what their roles allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    name: OperatorName,
    standing: Standing,
    credential: Credential,
}

/// What an operator has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Credential {
    Certificate { fingerprint: Sha256Digest, roles: Vec<Role>, ends: Timestamp },
    Token { found: Box<Found<ServiceToken>>, id: String, ends: Timestamp },
}

impl Operator {
    /// Who it is: the person, whatever they have shown.
    #[must_use]
    pub(crate) const fn name(&self) -> &OperatorName {
        &self.name
    }

    /// What they may do.
    pub(crate) fn roles(&self) -> &[Role] {
        &self.standing.roles
    }

    /// Bounds, all of which hold; none for one of us.
    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.standing.scopes
    }

    /// Both.
    pub(crate) const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When it ends by itself.
    pub(crate) fn ends(&self) -> Timestamp {
        let (Credential::Certificate { ends, .. } | Credential::Token { ends, .. }) =
            self.credential;
        self.standing.ends.map_or(ends, |agreed| agreed.min(ends))
    }

    /// The token's name, where it is one.
    pub(crate) fn token(&self) -> Option<&str> {
        match &self.credential {
            Credential::Token { id, .. } => Some(id),
            Credential::Certificate { .. } => None,
        }
    }

    /// The token's record, as it was found.
    pub(crate) fn shown_token(&self) -> Option<&Found<ServiceToken>> {
        match &self.credential {
            Credential::Token { found, .. } => Some(found),
            Credential::Certificate { .. } => None,
        }
    }

    /// Whether this person is still let in, for whoever holds a stream open: asked of the registry
    /// as on every request.
    ///
    /// # Errors
    /// As they would be refused now.
    pub(crate) async fn again(&self, store: &Store, now: Timestamp) -> Result<(), OperatorRefused> {
        match &self.credential {
            Credential::Certificate { fingerprint, roles, ends } => {
                let shown = (*fingerprint, roles.clone());
                of_certificate(store, &self.name, (shown, *ends), now).await?;
            }
            Credential::Token { found, .. } => {
                let name = found.value.as_ref().map(|token| token.hash.to_string());
                of_token(store, &name.unwrap_or_default(), now).await?;
            }
        }
        Ok(())
    }

    /// Refuses where they have none of `roles`; an empty list asks for any role at all.
    ///
    /// # Errors
    /// None of them.
    pub(crate) fn require(&self, roles: &[Role]) -> Result<(), Refused> {
        let wanted = if roles.is_empty() { &Role::ALL } else { roles };
        if self.roles().iter().any(|role| wanted.contains(role)) {
            return Ok(());
        }
        let words =
            |roles: &[Role]| roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "expected {} to have one of the roles {}, got {}",
            self.name,
            words(wanted),
            if self.roles().is_empty() { "none".to_owned() } else { words(self.roles()) }
        );
        Err(Refused::because(RefusalCode::Forbidden, detail))
    }
}

/// Who shows this certificate, as far as the registry lets them in at this moment.
///
/// # Errors
/// No certificate, an ended or superseded one, no name in it, or somebody who is disabled.
pub(crate) async fn by_certificate(
    store: &Store,
    certificate: Option<&PeerCertificate>,
    now: Timestamp,
) -> Result<Operator, OperatorRefused> {
    let refused = |why: &str| Refused::because(RefusalCode::Unauthenticated, why);
    let certificate =
        certificate.ok_or_else(|| refused("expected an operator certificate, none was shown"))?;
    let name: OperatorName = certificate
        .common_name
        .parse()
        .map_err(|_| refused("the certificate names no operator"))?;
    let said: Vec<Role> = certificate.units.iter().filter_map(|unit| Role::parse(unit)).collect();
    let shown = (certificate.fingerprint, said);
    of_certificate(store, &name, (shown, certificate.not_after), now).await
}

async fn of_certificate(
    store: &Store,
    name: &OperatorName,
    (shown, ends): ((Sha256Digest, Vec<Role>), Timestamp),
    now: Timestamp,
) -> Result<Operator, OperatorRefused> {
    // The handshake checked the dates, but a connection may stay open for longer.
    if ends <= now {
        let why = "the operator certificate has ended";
        return Err(Refused::because(RefusalCode::Unauthenticated, why).into());
    }
    let person = person(store, name).await?;
    let (fingerprint, roles) = shown.clone();
    let standing = access::standing(person.as_ref(), shown, now)?;
    let credential = Credential::Certificate { fingerprint, roles, ends };
    Ok(Operator { name: name.clone(), standing, credential })
}

/// Who bears this token, as far as the registry lets them in at this moment.
///
/// # Errors
/// No token, an unknown, ended or revoked one, or somebody who is disabled.
pub(crate) async fn by_token(
    store: &Store,
    authorization: Option<&str>,
    now: Timestamp,
) -> Result<Operator, OperatorRefused> {
    let refused = |why: &str| Refused::because(RefusalCode::Unauthenticated, why);
    let secret = authorization
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim())
        .ok_or_else(|| refused("expected a service token as bearer, none was shown"))?;
    // Found by its hash: how long that takes says nothing about the secret.
    of_token(store, &Sha256Digest::of(secret.as_bytes()).to_string(), now).await
}

async fn of_token(store: &Store, name: &str, now: Timestamp) -> Result<Operator, OperatorRefused> {
    let found = store.find::<ServiceToken>(name).await;
    let found = found.map_err(|source| OperatorRefused::Registry { source })?;
    let unknown = || Refused::because(RefusalCode::Unauthenticated, "the token is not known");
    let shown = found.value.clone().ok_or_else(unknown)?;
    let person = person(store, &shown.operator).await?;
    let standing = token::standing(&shown, person.as_ref(), now)?;
    let credential = Credential::Token { found: Box::new(found), id: shown.id, ends: shown.ends };
    Ok(Operator { name: shown.operator, standing, credential })
}

async fn person(
    store: &Store,
    name: &OperatorName,
) -> Result<Option<OperatorRecord>, OperatorRefused> {
    let found = store.find::<OperatorRecord>(name.as_str()).await;
    Ok(found.map_err(|source| OperatorRefused::Registry { source })?.value)
}

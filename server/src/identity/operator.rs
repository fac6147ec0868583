//! Operators: name and roles from the certificate that the operators' CA signed.

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::Role;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::refused::Refused;

use super::certificate::PeerCertificate;

/// A person who may do what their roles allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    name: OperatorName,
}

impl Operator {
    /// Who it is.
    #[must_use]
    pub(crate) const fn name(&self) -> &OperatorName {
        &self.name
    }
}

/// Lets an operator in who has at least one of `roles`; an empty list asks for any role at all.
///
/// # Errors
/// No certificate, an ended one, no name in it, or none of the roles.
pub(crate) fn authenticate(
    certificate: Option<&PeerCertificate>,
    roles: &[Role],
    now: Timestamp,
) -> Result<Operator, Refused> {
    let refused = |why: &str| Refused::because(RefusalCode::Unauthenticated, why);
    let certificate =
        certificate.ok_or_else(|| refused("expected an operator certificate, none was shown"))?;
    if certificate.not_after <= now {
        return Err(refused("the operator certificate has ended"));
    }
    let name: OperatorName = certificate
        .common_name
        .parse()
        .map_err(|_| refused("the certificate names no operator"))?;
    let held: Vec<Role> = certificate.units.iter().filter_map(|unit| Role::parse(unit)).collect();
    let wanted = if roles.is_empty() { &Role::ALL } else { roles };
    if held.iter().any(|role| wanted.contains(role)) {
        return Ok(Operator { name });
    }
    let words = |roles: &[Role]| roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "expected {name} to have one of the roles {}, the certificate says {}",
        words(wanted),
        if held.is_empty() { "none".to_owned() } else { words(&held) }
    );
    Err(Refused::because(RefusalCode::Forbidden, detail))
}

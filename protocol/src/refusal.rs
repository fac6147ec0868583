//! Refusals as they travel: a rule said no, here is its stable code and what to do about it. Codes
//! are listed in `docs/ERRORS.md` and are never used for anything else again.

use alloc::string::String;
#[cfg(feature = "schema")]
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success (after RFC 9457).
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable code, such as `claim-used`.
    pub code: String,
    /// What was expected and what came, in words.
    pub detail: String,
}

/// Every code there is, on the wire in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalCode {
    /// The body or a parameter is not what the route takes.
    BadRequest,
    /// Larger than the route allows.
    TooLarge,
    /// No certificate, or one of the wrong kind.
    Unauthenticated,
    /// The certificate's holder may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It exists already, or is in a state in which this cannot be done.
    Conflict,
    /// The device is in quarantine and this is neither evidence nor cure.
    Quarantined,
    /// So many devices at once need a second person's word.
    SecondPersonNeeded,
    /// The claim is unknown, lapsed, or for another serial number.
    ClaimRefused,
    /// The claim was used before. It is recorded.
    ClaimUsed,
    /// No machine may enrol with this factory certificate.
    FactoryRefused,
    /// The factory certificate was used before. It is recorded.
    FactoryUsed,
    /// What the machine's TPM measured is not on the list for its model. It is recorded.
    MeasurementRefused,
    /// The device was taken out of service.
    Retired,
    /// The device is held until an operator accepts that a number of its modem or SIM changed.
    Held,
    /// The one-time code is unknown, lapsed or used, or for another name.
    CodeRefused,
    /// No machine with this serial number and this TPM may enrol.
    EndorsementRefused,
    /// A TPM's statement that does not hold.
    AttestationRefused,
    /// The device key is not proved to be in the TPM.
    KeyNotBound,
    /// The challenge is unknown, lapsed, or was answered before.
    ChallengeRefused,
    /// Devices enrol by what their TPM states, and by no claim.
    AttestationRequired,
    /// The CSR is not a P-256 request signed by its own key.
    CsrRefused,
    /// Poll or report number that was already accepted.
    Replay,
    /// Signed metadata that does not verify.
    MetadataRefused,
    /// Too many requests in too short a time; `Retry-After` says when to come back.
    RateLimited,
    /// The store is busy or broken; try again.
    Unavailable,
}

impl RefusalCode {
    /// All codes, for the page that lists them.
    pub const ALL: [Self; 26] = [
        Self::BadRequest,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Quarantined,
        Self::SecondPersonNeeded,
        Self::ClaimRefused,
        Self::ClaimUsed,
        Self::FactoryRefused,
        Self::FactoryUsed,
        Self::MeasurementRefused,
        Self::Retired,
        Self::Held,
        Self::CodeRefused,
        Self::EndorsementRefused,
        Self::AttestationRefused,
        Self::KeyNotBound,
        Self::ChallengeRefused,
        Self::AttestationRequired,
        Self::CsrRefused,
        Self::Replay,
        Self::MetadataRefused,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// The code as it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::TooLarge => "too-large",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Quarantined => "quarantined",
            Self::SecondPersonNeeded => "second-person-needed",
            Self::ClaimRefused => "claim-refused",
            Self::ClaimUsed => "claim-used",
            Self::FactoryRefused => "factory-refused",
            Self::FactoryUsed => "factory-used",
            Self::MeasurementRefused => "measurement-refused",
            Self::Retired => "retired",
            Self::Held => "held",
            Self::CodeRefused => "code-refused",
            Self::EndorsementRefused => "endorsement-refused",
            Self::AttestationRefused => "attestation-refused",
            Self::KeyNotBound => "key-not-bound",
            Self::ChallengeRefused => "challenge-refused",
            Self::AttestationRequired => "attestation-required",
            Self::CsrRefused => "csr-refused",
            Self::Replay => "replay",
            Self::MetadataRefused => "metadata-refused",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status it travels with.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest | Self::CsrRefused | Self::MetadataRefused => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden
            | Self::Quarantined
            | Self::SecondPersonNeeded
            | Self::ClaimRefused
            | Self::ClaimUsed
            | Self::FactoryRefused
            | Self::FactoryUsed
            | Self::MeasurementRefused
            | Self::Retired
            | Self::Held
            | Self::CodeRefused
            | Self::EndorsementRefused
            | Self::AttestationRefused
            | Self::KeyNotBound
            | Self::ChallengeRefused
            | Self::AttestationRequired => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::Replay => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
        }
    }

    /// The refusal with its words.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Refusal {
        Refusal { code: self.as_str().into(), detail: detail.into() }
    }
}

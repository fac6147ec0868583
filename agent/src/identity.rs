//! Who the device is: a P-256 key of its own, made once and never sent, and a short-lived
//! certificate for it. The key signs reports and manifests as well; where it lives, `key` knows.

use std::path::{Path, PathBuf};

use lazaret_agent_core::poll::renewal_ms;
use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::id::{DeviceId, SerialNumber};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use x509_parser::pem::Pem;

use crate::durable::{self, Access, Durable, DurableError};
use crate::tls::ClientIdentity;
use crate::transport::{Transport, TransportError};

mod attested;
mod key;
mod ratchet;

pub use key::{Attester, DeviceKey, KeyError, TpmClaims};
pub use ratchet::Ratchet;

/// Largest certificate file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The device has no usable identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read or kept.
    #[error("identity cannot be kept")]
    Durable(#[from] DurableError),
    /// The server was asked and did not give a certificate.
    #[error("no certificate was given")]
    Transport(#[from] TransportError),
    /// The key cannot be had or used.
    #[error("the device key cannot be used")]
    Key(#[from] KeyError),
    /// A certificate that cannot be used.
    #[error("expected a certificate for this device's key: {why}")]
    BadCertificate {
        /// What is wrong with it.
        why: String,
    },
    /// The device is not enrolled and has no claim.
    #[error("expected a claim in {}, because this device is not enrolled", path.display())]
    NoClaim {
        /// Where.
        path: PathBuf,
    },
}

/// By what a device that is not enrolled says who it is.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// By the claim in this file.
    Claim(&'a Path),
    /// By what the TPM with its key states.
    Tpm,
}

/// A certificate and when to renew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As the server gave it.
    pub reply: EnrollReply,
    /// When it begins.
    pub not_before: Timestamp,
}

impl Certificate {
    /// Reads the stored certificate; none on a device that is not enrolled.
    ///
    /// # Errors
    /// The file cannot be read, or is not a certificate for `key`.
    pub fn load(state_dir: &Path, key: &DeviceKey) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = durable::read(&path(state_dir), FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let reply = serde_json::from_slice(&bytes)
            .map_err(|err| IdentityError::BadCertificate { why: err.to_string() })?;
        Self::check(reply, key).map(Some)
    }

    /// Enrols with the claim, or with what the TPM states. The key was durable before, and the
    /// certificate is before it is used. A power cut between the server's commit and ours loses the
    /// answer; the server decides whether the same claim with the same key may be asked with once
    /// more.
    ///
    /// # Errors
    /// There is no claim, the server said no, or the certificate cannot be kept.
    pub fn enroll(
        state_dir: &Path,
        key: &DeviceKey,
        (serial, credential): (&SerialNumber, Credential<'_>),
        transport: &Transport,
        durable: &Durable,
    ) -> Result<Self, IdentityError> {
        let reply = match credential {
            Credential::Claim(file) => {
                let bytes = durable::read(file, 4096)?
                    .ok_or_else(|| IdentityError::NoClaim { path: file.to_owned() })?;
                let claim = String::from_utf8_lossy(&bytes).trim().to_owned();
                let request = EnrollRequest { serial: serial.clone(), claim, csr: key.csr()? };
                transport.enroll(&request)?
            }
            Credential::Tpm => attested::enroll(serial, key, transport)?,
        };
        Self::keep(reply, state_dir, key, durable)
    }

    /// Renews, over the certificate that is about to end.
    ///
    /// # Errors
    /// The server said no, or the certificate cannot be kept; the old one is still there then.
    pub fn renew(
        &self,
        state_dir: &Path,
        key: &DeviceKey,
        transport: &Transport,
        durable: &Durable,
    ) -> Result<Self, IdentityError> {
        let reply = transport.renew(&RenewRequest { csr: key.csr()? })?;
        if reply.device != self.reply.device {
            let why =
                format!("expected one for {}, got one for {}", self.reply.device, reply.device);
            return Err(IdentityError::BadCertificate { why });
        }
        Self::keep(reply, state_dir, key, durable)
    }

    fn keep(
        reply: EnrollReply,
        state_dir: &Path,
        key: &DeviceKey,
        durable: &Durable,
    ) -> Result<Self, IdentityError> {
        let certificate = Self::check(reply, key)?;
        let bytes = serde_json::to_vec(&certificate.reply)
            .map_err(|err| IdentityError::BadCertificate { why: err.to_string() })?;
        // A key in a token has made no folder.
        durable.folder(&state_dir.join("identity"))?;
        durable.write(&path(state_dir), &bytes, Access::Owner, "identity-certificate")?;
        Ok(certificate)
    }

    /// A certificate for another key would lock the device out once it is used.
    fn check(reply: EnrollReply, key: &DeviceKey) -> Result<Self, IdentityError> {
        let bad = |why: String| IdentityError::BadCertificate { why };
        let pem = Pem::iter_from_buffer(reply.certificate_chain.as_bytes())
            .next()
            .ok_or_else(|| bad("the chain is empty".into()))?
            .map_err(|err| bad(err.to_string()))?;
        let certificate = pem.parse_x509().map_err(|err| bad(err.to_string()))?;
        let PublicKey::EcdsaP256(expected) = key.public() else {
            return Err(bad("the device's key is of another kind".into()));
        };
        if *certificate.public_key().subject_public_key.data != *expected {
            return Err(bad("it is for another key".into()));
        }
        let seconds = certificate.validity().not_before.timestamp();
        let not_before =
            Timestamp::from_ms(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        Ok(Self { reply, not_before })
    }

    /// Who the device is.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.reply.device
    }

    /// When to renew: around half its life.
    #[must_use]
    pub fn renew_at(&self, random: u64) -> Timestamp {
        let lifetime = self.reply.not_after.since_ms(self.not_before);
        self.not_before.plus_ms(renewal_ms(lifetime, random))
    }

    /// What to show on connections.
    #[must_use]
    pub fn client<'a>(&'a self, key: &'a DeviceKey) -> ClientIdentity<'a> {
        ClientIdentity { chain_pem: &self.reply.certificate_chain, key }
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity").join("certificate.json")
}

#[cfg(test)]
pub(crate) mod tests;

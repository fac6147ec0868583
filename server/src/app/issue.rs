//! Device certificates. The server decides everything in them but the key: rcgen would sign
//! whatever a CSR asks for, `CA:TRUE` included, so its wishes are thrown away.

use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{HOUR_MS, SECOND_MS, Timestamp};
use lazaret_server_domain::enroll::Issued;
use lazaret_server_domain::refused::Refused;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
    SerialNumber,
};

use super::context::random;
use super::error::AppError;

/// Certificates begin this long ago, in milliseconds, for devices whose clocks are behind.
const BACKDATED_MS: u64 = HOUR_MS;

/// Largest CSR, in bytes of PEM. A P-256 one is about 500.
const CSR_BYTES_MAX: usize = 8 * 1024;

/// A CA that issues certificates of one kind: of devices, or of operators.
pub(crate) struct DeviceIssuer {
    issuer: Issuer<'static, KeyPair>,
    chain: String,
    /// The root CA in PEM, where it is not in the chain; empty without one.
    root: String,
    life_ms: u64,
}

/// A certificate in PEM with its chain, and what the registry keeps of it.
pub(crate) struct IssuedCertificate {
    /// PEM: the device's certificate, then the CA's.
    pub(crate) chain: String,
    /// For the registry.
    pub(crate) issued: Issued,
}

/// A CA that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum IssuerError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a CA certificate with its key.
    #[error("expected a CA certificate and its private key in {certificate} and {key}")]
    Malformed {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rcgen said.
        #[source]
        source: rcgen::Error,
    },
}

impl DeviceIssuer {
    /// Loads the CA.
    ///
    /// # Errors
    /// Unreadable, or not a CA and its key.
    pub(crate) fn load(
        (certificate, root): (&Path, Option<&Path>),
        key: &Path,
        life_hours: u64,
    ) -> Result<Self, IssuerError> {
        let read = |path: &Path| {
            let path = path.to_path_buf();
            std::fs::read_to_string(&path)
                .map_err(|source| IssuerError::Unreadable { path, source })
        };
        let chain = read(certificate)?;
        let root = root.map(read).transpose()?.unwrap_or_default();
        let malformed = |source| IssuerError::Malformed {
            certificate: certificate.into(),
            key: key.into(),
            source,
        };
        let pair = KeyPair::from_pem(&read(key)?).map_err(malformed)?;
        let issuer = Issuer::from_ca_cert_pem(&chain, pair).map_err(malformed)?;
        Ok(Self { issuer, chain, root, life_ms: life_hours.saturating_mul(HOUR_MS) })
    }

    /// The CA, and those above it up to the root, in PEM.
    #[must_use]
    pub(crate) fn up_to_root(&self) -> String {
        format!("{}{}", self.chain, self.root)
    }

    /// How long a certificate lives, in milliseconds.
    #[must_use]
    pub(crate) const fn life_ms(&self) -> u64 {
        self.life_ms
    }

    /// Issues a certificate for `device` over the CSR's key. The CSR proves that the device has the
    /// private key; nothing else of it is used.
    ///
    /// # Errors
    /// The CSR is not a P-256 request signed by its own key.
    pub(crate) fn issue(
        &self,
        device: &DeviceId,
        csr: &str,
        now: Timestamp,
    ) -> Result<IssuedCertificate, AppError> {
        self.certify(device.as_str(), csr, now)
    }

    /// Issues a certificate for whoever is called `name`.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub(crate) fn certify(
        &self,
        name: &str,
        csr: &str,
        now: Timestamp,
    ) -> Result<IssuedCertificate, AppError> {
        let key = checked_key(csr)?;
        let ends = now.plus_ms(self.life_ms);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&positive(random::<16>()?)));
        params.not_before = date(Timestamp::from_ms(now.as_ms().saturating_sub(BACKDATED_MS)));
        params.not_after = date(ends);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let issued = Issued {
            key: public(&key),
            certificate: Sha256Digest::of(certificate.der()),
            // X.509 says whole seconds.
            ends: Timestamp::from_ms(ends.as_ms() / SECOND_MS * SECOND_MS),
        };
        Ok(IssuedCertificate { chain: format!("{}{}", certificate.pem(), self.chain), issued })
    }
}

/// The key of a CSR as the registry keeps it.
pub(crate) fn public(key: &rcgen::PublicKey) -> PublicKey {
    PublicKey::EcdsaP256(key.der_bytes().to_vec())
}

/// The key of a CSR, once its own signature has been checked.
///
/// # Errors
/// Not a P-256 request signed by its own key.
pub(crate) fn checked_key(csr: &str) -> Result<rcgen::PublicKey, AppError> {
    let refused = |why: String| Refused::because(RefusalCode::CsrRefused, why);
    if csr.len() > CSR_BYTES_MAX {
        let why = format!("expected a CSR of at most {CSR_BYTES_MAX} bytes, got {}", csr.len());
        return Err(refused(why).into());
    }
    let request = CertificateSigningRequestParams::from_pem(csr).map_err(|err| {
        refused(format!("expected a PKCS#10 request in PEM that is signed by its own key: {err}"))
    })?;
    if request.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        let why = "expected a P-256 key with ECDSA and SHA-256".to_owned();
        return Err(refused(why).into());
    }
    Ok(request.public_key)
}

/// Serial numbers are positive (RFC 5280, 4.1.2.2).
fn positive(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0] = bytes[0] & 0x7f | 0x40;
    bytes
}

fn date(at: Timestamp) -> ::time::OffsetDateTime {
    let seconds = i64::try_from(at.as_ms() / SECOND_MS).unwrap_or(i64::MAX);
    ::time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(::time::OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;

//! The certificate authority: an offline root, and under it one issuing CA each for devices,
//! operators and servers. Every field of every certificate is set here; nothing from outside
//! decides one.

mod subject;

use std::net::IpAddr;
use std::time::Duration;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::Role;
use lazaret_protocol::time::{DAY_MS, HOUR_MS, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

/// Certificates are valid from this long before they are made, because clocks differ.
const BACKDATE_MS: u64 = HOUR_MS;

/// Life of the root and of the CAs below it, in days.
const ROOT_DAYS: u64 = 20 * 365;
const ISSUING_DAYS: u64 = 10 * 365;

/// Longest life of a leaf, in days.
pub const LEAF_DAYS_MAX: u64 = 825;

/// Names and addresses of one server.
pub const SERVER_NAMES_MAX: usize = 64;

/// Longest name of an organisation, in characters (X.520's bound on a common name, less our
/// suffix).
pub const NAME_CHARS_MAX: usize = 40;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// rcgen refused.
    #[error("certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// A name that is none.
    #[error("expected {expected}, got {got:?}")]
    Name {
        /// What was expected.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// A life that is too long or zero.
    #[error("expected 1 to {LEAF_DAYS_MAX} days, got {got}")]
    Days {
        /// What came.
        got: u64,
    },
    /// Not a certificate.
    #[error("expected a CA certificate in PEM")]
    NotACertificate,
    /// The key is of another CA.
    #[error("the key does not belong to the CA certificate")]
    WrongKey,
    /// The CA itself has expired, or expires before what it should issue would.
    #[error("the CA certificate expires {not_after}, before what it would issue")]
    OutlivesCa {
        /// When, RFC 3339.
        not_after: String,
    },
    /// DER could not be written.
    #[error("subject cannot be encoded")]
    Encoding,
    /// The system gives no random numbers.
    #[error("system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, and behind it the issuing CA's where it is a leaf. PEM.
    pub chain_pem: String,
    /// The private key, PKCS#8 DER.
    pub key: KeyPair,
}

/// What an issuing CA may issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuing {
    /// Device certificates; its key is on the server.
    Devices,
    /// Operator certificates.
    Operators,
    /// Server certificates.
    Servers,
}

impl Issuing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Devices, Self::Operators, Self::Servers];

    /// What its files are called: `<stem>.pem` and `<stem>.key`.
    #[must_use]
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Devices => "device-ca",
            Self::Operators => "operator-ca",
            Self::Servers => "server-ca",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Devices => "Device CA",
            Self::Operators => "Operator CA",
            Self::Servers => "Server CA",
        }
    }

    const fn usage(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Devices | Self::Operators => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Servers => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

/// A CA that can issue: its certificate and key, checked to belong together.
pub struct Authority {
    certificate_pem: String,
    not_after_ms: u64,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Takes up an issuing CA from its files.
    ///
    /// # Errors
    /// Not a CA certificate, not a P-256 key, or a key of another CA.
    pub fn open(certificate_pem: &str, key_der: &[u8]) -> Result<Self, AuthorityError> {
        let der = rustls_pki_types::CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| AuthorityError::NotACertificate)?;
        let key = PrivatePkcs8KeyDer::from(key_der);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)
            .map_err(|_| AuthorityError::NotACertificate)?;
        if !parsed.is_ca() {
            return Err(AuthorityError::NotACertificate);
        }
        let listed: &[u8] = &parsed.public_key().subject_public_key.data;
        if listed != rcgen::PublicKeyData::der_bytes(&key) {
            return Err(AuthorityError::WrongKey);
        }
        let not_after = parsed.validity().not_after.timestamp();
        let not_after_ms = u64::try_from(not_after).unwrap_or(0).saturating_mul(1000);
        let certificate_pem = certificate_pem.to_owned();
        Ok(Self { certificate_pem, not_after_ms, issuer: Issuer::from_ca_cert_der(&der, key)? })
    }

    /// Issues a server's TLS certificate.
    ///
    /// # Errors
    /// No name, a name that is none, or a life that is too long.
    pub fn server(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        days: u64,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let count = names.len().saturating_add(addresses.len());
        let Some(first) = names.first().cloned().or(addresses.first().map(IpAddr::to_string))
        else {
            return Err(unexpected("at least one --name or --ip", ""));
        };
        if count > SERVER_NAMES_MAX {
            return Err(unexpected("at most 64 names and addresses", &count.to_string()));
        }
        let mut parameters = self.leaf(days, now)?;
        parameters.distinguished_name = common_name(&first.chars().take(64).collect::<String>());
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            check_host(name)?;
            let name = name.as_str().try_into().map_err(|_| unexpected("a host name", name))?;
            parameters.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = addresses.iter().map(|address| SanType::IpAddress(*address));
        parameters.subject_alt_names.extend(addresses);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let chain_pem = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok(Issued { chain_pem, key })
    }

    /// Issues an operator's certificate: common name is the operator, one organisational unit per
    /// role.
    ///
    /// # Errors
    /// No role, or a life that is too long.
    pub fn operator(
        &self,
        name: &OperatorName,
        roles: &[Role],
        days: u64,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        if roles.is_empty() {
            return Err(unexpected("at least one role", ""));
        }
        let mut parameters = self.leaf(days, now)?;
        parameters.distinguished_name = common_name(name.as_str());
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let units: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let pem = subject::rewrite(&certificate, (name.as_str(), &units), self.issuer.key())?;
        Ok(Issued { chain_pem: format!("{pem}{}", self.certificate_pem), key })
    }

    fn leaf(&self, days: u64, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
        if days == 0 || days > LEAF_DAYS_MAX {
            return Err(AuthorityError::Days { got: days });
        }
        let mut parameters = parameters(days, now)?;
        if now.plus_ms(days.saturating_mul(DAY_MS)).as_ms() > self.not_after_ms {
            let not_after = Timestamp::from_ms(self.not_after_ms).to_rfc3339();
            return Err(AuthorityError::OutlivesCa { not_after });
        }
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(parameters)
    }
}

/// A new authority: the root, then one issuing CA for each of [`Issuing::ALL`].
///
/// # Errors
/// The name is empty or too long, or rcgen failed.
pub fn create(name: &str, now: Timestamp) -> Result<(Issued, [Issued; 3]), AuthorityError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '&');
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(plain) {
        return Err(unexpected("a name of 1 to 40 letters, digits and spaces", name));
    }
    let mut parameters = ca(&format!("{name} Root CA"), (ROOT_DAYS, now))?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let root = parameters.self_signed(&key)?;
    let issuer = Issuer::new(parameters, key);
    let issue = |kind: Issuing| {
        let mut parameters = ca(&format!("{name} {}", kind.words()), (ISSUING_DAYS, now))?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.extended_key_usages = vec![kind.usage()];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        Ok::<_, AuthorityError>(Issued { chain_pem: certificate.pem(), key })
    };
    let [devices, operators, servers] = Issuing::ALL;
    let issued = [issue(devices)?, issue(operators)?, issue(servers)?];
    let key = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(issuer.key().serialized_der()),
        &PKCS_ECDSA_P256_SHA256,
    )?;
    Ok((Issued { chain_pem: root.pem(), key }, issued))
}

fn ca(name: &str, life: (u64, Timestamp)) -> Result<CertificateParams, AuthorityError> {
    let (days, now) = life;
    let mut parameters = parameters(days, now)?;
    parameters.distinguished_name = common_name(name);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

fn parameters(days: u64, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut parameters = CertificateParams::default();
    let at = |ms: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(ms / 1000);
    parameters.not_before = at(now.as_ms().saturating_sub(BACKDATE_MS));
    parameters.not_after = at(now.plus_ms(days.saturating_mul(DAY_MS)).as_ms());
    parameters.serial_number = Some(serial()?);
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// 16 random bytes, positive and never zero (RFC 5280 4.1.2.2 allows 20).
fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(AuthorityError::Random)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn check_host(name: &str) -> Result<(), AuthorityError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(unexpected("a host name", name))
}

fn unexpected(expected: &'static str, got: &str) -> AuthorityError {
    AuthorityError::Name { expected, got: got.chars().take(120).collect() }
}

#[cfg(test)]
mod tests;

//! Bundles for tests, made as a device makes them: a CA, a device's certificate and key, a log, a
//! manifest, a tar file. The integration tests include this file too.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log::{Chain, Clock, Detail, Entry, Kind};
use lazaret_protocol_evidence::manifest::{
    Artifact, ArtifactStatus, DEVICE_FILE, LOG_FILE, MANIFEST_FILE, Manifest,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SigningKey as _, date_time_ymd,
};

/// A CA and what it issues.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this use, valid in 2026, with its key.
    pub(crate) fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Holder {
        let names = match usage {
            ExtendedKeyUsagePurpose::ServerAuth => vec!["127.0.0.1".to_owned()],
            _ => vec![],
        };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2126, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Holder { certificate: certificate.pem(), key }
    }
}

/// A certificate and its key.
pub(crate) struct Holder {
    pub(crate) certificate: String,
    pub(crate) key: KeyPair,
}

/// A device with its CA.
pub(crate) struct Device {
    pub(crate) ca: Authority,
    pub(crate) holder: Holder,
}

impl Device {
    /// `d-1`.
    pub(crate) fn new() -> Self {
        let ca = Authority::new("device CA");
        let holder = ca.issue("d-1", ExtendedKeyUsagePurpose::ClientAuth);
        Self { ca, holder }
    }

    /// `device.pem`.
    pub(crate) fn chain(&self) -> Vec<u8> {
        format!("{}{}", self.holder.certificate, self.ca.pem).into_bytes()
    }

    /// The files of a bundle, in their order.
    pub(crate) fn bundle(&self) -> Vec<(String, Vec<u8>)> {
        let (log, log_head) = log();
        let artifacts = [
            ("processes", ArtifactStatus::Collected, b"1 init\n".to_vec()),
            ("sockets", ArtifactStatus::Failed, b"no /proc/net".to_vec()),
        ];
        let said = artifacts.iter().map(|(name, status, bytes)| Artifact {
            name: name.parse().unwrap(),
            status: *status,
            length: bytes.len() as u64,
            sha256: Sha256Digest::of(bytes),
            reason: (*status == ArtifactStatus::Failed).then(|| "no \u{1b}[2J/proc/net".to_owned()),
        });
        let manifest = Manifest {
            bundle: "b-1".parse().unwrap(),
            device: "d-1".parse().unwrap(),
            collected_at: Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap(),
            log_head,
            reason: None,
            device_pem: Sha256Digest::of(&self.chain()),
            log: Sha256Digest::of(&log),
            artifacts: said.collect(),
        };
        let public = PublicKey::EcdsaP256(self.holder.key.public_key_raw().to_vec());
        let sealed = manifest.seal(public.key_id(), |bytes| self.holder.key.sign(bytes)).unwrap();
        let mut files = vec![
            (MANIFEST_FILE.to_owned(), sealed),
            (DEVICE_FILE.to_owned(), self.chain()),
            (LOG_FILE.to_owned(), log),
        ];
        let paths = manifest.artifacts.iter().map(Artifact::path);
        files.extend(paths.zip(artifacts).map(|(path, (_, _, bytes))| (path, bytes)));
        files
    }
}

fn log() -> (Vec<u8>, lazaret_protocol::poll::LogHead) {
    let mut chain = Chain::new(&"d-1".parse().unwrap());
    let mut bytes = Vec::new();
    for (kind, detail) in [
        (Kind::known("started"), Detail::none().number("slot", 1u64)),
        (Kind::known("order-accepted"), Detail::none().text("do", "collect \u{202e}all")),
    ] {
        let at = Timestamp::parse_rfc3339("2026-06-01T11:59:00Z").unwrap();
        let entry = Entry { at, clock: Clock::Authenticated, boot: 7, kind, detail };
        let appended = chain.append(entry).unwrap();
        chain.advance(&appended);
        bytes.extend_from_slice(&appended.line);
    }
    (bytes, chain.head().clone())
}

/// A tar file with these files.
pub(crate) fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

//! Bundles for tests, made as a device makes them: a CA, a device's certificate and key, a log, a
//! manifest, a tar file. The integration tests include this file too.

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::{LogHead, LogRing};
use lazaret_protocol::sshsig::{SshError, SshSignature};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::epoch::{EPOCH, NewEpoch};
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::log::{Clock, Detail, Kind};
use lazaret_protocol_evidence::manifest::{
    Artifact, ArtifactStatus, DEVICE_FILE, LogPart, MANIFEST_FILE, Manifest, SUMS_FILE,
    SUMS_NAMESPACE, SUMS_SIGNATURE_FILE,
};
use lazaret_protocol_evidence::sums;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::{SignatureType, SignedNote, VerifierKey};
use lazaret_protocol_evidence::tlog::tile::write_entry;
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};
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
        let mut rest = vec![(DEVICE_FILE.to_owned(), self.chain())];
        let mut logs = Vec::new();
        for ring in LogRing::ALL {
            let (files, part) = self.log(ring);
            rest.extend(files);
            logs.push(part);
        }
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
        let said: Vec<Artifact> = said.collect();
        let paths = said.iter().map(Artifact::path);
        rest.extend(paths.zip(artifacts).map(|(path, (_, _, bytes))| (path, bytes)));
        let digests: Vec<(String, Sha256Digest)> =
            rest.iter().map(|(name, bytes)| (name.clone(), Sha256Digest::of(bytes))).collect();
        let sums = sums::write(digests.iter().map(|(name, digest)| (name.as_str(), *digest)));
        let own = (SUMS_FILE.to_owned(), Sha256Digest::of(sums.as_bytes()));
        let named = |(name, _): &(String, Sha256Digest)| {
            !name.contains("/tile/") && !name.starts_with("artifacts/")
        };
        let manifest = Manifest {
            bundle: "b-1".parse().unwrap(),
            device: "d-1".parse().unwrap(),
            collected_at: moment("2026-06-01T12:00:00Z"),
            boot: 7,
            profile: "triage".parse().unwrap(),
            logs,
            reason: None,
            fixed: [own].into_iter().chain(digests.into_iter().filter(named)).collect(),
            artifacts: said,
        };
        let public = self.public();
        let sealed = manifest.seal(public.key_id(), |bytes| self.holder.key.sign(bytes)).unwrap();
        let sign = |bytes: &[u8]| Ok::<_, SshError>(self.holder.key.sign(bytes).unwrap());
        let signature = SshSignature::sign(&public, SUMS_NAMESPACE, sums.as_bytes(), sign).unwrap();
        let first = [
            (MANIFEST_FILE.to_owned(), sealed),
            (SUMS_FILE.to_owned(), sums.into_bytes()),
            (SUMS_SIGNATURE_FILE.to_owned(), signature.into_bytes()),
        ];
        first.into_iter().chain(rest).collect()
    }

    /// The device's public key.
    fn public(&self) -> PublicKey {
        PublicKey::EcdsaP256(self.holder.key.public_key_raw().to_vec())
    }

    /// A ring of one epoch and two records, sealed.
    fn log(&self, ring: LogRing) -> (Vec<(String, Vec<u8>)>, LogPart) {
        let origin = ring.origin(&"d-1".parse().unwrap());
        let sealer = SigningKey::from_bytes(&[5; 32]);
        let public = sealer.verifying_key().to_bytes();
        let epoch = NewEpoch { origin: origin.clone(), number: 1, seq: 0, public };
        let by_identity = |bytes: &[u8]| self.holder.key.sign(bytes).unwrap();
        let begun = epoch.detail(&by_identity(&epoch.message()), &by_identity(&epoch.voucher()));
        let (mut bundle, mut tree) = (Vec::new(), Edge::new());
        for (seq, (kind, detail)) in (0_u64..).zip([
            (EPOCH, begun),
            (Kind::known("started"), Detail::none().number("slot", 1u64)),
            (Kind::known("order-accepted"), Detail::none().text("do", "collect \u{202e}all")),
        ]) {
            let at = Some(moment("2026-06-01T11:59:00Z"));
            let clock = Clock::Authenticated;
            let record = Record { seq, boot: 7, monotonic: seq, at, clock, kind, detail };
            let entry = record.to_bytes().unwrap();
            tree.push(leaf_hash(&entry)).unwrap();
            write_entry(&mut bundle, &entry).unwrap();
        }
        let (size, hash) = (tree.size(), tree.root());
        let head = Checkpoint { origin: origin.clone(), size, root: hash, extensions: vec![] };
        let text = head.to_string();
        let by = VerifierKey::new(&origin, SignatureType::Ed25519, public).unwrap();
        let signature = sealer.sign(&by.message(&text, 0)).to_bytes();
        let seal = SignedNote::new(text, vec![by.signed(0, &signature)]).unwrap().to_text();
        let folder = format!("log/{}/", ring.as_str());
        let files = vec![
            (format!("{folder}checkpoint"), seal.into_bytes()),
            (format!("{folder}tile/entries/000.p/3"), bundle),
        ];
        (files, LogPart { ring, head: LogHead { size, hash }, from: 0 })
    }
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
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

//! Who may sign a role and who did, by name where a public key file says one. The TUF client has
//! checked the threshold before; here each signature is looked at once more, to say whose it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lazaret_protocol::canonical;
use lazaret_protocol::key::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use crate::client::pem_bytes;

/// Public key files that are looked at.
const NAMES_MAX: usize = 256;

/// A key of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Signer {
    /// The key, as TUF metadata names it.
    pub(super) keyid: String,
    /// Who holds it, where that is known here.
    pub(super) holder: Option<String>,
    /// Whether it has signed the version that is served.
    pub(super) signed: bool,
}

/// Names of holders by their keys.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<PublicKey, String>);

#[derive(Deserialize)]
struct Holder {
    holder: String,
    #[serde(flatten)]
    key: PublicKey,
}

impl Names {
    /// From the `.pub` files of a folder, as `lazaret-keys` writes them.
    pub(super) fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut names = Self::default();
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries.take(NAMES_MAX) {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "pub")
                && let Ok(holder) = serde_json::from_slice::<Holder>(&pem_bytes(&path)?)
            {
                names.0.insert(holder.key, holder.holder);
            }
        }
        Ok(names)
    }
}

/// The keys and the threshold of `role`, from the document that lists them.
pub(super) fn of(
    role: &str,
    lister: &[u8],
    document: Option<&[u8]>,
    names: &Names,
) -> anyhow::Result<(Vec<Signer>, u64)> {
    let lister: Value = serde_json::from_slice(lister)?;
    let (keys, listed) = listed(role, &lister).with_context(|| format!("nothing lists {role}"))?;
    let threshold = listed.get("threshold").and_then(Value::as_u64).context("no threshold")?;
    let good = document.map(Signatures::read).transpose()?;
    let keyids = listed.get("keyids").and_then(Value::as_array).context("no keyids")?;
    let signer = |keyid: &str| {
        let key = keys.get(keyid).and_then(public_key);
        let signed = match (&key, &good) {
            (Some(key), Some(good)) => good.by(keyid, key),
            _ => false,
        };
        let holder = key.and_then(|key| names.0.get(&key).cloned());
        Signer { keyid: keyid.to_owned(), holder, signed }
    };
    let signers = keyids.iter().filter_map(Value::as_str).map(signer).collect();
    Ok((signers, threshold))
}

/// The keys and the entry of a role: in root by name, in targets among the delegations.
fn listed<'a>(role: &str, lister: &'a Value) -> Option<(&'a Value, &'a Value)> {
    if let Some(entry) = lister.pointer("/signed/roles").and_then(|roles| roles.get(role)) {
        return Some((lister.pointer("/signed/keys")?, entry));
    }
    let delegations = lister.pointer("/signed/delegations")?;
    let roles = delegations.get("roles")?.as_array()?;
    let entry = roles.iter().find(|entry| entry.get("name").is_some_and(|name| name == role))?;
    Some((delegations.get("keys")?, entry))
}

struct Signatures {
    payload: Vec<u8>,
    by_keyid: BTreeMap<String, Vec<u8>>,
}

impl Signatures {
    fn read(document: &[u8]) -> anyhow::Result<Self> {
        let file: Value = serde_json::from_slice(document)?;
        let payload = canonical::value_to_bytes(file.get("signed").context("nothing is signed")?)?;
        let listed = file.get("signatures").and_then(Value::as_array).map(Vec::as_slice);
        let read = |entry: &Value| {
            let sig = hex::decode(entry.get("sig")?.as_str()?).ok()?;
            Some((entry.get("keyid")?.as_str()?.to_owned(), sig))
        };
        let by_keyid = listed.unwrap_or_default().iter().filter_map(read).collect();
        Ok(Self { payload, by_keyid })
    }

    fn by(&self, keyid: &str, key: &PublicKey) -> bool {
        let sig = self.by_keyid.get(keyid);
        sig.is_some_and(|sig| key.verify(&self.payload, sig).is_ok())
    }
}

/// A TUF key object (TUF 4.2.2) of an algorithm that devices take.
fn public_key(key: &Value) -> Option<PublicKey> {
    let public = key.pointer("/keyval/public")?.as_str()?;
    match key.get("scheme")?.as_str()? {
        "ed25519" => Some(PublicKey::Ed25519(hex::decode(public).ok()?)),
        "ecdsa-sha2-nistp256" => {
            let (_, pem) = x509_parser::pem::parse_x509_pem(public.as_bytes()).ok()?;
            let (_, spki) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
            Some(PublicKey::EcdsaP256(spki.subject_public_key.data.to_vec()))
        }
        _ => None,
    }
}

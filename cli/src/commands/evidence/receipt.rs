//! What `pull` keeps beside a bundle: the server's receipt and the custody log, with what they
//! prove of a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::operator::BundleView;
use lazaret_protocol::receipt::Receipt;
use lazaret_protocol_evidence::custody;
use sha2::{Digest as _, Sha256};

/// Largest such file, in bytes: a thousand acts with the longest reasons.
const RECEIPT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is wrong with a receipt or a custody log, in words; none where both hold for the file.
pub(super) fn fault(
    bundle: &Path,
    receipt: &Path,
    keys: &[PublicKey],
) -> anyhow::Result<Option<String>> {
    anyhow::ensure!(
        !keys.is_empty(),
        "--receipt: expected --anchors, which name the server's keys"
    );
    let cannot = || format!("cannot read {}", receipt.display());
    let mut text = String::new();
    let file = File::open(receipt).with_context(cannot)?;
    file.take(RECEIPT_BYTES_MAX).read_to_string(&mut text).with_context(cannot)?;
    let view: BundleView = serde_json::from_str(&text).with_context(cannot)?;
    let Some(envelope) = &view.receipt else {
        return Ok(Some("it has no receipt of the server".to_owned()));
    };
    let receipt = match envelope.verify::<Receipt>(keys) {
        Ok(receipt) => receipt.into_message(),
        Err(err) => return Ok(Some(format!("the receipt is not the server's: {err}"))),
    };
    let found = digest_of(bundle)?;
    if receipt.sha256 != found {
        let said = receipt.sha256;
        return Ok(Some(format!("the server received {said}, this file is {found}")));
    }
    if receipt.bundle != view.id || receipt.device != view.device {
        return Ok(Some(format!("the receipt is for {} of {}", receipt.bundle, receipt.device)));
    }
    let Some(seal) = &view.custody_seal else {
        return Ok(Some("the custody log is not sealed".to_owned()));
    };
    let checked = custody::verify(&view.id, &view.custody, seal, keys);
    Ok(checked.err().map(|err| format!("the custody log does not hold: {err}")))
}

fn digest_of(path: &Path) -> anyhow::Result<Sha256Digest> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer).with_context(cannot)?;
        let Some(read @ [_, ..]) = buffer.get(..count) else { break };
        hash.update(read);
    }
    Ok(Sha256Digest::from_bytes(hash.finalize().into()))
}

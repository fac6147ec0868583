//! Uploading a bundle over whatever link there is. The server keeps what came of a piece that a
//! break cut off. Where it cannot, because it died itself or never learnt of the break, a piece is
//! lost: so pieces are as large as the link has lately let through without a break, divided by
//! [`WASTE`], and that is a small part of what came through, on a bad link and on a good one.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lazaret_protocol::id::BundleId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::receipt::Receipt;

use super::{BundleError, Content, path};
use crate::durable::told;
use crate::transport::{EVIDENCE_CHUNK_BYTES_MAX, Evidence, Transport};

/// What a break may lose is this part of what came through before it: about 3 %.
const WASTE: u64 = 32;

/// Smallest and largest piece, in bytes. The smallest costs about 1 % in headers.
const PIECE_BYTES_MIN: u64 = 32 * 1024;
const PIECE_BYTES_MAX: u64 = 1024 * 1024;

/// How an upload went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// The time is up; call again.
    Paused,
    /// The server has all of it, and said so over its signature.
    Complete(Box<Receipt>),
}

/// How well the link has done, kept from one try to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Bytes that came through since the last break.
    run: u64,
    /// Bytes that came through between the last two breaks.
    before: u64,
    /// How much of the bundle the server is known to have.
    reached: Option<u64>,
}

impl Link {
    /// The size of the next piece.
    pub(super) fn piece(self) -> u64 {
        let run = self.run.max(self.before);
        let most = PIECE_BYTES_MAX.min(u64::try_from(EVIDENCE_CHUNK_BYTES_MAX).unwrap_or(u64::MAX));
        (run / WASTE).clamp(PIECE_BYTES_MIN, most)
    }

    pub(super) const fn through(&mut self, bytes: u64) {
        self.run = self.run.saturating_add(bytes);
        if let Some(reached) = self.reached {
            self.reached = Some(reached.saturating_add(bytes));
        }
    }

    /// The server says how much it has: what came of a piece that was cut off came through as well.
    pub(super) const fn resumed(&mut self, offset: u64) {
        if let Some(reached) = self.reached {
            self.run = self.run.saturating_add(offset.saturating_sub(reached));
        }
        self.reached = Some(offset);
    }

    /// The link broke. Says whether anything had come through since it last did.
    pub const fn broke(&mut self) -> bool {
        let progress = self.run > 0;
        self.before = self.run;
        self.run = 0;
        progress
    }
}

/// Uploads from where the server has it, until the end or until `time_is_up`.
///
/// # Errors
/// The server, or the file.
pub fn upload(
    state_dir: &Path,
    bundle: &BundleId,
    (transport, link): (&Transport, &mut Link),
    keys: &[PublicKey],
    time_is_up: &dyn Fn() -> bool,
) -> Result<Upload, BundleError> {
    let path = path(state_dir, bundle);
    let file = File::open(&path).map_err(told("open", &path))?;
    let length = file.metadata().map_err(told("read", &path))?.len();
    let mut offset = transport.evidence_offset(bundle)?;
    link.resumed(offset);
    loop {
        let left =
            length.checked_sub(offset).ok_or(BundleError::BadOffset { length, got: offset })?;
        let want = left.min(link.piece());
        let mut piece = vec![0; usize::try_from(want).unwrap_or(0)];
        file.read_exact_at(&mut piece, offset).map_err(told("read", &path))?;
        if left == want {
            let digest =
                Content::File(path.clone(), length).digest().map_err(told("read", &path))?;
            let sent = Evidence { bundle, offset, piece: &piece, sha256: Some(digest) };
            let answer = transport.evidence_put(&sent)?;
            let receipt = checked(answer.receipt, (bundle, digest, length), keys)?;
            link.reached = None;
            return Ok(Upload::Complete(Box::new(receipt)));
        }
        let sent = Evidence { bundle, offset, piece: &piece, sha256: None };
        offset = transport.evidence_put(&sent)?.offset;
        link.through(want);
        if time_is_up() {
            return Ok(Upload::Paused);
        }
    }
}

/// The receipt, where one of the keys has signed it for these very bytes.
fn checked(
    receipt: Option<lazaret_protocol::signed::Envelope>,
    (bundle, sha256, length): (&BundleId, lazaret_protocol::digest::Sha256Digest, u64),
    keys: &[PublicKey],
) -> Result<Receipt, BundleError> {
    let refused = |why: String| BundleError::NoReceipt { why };
    let receipt = receipt.ok_or_else(|| refused("there is none".to_owned()))?;
    let receipt = receipt.verify::<Receipt>(keys).map_err(|err| refused(err.to_string()))?;
    let receipt = receipt.into_message();
    if receipt.bundle != *bundle || receipt.sha256 != sha256 || receipt.length != length {
        return Err(refused(format!("it is for {} of {}", receipt.sha256, receipt.bundle)));
    }
    Ok(receipt)
}

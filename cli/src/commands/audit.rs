//! `lazaret audit ...`: who did what, and whether the log that says so is what was signed.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use lazaret_protocol::anchors::{ANCHORS_BYTES_MAX, Anchors};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::{SignatureType, SignedNote, VerifierKey};

use super::Session;

mod export;
mod folder;
mod show;
mod verify;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who did what, and who was refused
    Show(show::Args),
    /// Check that no entry was changed, offline over an export or over the server's own log
    Verify(verify::Args),
    /// Fetch the whole log in the layout of c2sp.org/tlog-tiles
    Export(export::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Show(args) => show::run(args, session),
            Self::Verify(args) => verify::run(&args, session),
            Self::Export(args) => export::run(&args, session),
        }
    }
}

/// Reads a moment.
fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|err| err.to_string())
}

/// Whose signature a checkpoint must have. It must come from whom you trust: a server that could
/// rewrite its log could name a key of its own.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Trusted {
    /// The anchors that the targets role signed; they name the audit keys
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// A verifier key NAME+ID+BASE64 (c2sp.org/signed-note); give it once for each
    #[arg(long = "verifier-key", value_name = "KEY")]
    keys: Vec<VerifierKey>,
}

impl Trusted {
    /// The keys, those of the anchors under the name of the log that this checkpoint is of.
    fn keys(&self, checkpoint: &str) -> anyhow::Result<Vec<VerifierKey>> {
        let mut keys = self.keys.clone();
        let Some(path) = &self.anchors else { return Ok(keys) };
        let bytes = folder::bounded(path, ANCHORS_BYTES_MAX as u64)?;
        let anchors = Anchors::parse(&bytes)
            .with_context(|| format!("{} holds no anchors", path.display()))?;
        let note = SignedNote::parse(checkpoint)?;
        let origin = note.text().parse::<Checkpoint>()?.origin;
        for key in &anchors.audit_keys {
            let PublicKey::Ed25519(bytes) = key else { continue };
            let Ok(bytes) = <[u8; 32]>::try_from(bytes.as_slice()) else { continue };
            keys.push(VerifierKey::new(&origin, SignatureType::Ed25519, bytes)?);
        }
        anyhow::ensure!(
            !keys.is_empty(),
            "expected {} to name a key of the audit log, it names none",
            path.display()
        );
        Ok(keys)
    }
}

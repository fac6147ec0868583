//! What every use case has at hand, and the loop that decides again when somebody else was faster.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use lazaret_protocol::time::Timestamp;
use lazaret_server_blobs::blob::BlobStore;
use lazaret_server_domain::measurement::Allowed;
use lazaret_server_domain::number::Bindings;
use lazaret_server_domain::record::Decision;
use lazaret_server_publish::OnlineKeys;
use lazaret_server_store::{Committed, StoreError};
use tokio::sync::{Mutex, Notify, Semaphore, watch};

use super::anomaly::Anomalies;
use super::audit::Refusals;
use super::endorsement::Makers;
use super::error::AppError;
use super::factory::Factories;
use super::held::HeldPolls;
use super::issue::DeviceIssuer;
use super::live::Live;
use super::quarantine::Containment;
use super::records::Records;
use super::uploads::Uploads;
use crate::outgoing::Courier;

/// Times that a decision is made anew before the caller is asked to come back.
const ATTEMPTS_MAX: usize = 5;

/// Whether a machine may enrol with a claim alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claims {
    /// It may.
    Taken,
    /// It has to prove its TPM.
    Refused,
}

/// The server's parts, wired together.
pub(crate) struct App {
    /// Records and events.
    pub(crate) store: Records,
    /// Images, deltas and other targets.
    pub(crate) images: Arc<dyn BlobStore>,
    /// Evidence bundles: a store of their own, so that no repository route can reach them.
    pub(crate) evidence: Arc<dyn BlobStore>,
    /// The online keys.
    pub(crate) keys: OnlineKeys,
    /// The CA for device certificates.
    pub(crate) issuer: DeviceIssuer,
    /// The CA for operators' certificates, where this server issues any.
    pub(crate) operator_issuer: Option<DeviceIssuer>,
    /// The port of the operators' listener, once it is bound.
    pub(crate) operator_port: AtomicU16,
    /// Makers of TPMs that are trusted.
    pub(crate) makers: Makers,
    /// Whether claims let anybody enrol.
    pub(crate) claims: Claims,
    /// Makers of machines that are trusted.
    pub(crate) factories: Factories,
    /// What machines may have measured when they enrol.
    pub(crate) measurements: Vec<Allowed>,
    /// What numbers of modems and SIMs are keyed with.
    pub(crate) identifier_key: [u8; 32],
    /// What becomes of such numbers that are not those that were bound.
    pub(crate) bindings: Bindings,
    /// Connections of devices that are open.
    pub(crate) live: Live,
    /// The clock. Read in `main` and nowhere else.
    pub(crate) clock: fn() -> Timestamp,
    /// What containment goes by.
    pub(crate) containment: Containment,
    /// What is done about anomalies.
    pub(crate) anomalies: Anomalies,
    /// Milliseconds between polls.
    pub(crate) poll_interval_ms: u64,
    /// Days that evidence is kept where nobody holds it; none for ever.
    pub(crate) evidence_days: Option<u64>,
    /// Folder for work in progress, emptied at start.
    pub(crate) scratch: PathBuf,
    /// Uploads that are being written.
    pub(crate) uploads: Uploads,
    /// Rollouts are started one at a time: each looks first whether its devices are busy.
    pub(crate) starting: Mutex<()>,
    /// Says that something changed that a reconciler may want to know.
    pub(crate) changed: watch::Sender<u64>,
    /// Rings after every commit, for whoever reads the event log.
    pub(crate) committed: Notify,
    /// The number of the last event, as far as it was read.
    pub(crate) news: watch::Sender<u64>,
    /// Polls that are held back.
    pub(crate) held: Arc<HeldPolls>,
    /// Says that somebody may be let in no more: streams ask again whether they are.
    pub(crate) doors: watch::Sender<u64>,
    /// Streams of events that are open: each takes a place.
    pub(crate) followers: Arc<Semaphore>,
    /// Delivers to webhooks.
    pub(crate) courier: Courier,
    /// The name of the audit log, where the settings give one.
    pub(crate) audit_origin: Option<String>,
    /// Refusals that are counted for the audit log.
    pub(crate) refusals: Refusals,
    /// Says that the server is about to end: what is held back is answered.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// The time.
    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Wakes reconcilers. Held polls are woken by the events themselves.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Has every open stream ask again whether it is still let in.
    pub(crate) fn look_at_doors(&self) {
        self.doors.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Decides and commits, and does both again where what was read has changed meanwhile.
    ///
    /// # Errors
    /// What `decide` says; the store; or [`StoreError::Changed`] after five times.
    pub(crate) async fn decide<R, Deciding>(
        &self,
        decide: impl Fn() -> Deciding,
    ) -> Result<Committed<R>, AppError>
    where
        Deciding: Future<Output = Result<Decision<R>, AppError>>,
    {
        let mut attempt = 1;
        loop {
            let decision = decide().await?;
            let changes = !decision.changes_nothing();
            match self.store.commit(decision).await {
                Err(StoreError::Changed { key }) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!(key, attempt, "deciding again");
                    attempt += 1;
                }
                Ok(committed) => {
                    if changes {
                        self.committed.notify_one();
                    }
                    return Ok(committed);
                }
                Err(source) => return Err(source.into()),
            }
        }
    }
}

/// Fills `N` bytes with the operating system's randomness.
///
/// # Errors
/// There is none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], AppError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|err| AppError::Randomness { why: err.to_string() })?;
    Ok(bytes)
}

//! The audit log: who is acting is known to every commit that is made on their behalf, so that an
//! act and its leaf are one commit; waiting leaves are taken into the log by a reconciler, and
//! before anybody reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lazaret_protocol::key::PublicKey;
use lazaret_protocol::operator::{
    AUDIT_DONE, AUDIT_TEXT_BYTES_MAX, AuditAct, AuditKeysView, AuditWho, AuditWhoKind,
};
use lazaret_protocol_evidence::audit as spelling;
use lazaret_protocol_evidence::tlog::note::{SignatureType, VerifierKey};
use lazaret_server_domain::audit::ledger::{Entry, Ledger};
use lazaret_server_domain::audit::{
    AuditHead, LEAVES_AT_ONCE, Signer, WaitingLeaf, founded, take_over,
};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_store::StoreError;

use super::context::{App, random};
use super::error::AppError;
use crate::telemetry;

mod read;

pub(crate) use read::{AuditFilter, checkpoint, checkpoints, entries, tile};

/// Times that leaves are taken over anew because another server did so meanwhile.
const ATTEMPTS_MAX: usize = 5;

tokio::task_local! {
    /// On whose behalf the present task commits.
    static CALLER: Arc<Caller>;
}

/// An act that is under way.
#[derive(Debug)]
pub(crate) struct Caller {
    leaf: WaitingLeaf,
    entered: AtomicBool,
}

impl Caller {
    /// An act with a leaf of its own.
    ///
    /// # Errors
    /// There is no randomness.
    pub(crate) fn new(act: AuditAct) -> Result<Arc<Self>, AppError> {
        let leaf = WaitingLeaf::new(act, random()?);
        Ok(Arc::new(Self { leaf, entered: AtomicBool::new(false) }))
    }

    /// The leaf.
    pub(crate) const fn leaf(&self) -> &WaitingLeaf {
        &self.leaf
    }

    /// Whether this decision has to take the leaf with it: the first that changes anything.
    pub(crate) fn is_due<R>(&self, decision: &Decision<R>) -> bool {
        !decision.changes_nothing() && !self.is_entered()
    }

    /// The leaf is on disk.
    pub(crate) fn note_entered(&self) {
        self.entered.store(true, Ordering::Release);
    }

    /// Whether the leaf is on disk.
    pub(crate) fn is_entered(&self) -> bool {
        self.entered.load(Ordering::Acquire)
    }
}

/// On whose behalf the present task acts.
pub(super) fn caller() -> Option<Arc<Caller>> {
    CALLER.try_with(Arc::clone).ok()
}

/// Carries out `act` on behalf of `caller`.
pub(crate) async fn on_behalf_of<F: Future>(caller: &Arc<Caller>, act: F) -> F::Output {
    CALLER.scope(Arc::clone(caller), act).await
}

/// Refusals of the present minute.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Ledger>);

impl Refusals {
    fn with<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Enters an act that changed no record.
///
/// # Errors
/// No randomness; or the store.
pub(crate) async fn enter(app: &App, act: AuditAct) -> Result<(), AppError> {
    let leaf = WaitingLeaf::new(act, random()?);
    app.store.unattributed().commit(Decision::reply(()).put(&leaf)).await?.into_reply();
    Ok(())
}

/// Enters what whoever administers the machine does to the server, by its own program.
///
/// # Errors
/// No randomness; or the store.
pub(crate) async fn enter_own(app: &App, what: &str, reason: &str) -> Result<(), AppError> {
    let who = AuditWho {
        kind: AuditWhoKind::Server,
        name: "server".to_owned(),
        credential: String::new(),
        address: String::new(),
    };
    let mut act = act(app, who, what.to_owned());
    act.reason = cut(reason);
    enter(app, act).await
}

/// Enters a refusal, or counts it. A refusal stands whether or not it can be entered: failing here
/// must not let anybody in, so a failure is said in the server's own log.
pub(crate) async fn refused(app: &App, act: AuditAct) {
    if app.refusals.with(|ledger| ledger.refused(&act)) == Entry::Counted {
        return;
    }
    if let Err(err) = enter(app, act).await {
        tracing::error!(error = telemetry::chain(&err), "a refusal is not in the audit log");
    }
}

/// What kinds of counts are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Those of minutes that are over.
    Due,
    /// All, because the server stops.
    All,
}

/// Enters what was counted.
///
/// # Errors
/// No randomness; or the store.
pub(crate) async fn enter_counts(app: &App, counts: Counts) -> Result<(), AppError> {
    let now = app.now();
    let due = app.refusals.with(|ledger| match counts {
        Counts::Due => ledger.due(now),
        Counts::All => ledger.all(),
    });
    for act in due {
        enter(app, act).await?;
    }
    Ok(())
}

/// Takes everything that waits into the log.
///
/// # Errors
/// The log contradicts itself; or the store.
pub(crate) async fn sequence(app: &App) -> Result<(), AppError> {
    while sequence_some(app).await? {}
    Ok(())
}

/// Takes some of it; whether there may be more.
async fn sequence_some(app: &App) -> Result<bool, AppError> {
    let mut attempt = 1;
    loop {
        // The head first: who finds it unchanged at the commit knows that nobody else has taken
        // over any of the leaves read after it.
        let found: Found<AuditHead> = app.store.find(AuditHead::NAME).await?;
        let waiting: Vec<WaitingLeaf> = app.store.list("", None, LEAVES_AT_ONCE).await?;
        let head = match &found.value {
            Some(head) => head.clone(),
            None => founded(origin(app)?),
        };
        let keys = verifier_keys(app, &head.origin)?;
        let key = keys.first().ok_or(AppError::CutShort { what: "finding the audit key" })?;
        let is_signed = spelling::checkpoint(&head.note, std::slice::from_ref(key)).is_ok();
        if waiting.is_empty() && is_signed {
            return Ok(false);
        }
        let sign = |text: &[u8]| app.keys.sign_audit(text).try_into().unwrap_or([0; 64]);
        let decision = take_over(&found, head, &waiting, &Signer { key, sign: &sign })
            .map_err(|source| AppError::AuditLog { source })?;
        match app.store.unattributed().commit(decision).await {
            Ok(committed) => {
                committed.into_reply();
                return Ok(waiting.len() >= LEAVES_AT_ONCE);
            }
            Err(StoreError::Changed { .. }) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(source) => return Err(source.into()),
        }
    }
}

/// The name of a log that begins.
fn origin(app: &App) -> Result<String, AppError> {
    Ok(match &app.audit_origin {
        Some(origin) => origin.clone(),
        None => format!("lazaret-audit-{}", hex::encode(random::<8>()?)),
    })
}

/// The server's keys under the log's name, the one that signs first.
fn verifier_keys(app: &App, origin: &str) -> Result<Vec<VerifierKey>, AppError> {
    let unusable = || AppError::CutShort { what: "reading the audit key" };
    let key = |public: PublicKey| match public {
        PublicKey::Ed25519(bytes) => {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| unusable())?;
            VerifierKey::new(origin, SignatureType::Ed25519, bytes).map_err(|_| unusable())
        }
        _ => Err(unusable()),
    };
    app.keys.audit_public().into_iter().map(key).collect()
}

/// The log's name and the server's keys for it.
///
/// # Errors
/// The store.
pub(crate) async fn keys(app: &App) -> Result<AuditKeysView, AppError> {
    sequence(app).await?;
    let found: Found<AuditHead> = app.store.find(AuditHead::NAME).await?;
    let origin = found.value.map(|head| head.origin).unwrap_or_default();
    let keys = verifier_keys(app, &origin)?.iter().map(ToString::to_string).collect();
    Ok(AuditKeysView { origin, keys })
}

/// An act of `who` at this moment, not yet judged.
pub(crate) fn act(app: &App, who: AuditWho, what: String) -> AuditAct {
    AuditAct {
        at: app.now(),
        who,
        what,
        target: String::new(),
        reason: String::new(),
        request: None,
        outcome: AUDIT_DONE.to_owned(),
        detail: String::new(),
        count: 1,
    }
}

/// Text from outside, cut to what an entry holds.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(AUDIT_TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

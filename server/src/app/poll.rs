//! A device polls. While there is nothing to say the answer may be held back, so that an order
//! reaches a connected device in about a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::RolloutId;
use lazaret_protocol::limits::POLL_INTERVAL_MS_MIN;
use lazaret_protocol::operator::{NumberKind, number_in};
use lazaret_protocol::order::Order;
use lazaret_protocol::poll::{LogWitnessed, PollReply, PollRequest};
use lazaret_protocol::signed::{DevicePeer, Envelope, FromDevice, Verified};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::verify::witness_keys;
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::number::{Binding, Holder, Said};
use lazaret_server_domain::poll::{
    self, Bearing, PollContext, PollPlan, PollView, Polled, RolloutPart,
};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::repository::RepositoryHead;
use lazaret_server_domain::rollout::cord::Cord;
use lazaret_server_domain::rollout::state::{Assigned, assignment_name};
use lazaret_server_domain::witness::{Witnessed, Word};
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::incident::preserve;
use super::inventory::keyed;

/// Longest time that a poll is held back, in milliseconds: below the 60 s after which many
/// middleboxes forget an idle connection.
const HOLD_MS_MAX: u64 = 55_000;

/// A held poll looks again after so long even where nobody woke it: a signed schedule opens, a cap
/// is reached again, or a wake was lost with the server that was to give it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Whoever wants to be connected and is answered at once, for there was something to say, comes
/// back after so long, in milliseconds: until then nothing urgent reaches them. Longer than
/// [`POLL_INTERVAL_MS_MIN`], because what there is to say may last, such as a mirror that is stale.
const CONNECT_AGAIN_MS: u64 = 3000;

/// Answers a poll.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn poll(
    app: &App,
    peer: &DevicePeer,
    request: PollRequest,
    shown: Option<Sha256Digest>,
) -> Result<Committed<PollReply>, AppError> {
    let hold = Duration::from_millis(request.hold_ms.min(HOLD_MS_MAX));
    let known_version = request.tuf_timestamp_version;
    let request = peer.vouch(request);
    let nonce = Sha256Digest::from_bytes(random()?);
    let held =
        !hold.is_zero() && hold_back(app, &request, known_version, (hold, nonce, shown)).await?;
    let latest_ms = match (held, hold.is_zero()) {
        (true, _) => POLL_INTERVAL_MS_MIN,
        (false, false) => CONNECT_AGAIN_MS,
        (false, true) => u64::MAX,
    };
    let moves = AtomicBool::new(false);
    let answered = app.decide(|| async {
        match decide(app, &request, (nonce, shown)).await?.0 {
            Polled::Answered(decision) => {
                moves.store(decision.preview().bearing == Bearing::Moves, Ordering::Relaxed);
                seal(app, decision, latest_ms)
            }
            // The device lost its link while we held its poll, and has polled again since: no
            // replay.
            Polled::Recorded(decision) if held => Err(decision.preview().clone().into()),
            Polled::Recorded(decision) => {
                let recorded = app.store.commit(decision).await?;
                Err(recorded.into_reply().into())
            }
        }
    });
    let answered = answered.await?;
    if moves.load(Ordering::Relaxed) {
        app.wake();
    }
    Ok(answered)
}

/// Returns once there is something to say, or after `hold`; says whether the poll was good when it
/// came and waited. Nothing is decided for good meanwhile.
async fn hold_back(
    app: &App,
    request: &Verified<FromDevice<PollRequest>>,
    known_version: u64,
    (hold, nonce, shown): (Duration, Sha256Digest, Option<Sha256Digest>),
) -> Result<bool, AppError> {
    let held = app.held.hold(&request.message().device);
    let mut stopping = app.stopping.subscribe();
    let wait = async {
        let mut waited = false;
        loop {
            let (polled, rollouts) = decide(app, request, (nonce, shown)).await?;
            let Polled::Answered(decision) = polled else { return Ok(waited) };
            let plan = decision.preview();
            let quiet = plan.orders.is_empty()
                && !plan.renew
                && plan.bearing == Bearing::Quiet
                && plan.witnessed.is_empty()
                && plan.tuf_timestamp_version == known_version;
            if !quiet || *stopping.borrow_and_update() {
                return Ok(waited);
            }
            held.rests_on(rollouts);
            tokio::select! {
                () = held.woken() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = stopping.changed() => {}
            }
            waited = true;
        }
    };
    tokio::time::timeout(hold, wait).await.unwrap_or(Ok(true))
}

async fn decide(
    app: &App,
    request: &Verified<FromDevice<PollRequest>>,
    (nonce, shown): (Sha256Digest, Option<Sha256Digest>),
) -> Result<(Polled, Vec<RolloutId>), AppError> {
    let id = &request.message().device;
    let device: Found<Device> = app.store.find(id.as_str()).await?;
    let assigned: Found<Assigned> = app.store.find(id.as_str()).await?;
    let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
    let mut rollouts: Vec<RolloutId> =
        assigned.value.iter().map(|assigned| assigned.rollout.clone()).collect();
    let open = device.value.iter().flat_map(|device| &device.open_orders);
    rollouts.extend(open.filter_map(|open| open.rollout.clone()));
    rollouts.sort();
    rollouts.dedup();
    let mut parts = Vec::with_capacity(rollouts.len());
    for rollout in &rollouts {
        parts.push(RolloutPart {
            rollout: app.store.find(rollout.as_str()).await?,
            assignment: app.store.find(&assignment_name(rollout, id)).await?,
        });
    }
    let context = PollContext {
        now: app.now(),
        tuf_timestamp_version: head.value.map_or(0, |head| head.timestamp_version),
        poll_interval_ms: app.poll_interval_ms,
        certificate_life_ms: app.issuer.life_ms(),
        nonce,
        shown,
        bindings: app.bindings,
    };
    let cord: Found<Cord> = app.store.find(Cord::NAME).await?;
    let witnessed: Found<Witnessed> = app.store.find(id.as_str()).await?;
    let numbers = said(app, &request.message().message).await?;
    let latest = assigned.value.as_ref().map(|assigned| &assigned.rollout);
    let current = parts.iter().filter_map(|part| part.rollout.value.as_ref());
    let evidence = match current.into_iter().find(|rollout| Some(&rollout.id) == latest) {
        Some(rollout) => preserve::wanted(app, rollout, id).await?,
        None => None,
    };
    let view = PollView { device, assigned, parts, cord, witnessed, numbers, evidence };
    Ok((poll::decide(&view, request, context)?, rollouts))
}

/// The numbers of its modem and SIM that a device says, under the server's own key, with who is
/// bound to each. What is no number is passed over. From here on nothing has them in the clear.
async fn said(app: &App, request: &PollRequest) -> Result<Vec<Said>, AppError> {
    let Some(posture) = &request.posture else { return Ok(Vec::new()) };
    let mut numbers = Vec::new();
    for kind in NumberKind::ALL {
        if app.bindings.of(kind) == Binding::Off {
            continue;
        }
        let field = posture.subscriber.as_ref().and_then(|subscriber| match kind {
            NumberKind::Imei => subscriber.imei.as_deref(),
            NumberKind::Iccid => subscriber.iccid.as_deref(),
            NumberKind::Imsi => subscriber.imsi.as_deref(),
        });
        let named = |(name, _): &(&String, &String)| name.eq_ignore_ascii_case(kind.as_str());
        let attribute = || posture.attributes.iter().find(named).map(|(_, value)| value.as_str());
        let Some(text) = field.or_else(attribute).and_then(|text| number_in(kind, text)) else {
            continue;
        };
        let number = keyed(&app.identifier_key, kind, &text);
        let holder = app.store.find(&Holder::name_of(kind, &number)).await?;
        numbers.push(Said { kind, number, holder });
    }
    Ok(numbers)
}

/// A poll that was held back is followed by the next one at once, so that a device which wants to
/// be connected is: what paces those is how long they are held. Whoever asks for that and is
/// answered at once is back soon; all others poll at the usual pace.
fn seal(
    app: &App,
    decision: Decision<PollPlan>,
    latest_ms: u64,
) -> Result<Decision<PollReply>, AppError> {
    let plan = decision.preview();
    let mut orders = Vec::with_capacity(plan.orders.len());
    for order in &plan.orders {
        orders.push(sealed(app, order)?);
    }
    let reply = PollReply {
        time: plan.time,
        tuf_timestamp_version: plan.tuf_timestamp_version,
        orders,
        next_poll_ms: plan.next_poll_ms.min(latest_ms),
        renew: plan.renew,
        nonce: Some(plan.nonce),
        logs: plan.witnessed.iter().map(|word| cosigned(app, word, plan.time)).collect(),
    };
    Ok(decision.with_reply(reply))
}

/// The word on one ring of a log, with the checkpoint that was taken under this server's own
/// signature: what it has seen, it cannot deny, and neither can the device.
fn cosigned(app: &App, word: &Word, now: Timestamp) -> LogWitnessed {
    let sign = |note: &SignedNote| {
        let keys = witness_keys(std::slice::from_ref(&app.keys.orders_public()));
        let key = keys.first()?;
        let time = now.as_ms() / 1000;
        let signature: [u8; 64] =
            app.keys.sign_order(&key.message(note.text(), time)).try_into().ok()?;
        let mut note = note.clone();
        note.add(key.signed(time, &signature));
        Some(note.to_text())
    };
    let checkpoint = word.taken.as_ref().and_then(sign);
    LogWitnessed { ring: word.ring, size: word.size, epoch: word.epoch, checkpoint }
}

fn sealed(app: &App, order: &Order) -> Result<Envelope, AppError> {
    let keyid = app.keys.orders_public().key_id();
    let sealed = Envelope::seal(order, keyid, |bytes| {
        Ok::<_, lazaret_protocol::canonical::CanonicalError>(app.keys.sign_order(bytes))
    });
    sealed.map_err(|_| AppError::CutShort { what: "sealing an order" })
}

//! Responders put devices in quarantine: one at once, or many with a preview, within what one
//! person may do in an hour; beyond that a second person has to agree.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use lazaret_protocol::containment::{Level, Terms, UnitName};
use lazaret_protocol::id::{DeviceId, IncidentId, OperatorName};
use lazaret_protocol::operator::{
    ContainRequest, ContainView, DeviceView, MemberView, QuarantineRequest, Scope,
};
use lazaret_protocol::order::{OrderKind, Outcome};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::filter::Filter;
use lazaret_server_domain::incident::{self as domain_incident, Incident};
use lazaret_server_domain::quarantine::{self, Act, ActState, Allowance, Spent};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::report::in_words;
use lazaret_server_domain::rollout::state::Assigned;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::{incident, within};

/// Orders that are committed side by side: they share one sync.
const AT_ONCE: usize = 64;

/// Devices of one containment.
const DEVICES_MAX: usize = 50_000;

/// What containment goes by on this server.
#[derive(Debug, Clone)]
pub(crate) struct Containment {
    /// What stays open to a device that closes its network.
    pub(crate) open: Vec<std::net::SocketAddr>,
    /// Who may give it its lease.
    pub(crate) leases: Vec<std::net::IpAddr>,
    /// How many one person may contain in an hour.
    pub(crate) allowance: Allowance,
}

impl Containment {
    /// The terms of an order at this level.
    fn terms(&self, level: Level, stop: &[UnitName]) -> Result<Terms, AppError> {
        let closes = level.closes_network();
        if closes && self.open.is_empty() {
            return Err(AppError::refused(
                RefusalCode::Conflict,
                "expected containment.open in the server's settings: the addresses under which \
                 devices reach it; without them an isolated device could not be reached any more",
            ));
        }
        let open = if closes { self.open.clone() } else { Vec::new() };
        let leases = if closes { self.leases.clone() } else { Vec::new() };
        Ok(Terms { level, open, leases, stop: stop.to_vec() })
    }
}

/// Puts `device` in quarantine. From the commit on the server refuses it what its level closes, on
/// open connections too, because the registry is asked on every request.
///
/// # Errors
/// As the domain says, or a second person is needed; or the store.
pub(crate) async fn quarantine(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    request: &QuarantineRequest,
) -> Result<Committed<DeviceView>, AppError> {
    let terms = app.containment.terms(request.level, &request.stop)?;
    let found: Found<Device> = app.store.find(device.as_str()).await?;
    let needs = found.value.as_ref().is_some_and(|device| costs(device, request.level));
    if needs && left(app, by, 1).await? == 0 {
        let devices = vec![device.clone()];
        return Err(wait(app, by, (&request.reason, &terms, None), devices).await);
    }
    let committed = app
        .decide(|| async {
            let found: Found<Device> = app.store.find(device.as_str()).await?;
            let costs = found.value.as_ref().is_some_and(|device| costs(device, request.level));
            let decided =
                quarantine::quarantine(&found, (&request.reason, &terms), (by, app.now()))?;
            if !costs {
                return Ok(decided);
            }
            let spent: Found<Spent> = app.store.find(by.as_str()).await?;
            let more = quarantine::spend(&spent, 1, (by, app.now()));
            Ok(decided.replace(&spent, &more))
        })
        .await?;
    app.wake();
    Ok(committed.map(|device| device.view()))
}

/// Whether this counts against what one person may do: whatever holds a device back that was not.
fn costs(device: &Device, level: Level) -> bool {
    level.holds_rollouts() && device.level().is_none_or(|held| held < level)
}

/// How many an operator may still contain; 0 where `wanted` are too many.
async fn left(app: &App, by: &OperatorName, wanted: u64) -> Result<u64, AppError> {
    let spent: Found<Spent> = app.store.find(by.as_str()).await?;
    let after = quarantine::spent(&spent, app.now()).saturating_add(wanted);
    let allowance = app.containment.allowance;
    if after <= allowance.devices {
        return Ok(allowance.devices.saturating_sub(after).saturating_add(wanted));
    }
    // Only now does the size of the fleet matter.
    let fleet: Vec<Device> = app.store.list_all("").await?;
    let most = allowance.of(u64::try_from(fleet.len()).unwrap_or(u64::MAX));
    Ok(if after <= most { most.saturating_sub(after).saturating_add(wanted) } else { 0 })
}

/// Keeps the set for a second person, and says who that may be.
async fn wait(
    app: &App,
    by: &OperatorName,
    (reason, terms, incident): (&str, &Terms, Option<&IncidentId>),
    devices: Vec<DeviceId>,
) -> AppError {
    let act = match act(app, by, (reason, terms, incident), devices, ActState::Waiting) {
        Ok(act) => act,
        Err(err) => return err,
    };
    let count = u64::try_from(act.devices.len()).unwrap_or(u64::MAX);
    let fact = Fact::SecondPersonAsked {
        act: act.id.clone(),
        devices: count,
        level: terms.level,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    let kept = app
        .decide(|| async {
            let event = Event { at: app.now(), fact: fact.clone() };
            Ok(begin(app, &act).await?.event(event))
        })
        .await;
    if let Err(err) = kept {
        return err;
    }
    let allowance = app.containment.allowance;
    AppError::refused(
        RefusalCode::SecondPersonNeeded,
        format!(
            "{count} devices are more than {by} may contain within an hour alone ({} devices, or \
             {} permille of the fleet): {} waits for another operator or incident commander: \
             lazaret device quarantine --confirm {}",
            allowance.devices, allowance.permille, act.id, act.id
        ),
    )
}

/// The act as a record, and in the incident whose devices it contains.
async fn begin(app: &App, act: &Act) -> Result<Decision<()>, AppError> {
    let Some(incident) = &act.incident else { return Ok(Decision::reply(()).put(act)) };
    let found: Found<Incident> = app.store.find(incident.as_str()).await?;
    let id = act.id.parse().map_err(|_| AppError::CutShort { what: "naming a containment" })?;
    Ok(domain_incident::contain(&found, &id)?.with_reply(()).put(act))
}

fn act(
    app: &App,
    by: &OperatorName,
    (reason, terms, incident): (&str, &Terms, Option<&IncidentId>),
    devices: Vec<DeviceId>,
    state: ActState,
) -> Result<Act, AppError> {
    Ok(Act {
        id: format!("q-{}-{}", app.now().as_ms(), hex::encode(random::<3>()?)),
        by: by.clone(),
        reason: reason.to_owned(),
        terms: terms.clone(),
        devices,
        at: app.now(),
        incident: incident.cloned(),
        state,
    })
}

/// Contains many devices, or says who it would be.
///
/// # Errors
/// Nobody is named, the filter is none, or a second person is needed; or the store.
pub(crate) async fn contain(
    app: &App,
    (by, scopes): (&OperatorName, &[Scope]),
    request: &ContainRequest,
) -> Result<ContainView, AppError> {
    let terms = app.containment.terms(request.level, &request.stop)?;
    terms.check().map_err(|err| AppError::bad_request(err.to_string()))?;
    let filter = request.filter.as_deref();
    let mut unknown = Vec::new();
    let devices = match &request.incident {
        Some(_) if filter.is_some() || !request.devices.is_empty() => {
            let detail = "expected one of devices, a filter and an incident, got several";
            return Err(AppError::bad_request(detail));
        }
        // Who has gone since it was opened can be contained no more.
        Some(incident) => {
            let members = incident::devices(app, incident).await?;
            if members.is_empty() {
                let detail = format!("no device is in {incident}");
                return Err(AppError::refused(RefusalCode::Conflict, detail));
            }
            resolve(app, (&members, None), scopes).await?.0
        }
        None => {
            let devices;
            (devices, unknown) = resolve(app, (&request.devices, filter), scopes).await?;
            devices
        }
    };
    let costing = devices.iter().filter(|device| costs(device, request.level)).count();
    let costing = u64::try_from(costing).unwrap_or(u64::MAX);
    let needs = costing > 0 && left(app, by, costing).await? == 0;
    if request.dry_run {
        let act = act(app, by, (&request.reason, &terms, None), Vec::new(), ActState::Waiting)?;
        return Ok(preview(&act, &devices, unknown, needs));
    }
    if let Some(first) = unknown.first() {
        return Err(AppError::refused(RefusalCode::NotFound, format!("no device {first}")));
    }
    let what = (request.reason.as_str(), &terms, request.incident.as_ref());
    let names: Vec<DeviceId> = devices.into_iter().map(|device| device.id).collect();
    if needs {
        return Err(wait(app, by, what, names).await);
    }
    let begun = ActState::Begun { confirmed_by: None };
    let act = act(app, by, what, names, begun)?;
    let kept = app.decide(|| async {
        let decided = begin(app, &act).await?;
        if costing == 0 {
            return Ok(decided);
        }
        let spent: Found<Spent> = app.store.find(by.as_str()).await?;
        Ok(decided.replace(&spent, &quarantine::spend(&spent, costing, (by, app.now()))))
    });
    kept.await?.into_reply();
    carry_out(app, &act).await?;
    show(app, &act.id).await
}

/// A second person agrees.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn confirm(
    app: &App,
    by: &OperatorName,
    id: &str,
) -> Result<ContainView, AppError> {
    let confirmed = app
        .decide(|| async {
            let found: Found<Act> = app.store.find(id).await?;
            let decided = quarantine::confirm(&found, (by, app.now()))?;
            if decided.changes_nothing() {
                return Ok(decided);
            }
            let fact = Fact::SecondPersonAgreed { act: id.to_owned(), by: by.clone() };
            Ok(decided.event(Event { at: app.now(), fact }))
        })
        .await?;
    carry_out(app, &confirmed.into_reply()).await?;
    show(app, id).await
}

/// Carries out what a stopped server has left half done.
///
/// # Errors
/// The store.
pub(crate) async fn take_up(app: &App) -> Result<(), AppError> {
    let acts: Vec<Act> = app.store.list_all("").await?;
    for act in acts {
        carry_out(app, &act).await?;
    }
    Ok(())
}

/// Every device of an act gets its order. Doing it twice changes nothing.
async fn carry_out(app: &App, act: &Act) -> Result<(), AppError> {
    let ActState::Begun { confirmed_by } = &act.state else { return Ok(()) };
    let devices = act.devices.clone();
    let ordering = devices.into_iter().map(|device| async move { order(app, act, &device).await });
    let mut ordered = futures_util::stream::iter(ordering).buffer_unordered(AT_ONCE);
    while let Some(ordered) = ordered.next().await {
        ordered?;
    }
    app.wake();
    let state = ActState::Ordered { confirmed_by: confirmed_by.clone() };
    let done = app.decide(|| async {
        let found: Found<Act> = app.store.find(&act.id).await?;
        Ok(match &found.value {
            Some(known) if matches!(known.state, ActState::Begun { .. }) => {
                let ordered = Act { state: state.clone(), ..known.clone() };
                Decision::reply(()).replace(&found, &ordered)
            }
            _ => Decision::reply(()),
        })
    });
    done.await?.into_reply();
    Ok(())
}

async fn order(app: &App, act: &Act, device: &DeviceId) -> Result<(), AppError> {
    let ordered = app.decide(|| async {
        let found: Found<Device> = app.store.find(device.as_str()).await?;
        let what = (act.reason.as_str(), &act.terms);
        Ok(quarantine::quarantine(&found, what, (&act.by, app.now()))?)
    });
    match ordered.await {
        Ok(_) => Ok(()),
        // Held further in by now, or gone: it is shown so.
        Err(AppError::Refused(refused)) => {
            tracing::warn!(%device, "{}", refused.detail);
            Ok(())
        }
        Err(err) => Err(err),
    }
}

/// The devices that are meant, in order, and names that are nobody's.
pub(super) async fn resolve(
    app: &App,
    (named, filter): (&[DeviceId], Option<&str>),
    scopes: &[Scope],
) -> Result<(Vec<Device>, Vec<DeviceId>), AppError> {
    if named.is_empty() == filter.is_none() {
        return Err(AppError::bad_request("expected either devices or a filter"));
    }
    let mut devices = Vec::new();
    let mut unknown = Vec::new();
    if let Some(filter) = filter {
        let filter: Filter = filter
            .parse()
            .map_err(|err| AppError::bad_request(format!("filter is refused: {err}")))?;
        let all: Vec<Device> = app.store.list_all("").await?;
        let names: Vec<String> = all.iter().map(|device| device.id.to_string()).collect();
        let assigned = app.store.find_all::<Assigned>(&names).await?;
        for (device, assigned) in all.into_iter().zip(&assigned) {
            let rollout = assigned.value.as_ref().map(|assigned| &assigned.rollout);
            if within::all_cover(scopes, &device) && filter.matches(&device, rollout, app.now()) {
                devices.push(device);
            }
        }
    } else {
        let mut names: Vec<String> = named.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        let found = app.store.find_all::<Device>(&names).await?;
        for (name, found) in names.iter().zip(found) {
            match found.value.filter(|device| within::all_cover(scopes, device)) {
                Some(device) => devices.push(device),
                None => unknown.extend(name.parse()),
            }
        }
    }
    if devices.len() > DEVICES_MAX {
        let got = devices.len();
        let detail = format!("expected at most {DEVICES_MAX} devices at once, got {got}");
        return Err(AppError::bad_request(detail));
    }
    Ok((devices, unknown))
}

/// Where an act stands.
///
/// # Errors
/// There is none; or the store.
pub(crate) async fn show(app: &App, id: &str) -> Result<ContainView, AppError> {
    let found: Found<Act> = app.store.find(id).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no containment {id}"));
    let act = found.value.ok_or_else(unknown)?;
    let names: Vec<String> = act.devices.iter().map(ToString::to_string).collect();
    let devices = app.store.find_all::<Device>(&names).await?;
    let members = act.devices.iter().zip(devices).map(|(id, found)| {
        let (state, why) = match found.value {
            Some(device) => standing(&act, &device),
            None => ("unknown", None),
        };
        MemberView { device: id.clone(), state: state.to_owned(), why }
    });
    Ok(view(&act, members.collect()))
}

/// Where one device stands: exactly one of the words.
fn standing(act: &Act, device: &Device) -> (&'static str, Option<String>) {
    let Some(held) = &device.quarantine else {
        let waits = matches!(act.state, ActState::Waiting);
        return (if waits { "waiting" } else { "released" }, None);
    };
    if act.state == ActState::Waiting && held.terms.level < act.terms.level {
        return ("waiting", None);
    }
    let failure = held.word.as_ref().and_then(|word| word.failure());
    if held.confirmed {
        return ("contained", None);
    }
    let is_open = |kind: &OrderKind| matches!(kind, OrderKind::Quarantine { .. });
    let open = device.open_orders.iter().any(|open| is_open(&open.order.kind));
    match &held.ended {
        Some(Outcome::Refused { .. }) => ("refused", held.ended.as_ref().map(in_words)),
        Some(Outcome::Failed { .. }) => {
            ("failed", failure.or_else(|| held.ended.as_ref().map(in_words)))
        }
        Some(Outcome::Expired) if !open => ("expired", None),
        _ if device.last_seen.is_none_or(|seen| seen < held.since) => ("never-seen", None),
        _ => ("ordered", None),
    }
}

fn preview(act: &Act, devices: &[Device], unknown: Vec<DeviceId>, needs: bool) -> ContainView {
    let known = devices.iter().map(|device| {
        let (state, why) = match device.level() {
            Some(held) if held > act.terms.level => {
                ("needs-release", Some(format!("it is held at {held}")))
            }
            Some(held) if held == act.terms.level => ("already", None),
            _ => ("would-be-contained", None),
        };
        MemberView { device: device.id.clone(), state: state.to_owned(), why }
    });
    let unknown = unknown.into_iter().map(|device| MemberView {
        device,
        state: "unknown".to_owned(),
        why: None,
    });
    let members = known.chain(unknown).collect();
    ContainView {
        act: None,
        state: "preview".to_owned(),
        needs_second_person: needs,
        ..view(act, members)
    }
}

fn view(act: &Act, members: Vec<MemberView>) -> ContainView {
    let (state, confirmed_by) = match &act.state {
        ActState::Waiting => ("waiting", None),
        ActState::Begun { confirmed_by } => ("begun", confirmed_by.clone()),
        ActState::Ordered { confirmed_by } => ("ordered", confirmed_by.clone()),
    };
    ContainView {
        act: Some(act.id.clone()),
        state: state.to_owned(),
        by: act.by.clone(),
        confirmed_by,
        reason: act.reason.clone(),
        level: act.terms.level,
        at: act.at,
        devices: u64::try_from(members.len()).unwrap_or(u64::MAX),
        counts: counts(&members),
        needs_second_person: act.state == ActState::Waiting,
        members,
    }
}

/// How many stand where; they add up to all of them.
pub(super) fn counts(members: &[MemberView]) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for member in members {
        let count = counts.entry(member.state.clone()).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

//! Plans: made from the fleet as it is, shown, approved by other people, begun, given up, and made
//! anew to take a rollout back. What a plan says is the domain's; here it is put together from the
//! records and kept.

use std::collections::{BTreeMap, BTreeSet};

use lazaret_protocol::id::{ModelName, OperatorName, RolloutId, VersionName};
use lazaret_protocol::limits::ROLLOUT_DEVICES_MAX;
use lazaret_protocol::operator::{
    ApprovalView, PlanRequest, PlanView, PolicyChoice, RevertRequest, RolloutView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::filter::Filter;
use lazaret_server_domain::incident::{Incident, link};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{Release, release_name};
use lazaret_server_domain::repository::RepositoryHead;
use lazaret_server_domain::rollout::policy::{POLICY_BYTES_MAX, Policy, SHIPPED};
pub(crate) use lazaret_server_domain::rollout::preview::Preview;
use lazaret_server_domain::rollout::state::{
    Assigned, Assignment, Direction, Rollout, RolloutRelease,
};
use lazaret_server_domain::rollout::step::steps_to;
use lazaret_server_domain::rollout::survey::{Draft, Survey};
use lazaret_server_domain::rollout::tally::{Heard, Tally};
use lazaret_server_domain::rollout::{advance, approval};
use lazaret_server_domain::rollout::{
    plan::{Plan, may_take},
    planned::Planned,
};
use lazaret_server_publish::{self as signing, ImageEntry};
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::incident::{self, preserve};
use super::{publish, rollout};

/// Records in one commit, well below the 4096 of a batch.
const RECORDS_PER_COMMIT: usize = 1000;

/// A plan as operators see it.
pub(crate) type View = PlanView<Preview>;

/// Makes a plan. With `dry_run` nothing is kept.
///
/// # Errors
/// No such release, a filter or policy that is none, nobody to install it on; or the store.
pub(crate) async fn plan(
    app: &App,
    by: &OperatorName,
    request: &PlanRequest,
) -> Result<Committed<View>, AppError> {
    let filter = request.filter.as_deref().map(parse_filter).transpose()?;
    let policy = policy(&request.policy)?;
    let releases = Releases::load(app, &request.model).await?;
    let mut steps = Vec::new();
    for version in &request.via {
        steps.push(releases.find(version)?);
    }
    steps.extend(steps_to(&releases.find(&request.version)?, &releases.all()?));
    steps.sort_by_key(|step| step.counter);
    steps.dedup_by_key(|step| step.counter);
    let devices: Option<BTreeSet<_>> =
        request.devices.as_ref().map(|ids| ids.iter().cloned().collect());
    if let Some(ids) = &devices {
        refuse_unknown(app, ids.iter()).await?;
    }
    let wanted = Wanted { version: &request.version, steps, direction: Direction::Newer };
    let draft = releases.draft(app, wanted, policy, &request.reason).await?;
    if let Some(id) = &request.incident {
        incident::open_one(app, id).await?;
    }
    let cures = request.incident.clone();
    keep(app, by, Draft { filter, devices, cures, ..draft }, request.dry_run).await
}

/// Makes a plan that takes a rollout back on the devices that it reached.
///
/// # Errors
/// No such rollout, nothing to go back to; or as [`plan`].
pub(crate) async fn revert(
    app: &App,
    by: &OperatorName,
    of: &RolloutId,
    request: &RevertRequest,
) -> Result<Committed<View>, AppError> {
    let taken_back = find(app, of).await?;
    let releases = Releases::load(app, &taken_back.release.model).await?;
    let to = match &request.to {
        Some(version) => version.clone(),
        None => releases.below(&taken_back.release)?,
    };
    let parts: Vec<Assignment> = app.store.list_all(&format!("{of}/")).await?;
    let devices = parts.into_iter().map(|part| part.device).collect();
    let direction = Direction::Back { of: of.clone() };
    let wanted = Wanted { version: &to, steps: Vec::new(), direction };
    let draft = releases.draft(app, wanted, policy(&request.policy)?, &request.reason).await?;
    keep(app, by, Draft { devices: Some(devices), ..draft }, request.dry_run).await
}

/// Shows a plan, its statement made anew from the records: who checks it against the hash checks
/// what would be carried out.
///
/// # Errors
/// No such rollout; or the store.
pub(crate) async fn show(app: &App, id: &RolloutId) -> Result<View, AppError> {
    let rollout = find(app, id).await?;
    let parts: Vec<Assignment> = app.store.list_all(&format!("{id}/")).await?;
    let planned: Found<Planned> = app.store.find(id.as_str()).await?;
    view(app, &rollout, &parts, planned.value.map(|planned| planned.preview)).await
}

/// Begins a plan that has its approvals. Every device is in the rollout before it runs: after a
/// crash between the two it is begun again, and nothing was offered meanwhile.
///
/// # Errors
/// No such rollout, not approved, a device is busy by now; or the store.
pub(crate) async fn apply(
    app: &App,
    by: &OperatorName,
    id: &RolloutId,
) -> Result<Committed<RolloutView>, AppError> {
    let _alone = app.starting.lock().await;
    let new = find(app, id).await?;
    // Asked before any device is moved, and again by the commit that counts.
    let found: Found<Rollout> = app.store.find(id.as_str()).await?;
    let begun = advance::start(&found, by.as_str(), app.now())?;
    if !begun.changes_nothing() {
        if let Some(incident) = &new.cures {
            preserve::ask_first(app, by, &new, incident).await?;
        }
        let parts: Vec<Assignment> = app.store.list_all(&format!("{id}/")).await?;
        for chunk in parts.chunks(RECORDS_PER_COMMIT) {
            take(app, &new, chunk).await?;
        }
    }
    let started = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(id.as_str()).await?;
            Ok(advance::start(&found, by.as_str(), app.now())?)
        })
        .await?;
    app.wake();
    rollout::viewed(app, started).await
}

/// Gives a plan up.
///
/// # Errors
/// No such rollout, or it has begun; or the store.
pub(crate) async fn withdraw(
    app: &App,
    by: &OperatorName,
    id: &RolloutId,
    reason: &str,
) -> Result<Committed<RolloutView>, AppError> {
    let withdrawn = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(id.as_str()).await?;
            Ok(advance::withdraw(&found, by.as_str(), reason, app.now())?)
        })
        .await?;
    rollout::viewed(app, withdrawn).await
}

async fn find(app: &App, id: &RolloutId) -> Result<Rollout, AppError> {
    let found: Found<Rollout> = app.store.find(id.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no rollout {id}"));
    Ok(found.value.ok_or_else(unknown)?)
}

fn parse_filter(text: &str) -> Result<Filter, AppError> {
    text.parse().map_err(|err| AppError::bad_request(format!("filter is refused: {err}")))
}

/// Reads a policy; what is wrong with its numbers says the plan.
pub(crate) fn policy(choice: &PolicyChoice) -> Result<Policy, AppError> {
    let text = match choice {
        PolicyChoice::Text(text) => text.as_str(),
        PolicyChoice::Shipped(name) => {
            let shipped = SHIPPED.iter().find(|(known, _)| known == name);
            let known: Vec<&str> = SHIPPED.iter().map(|(known, _)| *known).collect();
            let unknown = || {
                AppError::bad_request(format!(
                    "expected one of the policies {}, got {name:?}",
                    known.join(", ")
                ))
            };
            shipped.ok_or_else(unknown)?.1
        }
    };
    if text.len() > POLICY_BYTES_MAX {
        let got = text.len();
        let detail = format!("expected a policy of at most {POLICY_BYTES_MAX} bytes, got {got}");
        return Err(Refused::because(RefusalCode::TooLarge, detail).into());
    }
    toml::from_str(text).map_err(|err| AppError::bad_request(format!("policy is refused: {err}")))
}

async fn refuse_unknown<'a>(
    app: &App,
    ids: impl Iterator<Item = &'a lazaret_protocol::id::DeviceId>,
) -> Result<(), AppError> {
    let names: Vec<String> = ids.map(ToString::to_string).collect();
    let found = app.store.find_all::<Device>(&names).await?;
    match names.iter().zip(&found).find(|(_, found)| found.value.is_none()) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Refused::because(RefusalCode::NotFound, format!("no device {name}")).into())
        }
    }
}

/// What is published of one model.
struct Releases {
    model: ModelName,
    images: Vec<ImageEntry>,
    emergencies: Vec<signing::EmergencyEntry>,
}

/// Which release, on which way.
struct Wanted<'a> {
    version: &'a VersionName,
    steps: Vec<RolloutRelease>,
    direction: Direction,
}

impl Releases {
    /// From the signed metadata itself, and not from what was noted of it.
    async fn load(app: &App, model: &ModelName) -> Result<Self, AppError> {
        let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
        let files = publish::current(app, &head).await?;
        let images = signing::images(&files, model)?;
        let emergencies = signing::emergencies(&files)?;
        Ok(Self { model: model.clone(), images, emergencies })
    }

    fn find(&self, version: &VersionName) -> Result<RolloutRelease, AppError> {
        let image = self.images.iter().find(|image| image.version == *version);
        let missing = || {
            let detail = format!(
                "release {}/{version} is not published: signers have to sign it first",
                self.model
            );
            Refused::because(RefusalCode::Conflict, detail)
        };
        let image = image.ok_or_else(missing)?;
        let emergency = self.emergencies.iter().find(|entry| {
            entry.model == self.model
                && entry.version == *version
                && entry.custom.image_sha256 == image.sha256
        });
        Ok(RolloutRelease {
            model: self.model.clone(),
            version: image.version.clone(),
            sha256: image.sha256,
            schedule: image.custom.schedule.clone(),
            counter: image.custom.counter,
            needs: image.custom.needs,
            emergency: emergency.map(|entry| entry.custom.clone()),
        })
    }

    fn all(&self) -> Result<Vec<RolloutRelease>, AppError> {
        self.images.iter().map(|image| self.find(&image.version)).collect()
    }

    /// The newest below a release.
    fn below(&self, release: &RolloutRelease) -> Result<VersionName, AppError> {
        let older = self.images.iter().filter(|image| image.custom.counter < release.counter);
        let newest = older.max_by_key(|image| image.custom.counter);
        let none = || {
            let detail = format!("no release of {} is below {}", self.model, release.version);
            Refused::because(RefusalCode::Conflict, detail)
        };
        Ok(newest.ok_or_else(none)?.version.clone())
    }

    async fn draft(
        &self,
        app: &App,
        wanted: Wanted<'_>,
        policy: Policy,
        reason: &str,
    ) -> Result<Draft, AppError> {
        let release = self.find(wanted.version)?;
        let name = release_name(&self.model, wanted.version);
        let record: Found<Release> = app.store.find(&name).await?;
        let deltas = record.value.into_iter().flat_map(|release| release.deltas);
        let image = self.images.iter().find(|image| image.sha256 == release.sha256);
        Ok(Draft {
            image_bytes: image.map_or(0, |image| image.length),
            deltas: deltas.map(|delta| (delta.custom.base_sha256, delta.length)).collect(),
            release,
            steps: wanted.steps,
            direction: wanted.direction,
            policy,
            filter: None,
            devices: None,
            floors: self.images.iter().map(|image| (image.sha256, image.custom.floor)).collect(),
            reason: reason.to_owned(),
            cures: None,
        })
    }
}

/// Looks at every device, and keeps the plan that comes out. Parts are on disk before the rollout
/// is: a crash between the two leaves parts of a rollout that does not exist.
async fn keep(
    app: &App,
    by: &OperatorName,
    draft: Draft,
    dry_run: bool,
) -> Result<Committed<View>, AppError> {
    let now = app.now();
    let id: RolloutId = format!("r-{}-{}", now.as_ms(), hex::encode(random::<3>()?))
        .parse()
        .map_err(|_| AppError::CutShort { what: "naming a rollout" })?;
    let mut survey = Survey::new(draft, now)?;
    look_at_all(app, &mut survey).await?;
    let (plan, preview) = survey.finish((id, by))?;
    if plan.assignments.len() > ROLLOUT_DEVICES_MAX {
        let detail = format!(
            "expected at most {ROLLOUT_DEVICES_MAX} devices in a rollout, got {}",
            plan.assignments.len()
        );
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    let Plan { rollout, assignments } = plan;
    let view = view(app, &rollout, &assignments, Some(preview.clone())).await?;
    if dry_run {
        return Ok(app.store.commit(Decision::reply(view)).await?);
    }
    for chunk in assignments.chunks(RECORDS_PER_COMMIT) {
        let parts = chunk.iter().fold(Decision::reply(()), |decision, part| decision.put(part));
        app.store.commit(parts).await?.into_reply();
    }
    let fact = Fact::RolloutPlanned {
        rollout: rollout.id.clone(),
        model: rollout.release.model.clone(),
        version: rollout.release.version.clone(),
        devices: u64::try_from(assignments.len()).unwrap_or(u64::MAX),
        plan: preview.plan,
        by: by.clone(),
        reason: rollout.reason.clone(),
    };
    let planned = Planned { rollout: rollout.id.clone(), preview };
    app.decide(|| async {
        let event = Event { at: now, fact: fact.clone() };
        let Some(id) = &rollout.cures else {
            return Ok(Decision::reply(view.clone()).put(&rollout).put(&planned).event(event));
        };
        let found: Found<Incident> = app.store.find(id.as_str()).await?;
        let cure = (&rollout.id, None);
        let linked = link(&found, cure, &rollout.reason, (by, now))?.with_reply(view.clone());
        Ok(linked.put(&rollout).put(&planned).event(event))
    })
    .await
}

async fn look_at_all(app: &App, survey: &mut Survey) -> Result<(), AppError> {
    let mut known: BTreeMap<RolloutId, Option<Rollout>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let devices: Vec<Device> = app.store.list("", after.as_deref(), RECORDS_PER_COMMIT).await?;
        let Some(last) = devices.last() else { return Ok(()) };
        after = Some(last.id.to_string());
        let names: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
        let assigned = app.store.find_all::<Assigned>(&names).await?;
        for (device, assigned) in devices.iter().zip(&assigned) {
            let latest = assigned.value.as_ref().map(|assigned| &assigned.rollout);
            if let Some(id) = latest
                && !known.contains_key(id)
            {
                let found: Found<Rollout> = app.store.find(id.as_str()).await?;
                known.insert(id.clone(), found.value);
            }
            let busy = latest.and_then(|id| known.get(id)?.as_ref());
            survey.look(device, latest, busy);
        }
    }
}

/// Puts devices into a rollout that is about to begin, out of any that it may take them from.
async fn take(app: &App, new: &Rollout, chunk: &[Assignment]) -> Result<(), AppError> {
    let names: Vec<String> = chunk.iter().map(|part| part.device.to_string()).collect();
    let taken = app
        .decide(|| async {
            let mut decision = Decision::reply(());
            let mut known: BTreeMap<RolloutId, Found<Rollout>> = BTreeMap::new();
            for (part, found) in chunk.iter().zip(app.store.find_all::<Assigned>(&names).await?) {
                let assigned = Assigned { device: part.device.clone(), rollout: new.id.clone() };
                if found.value.as_ref() == Some(&assigned) {
                    continue;
                }
                if let Some(current) = &found.value {
                    let id = &current.rollout;
                    if !known.contains_key(id) {
                        known.insert(id.clone(), app.store.find(id.as_str()).await?);
                    }
                    if let Some(other) = known.get(id) {
                        decision = leave(decision.resting_on(other), other, new, part, app)?;
                    }
                }
                decision = decision.replace(&found, &assigned);
            }
            Ok(decision)
        })
        .await?;
    taken.into_reply();
    Ok(())
}

fn leave(
    decision: Decision<()>,
    other: &Found<Rollout>,
    new: &Rollout,
    part: &Assignment,
    app: &App,
) -> Result<Decision<()>, AppError> {
    use lazaret_protocol::operator::RolloutState;
    let Some(current) = &other.value else { return Ok(decision) };
    may_take(current, new)
        .map_err(|err| Refused::because(err.code, format!("{}: {}", part.device, err.detail)))?;
    if !matches!(current.state, RolloutState::Running | RolloutState::Paused) {
        return Ok(decision);
    }
    let fact = Fact::Overtaken {
        device: part.device.clone(),
        rollout: current.id.clone(),
        by_rollout: new.id.clone(),
    };
    Ok(decision.event(Event { at: app.now(), fact }))
}

async fn view(
    app: &App,
    rollout: &Rollout,
    parts: &[Assignment],
    preview: Option<Preview>,
) -> Result<View, AppError> {
    let statement = match rollout.plan {
        None => String::new(),
        Some(_) => {
            let bytes = approval::statement(rollout, parts).to_bytes();
            let bytes = bytes.map_err(|_| AppError::CutShort { what: "stating a plan" })?;
            String::from_utf8(bytes).map_err(|_| AppError::CutShort { what: "stating a plan" })?
        }
    };
    let fresh = Heard { last_seen: None, sick: false };
    let counts = match app.store.find::<Rollout>(rollout.id.as_str()).await?.value {
        Some(_) => rollout::counted(app, rollout).await?,
        None => Tally::count(rollout, parts.iter().map(|part| (part, fresh)), app.now()),
    };
    let counting = rollout.approvals.iter().filter(|one| Some(one.plan) == rollout.plan);
    Ok(PlanView {
        rollout: rollout.view(&counts),
        plan: rollout.plan,
        statement,
        policy: rollout.conduct.policy.clone(),
        reason: rollout.reason.clone(),
        approvals: counting
            .map(|one| ApprovalView { by: one.by.clone(), key: one.key.clone(), at: one.at })
            .collect(),
        approvals_needed: u64::from(rollout.conduct.approvals),
        preview,
    })
}

//! The plan of a simulated rollout: the domain's own survey over a made-up registry.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::target::{EmergencyCustom, Schedule};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_server_domain::attribute::HARDWARE;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::advance::start;
use lazaret_server_domain::rollout::policy::{Policy, Urgency};
use lazaret_server_domain::rollout::state::{
    Assignment, AssignmentState, Direction, Rollout, RolloutRelease,
};
use lazaret_server_domain::rollout::survey::{Draft, Survey};

use crate::fleet::Fleet;
use crate::scenario::{BEGINNING, Scenario};

/// The first device of the first group, the rollout and its part.
pub(crate) fn records(
    fleet: &Fleet,
    scenario: &Scenario,
    policy: &Policy,
) -> Result<(Device, Rollout, Assignment), Refused> {
    let (rollout, order) = plan(fleet, scenario, policy)?;
    let first = order.iter().find(|(_, group)| *group == 0).and_then(|(number, _)| id(*number));
    let first = first.ok_or_else(|| unnamed("the first group is empty"))?;
    let part = Assignment {
        rollout: rollout.id.clone(),
        device: first.clone(),
        group: 0,
        state: AssignmentState::Waiting,
        cohort: hardware(0),
        preserving_since: None,
    };
    Ok((Device { id: first, ..device()? }, rollout, part))
}

/// The rollout as the domain plans it, and each device's group.
pub(crate) fn plan(
    fleet: &Fleet,
    scenario: &Scenario,
    policy: &Policy,
) -> Result<(Rollout, Vec<(u32, u64)>), Refused> {
    let now = BEGINNING;
    let new = release("2.0", 2)?;
    let schedule = Schedule::everybody_from(&format!("sim-{}", scenario.seed), now);
    let emergency = (policy.urgency == Urgency::Emergency).then(|| EmergencyCustom {
        image_sha256: new.sha256,
        schedule: schedule.clone(),
        reason: "a simulation".into(),
        expires: now.plus_ms(u64::from(scenario.days) * DAY_MS),
    });
    let model = "sim".parse().map_err(unnamed)?;
    let release = RolloutRelease {
        model,
        version: new.version,
        sha256: new.sha256,
        schedule,
        counter: new.counter,
        needs: 0,
        emergency,
    };
    let draft = Draft {
        release,
        image_bytes: 0,
        deltas: vec![],
        steps: vec![],
        direction: Direction::Newer,
        policy: policy.clone(),
        filter: None,
        devices: None,
        floors: BTreeMap::new(),
        cures: None,
        reason: "a simulation".into(),
    };
    let mut survey = Survey::new(draft, now)?;
    let mut numbers = BTreeMap::new();
    let mut device = device()?;
    for number in 0..scenario.devices {
        let Some(id) = id(number) else { continue };
        let machine = fleet.machine(number);
        device.last_seen = Some(Timestamp::from_ms(fleet.last_poll(number, now.as_ms())));
        device.utc_offset_min = Some(machine.utc_offset_min);
        device.attributes.insert(HARDWARE.into(), hardware(machine.revision));
        device.id = id.clone();
        survey.look(&device, None, None);
        numbers.insert(id, number);
    }
    let id = "r-sim".parse().map_err(unnamed)?;
    let by = "sim".parse().map_err(unnamed)?;
    let (plan, _) = survey.finish((id, &by))?;
    let groups = plan.assignments.iter();
    let order = groups
        .filter_map(|part| numbers.get(&part.device).map(|number| (*number, part.group)))
        .collect();
    let mut rollout = plan.rollout;
    // Nobody is asked to approve a simulation.
    rollout.conduct.approvals = 0;
    let found = Found { key: "rollout/r-sim".into(), version: None, value: Some(rollout) };
    let started = start(&found, "sim", now)?;
    Ok((started.preview().clone(), order))
}

pub(crate) fn id(number: u32) -> Option<DeviceId> {
    format!("d-{number}").parse().ok()
}

pub(crate) fn hardware(revision: u8) -> String {
    format!("rev-{revision}")
}

pub(crate) fn release(version: &str, counter: u64) -> Result<RunningRelease, Refused> {
    let sha256 = Sha256Digest::of(version.as_bytes());
    Ok(RunningRelease { version: version.parse().map_err(unnamed)?, counter, sha256 })
}

/// A device as the registry would have it.
fn device() -> Result<Device, Refused> {
    Ok(Device {
        id: "d-0".parse().map_err(unnamed)?,
        serial: "s-0".parse().map_err(unnamed)?,
        model: "sim".parse().map_err(unnamed)?,
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificates: vec![],
        certificate_ends: BEGINNING,
        enrolled: BEGINNING,
        quarantine: None,
        poll_sequence: 0,
        polls: 0,
        last_seen: None,
        running: Some(release("1.0", 1)?),
        update_state: "idle".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::new(),
        group: None,
        utc_offset_min: None,
        battery_percent: None,
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: lazaret_server_domain::clone::Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    })
}

pub(crate) fn unnamed(err: impl core::fmt::Display) -> Refused {
    Refused::because(RefusalCode::BadRequest, format!("{err}"))
}

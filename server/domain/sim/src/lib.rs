//! Rollouts over fleets that do not exist: the domain's own planning, gates, turns, statistics and
//! steps decide, and only devices, links and images are made up. One seed gives one run, bit for
//! bit. Beside it the same fleet under hawkBit's rules, as a peer to be measured against.
//!
//! No clock, no disk, no network; time is what the scenario says it is.
#![no_std]

extern crate alloc;

mod fleet;
mod hawkbit;
mod ours;
mod planning;
mod random;
mod report;
pub mod scenario;

pub use hawkbit::{HAWKBIT_GROUPS, Hawkbit};
pub use ours::SimError;
pub use report::{Point, Report};
pub use scenario::{Fault, Links, Scenario};

use lazaret_server_domain::device::Device;
use lazaret_server_domain::rollout::policy::Policy;
use lazaret_server_domain::rollout::state::{Assignment, Rollout};

/// Runs a policy over a fleet.
///
/// # Errors
/// The policy or the scenario is not usable.
pub fn run(scenario: &Scenario, policy: &Policy) -> Result<Report, SimError> {
    scenario.check().map_err(|why| SimError::Scenario { why })?;
    let fleet = fleet::Fleet::new(scenario);
    ours::run(&fleet, scenario, policy)
}

/// The records that the poll of one device reads once the rollout runs: the device, the rollout
/// over the whole fleet, and the device's part in it.
///
/// # Errors
/// The policy or the scenario is not usable.
pub fn planned(
    scenario: &Scenario,
    policy: &Policy,
) -> Result<(Device, Rollout, Assignment), SimError> {
    scenario.check().map_err(|why| SimError::Scenario { why })?;
    let fleet = fleet::Fleet::new(scenario);
    planning::records(&fleet, scenario, policy).map_err(SimError::Refused)
}

/// Runs hawkBit's rules over the same fleet.
///
/// # Errors
/// The scenario is not usable.
pub fn run_hawkbit(scenario: &Scenario, rules: Hawkbit) -> Result<Report, SimError> {
    scenario.check().map_err(|why| SimError::Scenario { why })?;
    let fleet = fleet::Fleet::new(scenario);
    Ok(hawkbit::run(&fleet, scenario, rules))
}

#[cfg(test)]
mod tests;

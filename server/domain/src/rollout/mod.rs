//! Rollouts: what a policy asks for (`policy`, `span`, `window`), who is in which group (`plan`,
//! `survey`) and what that looks like (`preview`), who approved it (`approval`), how a rollout and
//! a device's part in it stand (`state`), the counts (`tally`), what they call for (`gate`,
//! `statistics`, `advance`), turns under caps (`pace`), the one gate that holds a device (`hold`),
//! the releases in between that
//! signers asked for (`step`), and the fleet-wide cord (`cord`).

pub mod advance;
pub mod approval;
pub mod cord;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gate;
pub mod hold;
pub mod pace;
pub mod plan;
pub mod planned;
pub mod policy;
pub mod preview;
pub mod span;
pub mod state;
pub mod statistics;
pub mod step;
pub mod survey;
pub mod tally;
pub mod window;

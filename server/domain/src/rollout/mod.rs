//! Rollouts: who is in which group (`plan`), how a rollout and a device's part in it stand
//! (`state`), when a group opens or the rollout halts (`gate`), and the next step from what has
//! happened (`advance`).

pub mod advance;
pub mod gate;
pub mod plan;
pub mod state;

//! The agent's shell: it touches the world so that `lazaret-agent-core` need not. Each room does
//! one thing: `transport` talks, `verify` asks TUF, `stage` writes an image, `slots` switch,
//! `durable` keeps, and `drive` is the one loop that carries out what the core decides.

pub mod artifacts;
pub mod bundle;
pub mod cli;
pub mod clock;
pub mod config;
pub mod containment;
pub mod drive;
pub mod durable;
pub mod failpoint;
pub mod forensic_log;
pub mod identity;
pub mod measures;
pub mod mirrors;
pub mod offline;
pub mod posture;
pub mod probes;
pub mod program;
pub mod slots;
pub mod source;
pub mod stage;
pub mod status;
pub mod tamper;
#[cfg(test)]
mod test_server;
pub mod tls;
pub mod transport;
pub mod verify;
pub mod vitals;
pub mod watchdog;

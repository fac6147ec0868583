//! Probes: what judges a new image. Each kind is a file and a line in [`PROBES`]. Nothing here
//! decides what becomes of the image; that is `lazaret_agent_core::health`.

use std::path::Path;

use lazaret_agent_core::health::{Finding, ProbeResult};

use crate::config::Reader;
use crate::transport::Transport;

mod command;
mod file;
mod http;
mod server;
mod service;
mod space;

pub(crate) use space::free_bytes;

/// What a probe may look at.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The image that is being judged.
    pub image: &'a Path,
    /// Its slot: `a` or `b`.
    pub slot: &'a str,
    /// The way to the server.
    pub transport: &'a Transport,
}

/// A probe that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// What was expected and what came.
    pub why: String,
    /// The last of what it printed.
    pub output: String,
}

impl ProbeFailure {
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), output: String::new() }
    }
}

/// One way of judging.
pub trait Probe: std::fmt::Debug + Send {
    /// Looks once, within `timeout_ms`.
    ///
    /// # Errors
    /// What was expected and what came.
    fn look(&self, around: &Surroundings<'_>, timeout_ms: u64) -> Result<(), ProbeFailure>;
}

/// Reads the settings of one kind; none where they are wrong, which the reader has noted.
pub type Make = fn(&mut Reader<'_>) -> Option<Box<dyn Probe>>;

/// Every kind of probe, by its name in the configuration.
pub const PROBES: &[(&str, Make)] = &[
    ("command", command::make),
    ("file", file::make),
    ("http", http::make),
    ("server", server::make),
    ("service", service::make),
    ("space", space::make),
];

/// One `[[probes]]` table: `name`, `kind`, `timeout_ms` (10000; 1 to 600000), `attempts` (3; 1 to
/// 100), and what the kind asks for.
#[derive(Debug)]
pub struct ProbeConfig {
    /// Its name in reports.
    pub name: String,
    /// How long one look may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried before it has failed.
    pub attempts: u32,
    /// The probe.
    pub probe: Box<dyn Probe>,
}

impl ProbeConfig {
    /// Reads one table.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let name = from.required("name", |text| {
            let plain = !text.is_empty() && text.len() <= 64 && !text.contains(char::is_control);
            if plain { Ok(text.to_owned()) } else { Err("expected 1 to 64 plain bytes".into()) }
        });
        let timeout_ms = from.number("timeout_ms", 10_000, 1..=600_000);
        let attempts = u32::try_from(from.number("attempts", 3, 1..=100)).unwrap_or(1);
        let kind = from.required("kind", |text| {
            let known: Vec<&str> = PROBES.iter().map(|(name, _)| *name).collect();
            let found = PROBES.iter().find(|(name, _)| *name == text);
            found
                .map(|(_, make)| *make)
                .ok_or_else(|| format!("expected one of {}, got {text:?}", known.join(", ")))
        });
        let Some(make) = kind else {
            // What a kind that is not known would have asked for is no further problem.
            from.forget();
            return None;
        };
        let probe = make(from);
        Some(Self { name: name?, timeout_ms, attempts, probe: probe? })
    }
}

/// How often each probe has failed in this trial.
#[derive(Debug, Default)]
pub struct Round {
    failures: Vec<u32>,
}

impl Round {
    /// Looks once with each probe, in the order of the configuration.
    pub fn look(&mut self, probes: &[ProbeConfig], around: &Surroundings<'_>) -> Vec<ProbeResult> {
        let mut results = Vec::new();
        self.failures.resize(probes.len(), 0);
        for (probe, failures) in probes.iter().zip(&mut self.failures) {
            let finding = match probe.probe.look(around, probe.timeout_ms) {
                Ok(()) => Finding::Passed,
                Err(ProbeFailure { why, output }) => {
                    *failures = failures.saturating_add(1);
                    let tries_left = probe.attempts.saturating_sub(*failures);
                    Finding::Failed { tries_left, why, output }
                }
            };
            results.push(ProbeResult { name: probe.name.clone(), finding });
        }
        results
    }
}

#[cfg(test)]
mod tests;

//! Signs that two machines share one identity. Each is decided from what a device says and what is
//! known of it; a sign is an event with its evidence, never a verdict: an operator, or a rule of
//! theirs, contains the device.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::SuspicionView;
use lazaret_protocol::poll::Boot;
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attestation::Hardware;
use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};

/// The same sign of the same device is an event again after so long, in milliseconds. In between
/// it is counted: two copies that poll every second must not fill the event log.
pub const TOLD_AGAIN_MS: u64 = HOUR_MS;

/// What was seen. Names travel and are stored; they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sign {
    /// A poll with a number that was used before.
    SequenceReused,
    /// A poll without the nonce of the answer before.
    NonceBroken,
    /// Fewer starts than before.
    BootCountFell,
    /// A certificate that a newer one has superseded.
    CertificateSuperseded,
    /// A TPM that was reset less often, or has run for less long, than before.
    TpmClockFell,
    /// Two that are there at the same time: one speaks again after the other has taken its place,
    /// or they speak in turn over two connections from two addresses.
    TwoLive,
    /// A start of the machine that came back after another had taken its place.
    BootIdReused,
    /// A machine that has run for less long than before, since the same start.
    UptimeFell,
}

impl Sign {
    /// As it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SequenceReused => "sequence-reused",
            Self::NonceBroken => "nonce-broken",
            Self::BootCountFell => "boot-count-fell",
            Self::CertificateSuperseded => "certificate-superseded",
            Self::TpmClockFell => "tpm-clock-fell",
            Self::TwoLive => "two-live",
            Self::BootIdReused => "boot-id-reused",
            Self::UptimeFell => "uptime-fell",
        }
    }
}

/// What is known of one sign of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// How often it was seen.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// When it was an event last.
    pub told: Timestamp,
    /// What was expected and what came, the last time.
    pub evidence: String,
}

/// What the registry remembers of a device to tell it from its copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The nonce in the last answer: the next poll brings it back.
    pub nonce: Option<Sha256Digest>,
    /// The nonce that the device showed for it: where the answer was lost, it shows that again.
    pub shown: Option<Sha256Digest>,
    /// The highest boot counter.
    pub boot_count: u64,
    /// Names of the machine's latest starts, the last one at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<String>,
    /// How long it had run since the last one, in milliseconds.
    #[serde(default)]
    pub uptime_ms: u64,
    /// Names of the agent's latest starts, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Signs so far.
    pub suspicions: BTreeMap<Sign, Suspicion>,
}

impl Watch {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> BTreeMap<String, SuspicionView> {
        let view = |it: &Suspicion| SuspicionView {
            count: it.count,
            first: it.first,
            last: it.last,
            evidence: it.evidence.clone(),
        };
        self.suspicions.iter().map(|(sign, it)| (sign.as_str().into(), view(it))).collect()
    }

    /// Takes in the nonce that a poll brought, and gives out the next one.
    ///
    /// A device that shows the nonce of the last answer got it; one that shows the nonce before has
    /// lost that answer, or its power before it kept it, and goes on from there. Of two copies one
    /// shows neither, at its next poll after the other's. A device that has never shown one is of
    /// an older program.
    pub fn ratchet(&mut self, shown: Option<Sha256Digest>, next: Sha256Digest) -> Option<String> {
        let before = self.shown;
        let known = shown.is_some() && (shown == self.nonce || shown == before);
        let began = self.nonce.is_none() || (shown.is_none() && before.is_none());
        self.shown = if known { shown } else { before.filter(|_| !began) };
        self.nonce = Some(next);
        if known || began {
            return None;
        }
        // What the other copy was given is not to be learned from the evidence.
        Some(
            match shown {
                Some(_) => {
                    "expected the nonce of the last answer or of the one before, got another"
                }
                None => "expected the nonce of the last answer, got none",
            }
            .into(),
        )
    }

    /// Takes in the start that a poll names: those of an honest device follow one another, and
    /// none comes back. Clocks that run on are let off a second.
    pub fn started(&mut self, boot: &Boot) -> Vec<(Sign, String)> {
        const SLACK_MS: u64 = 1000;
        let mut signs = Vec::new();
        let (Some(id), Some(agent)) = (start_name(&boot.id), start_name(&boot.agent)) else {
            return signs;
        };
        let uptime = core::mem::replace(&mut self.uptime_ms, boot.uptime_ms);
        match follow(&mut self.boots, id) {
            Start::Same if boot.uptime_ms.saturating_add(SLACK_MS) < uptime => {
                let got = boot.uptime_ms;
                let what = format!("expected {uptime} ms since the same start or more, got {got}");
                signs.push((Sign::UptimeFell, what));
            }
            Start::Back => {
                let what = "expected the last start of the machine or a new one, an earlier one \
                            came back";
                signs.push((Sign::BootIdReused, what.into()));
            }
            Start::Same | Start::New => {}
        }
        if follow(&mut self.agents, agent) == Start::Back {
            let what = "expected the agent that polled last or one that started since, the one \
                        before it polled";
            signs.push((Sign::TwoLive, what.into()));
        }
        signs
    }

    /// Takes in a boot counter.
    pub fn booted(&mut self, count: u64) -> Option<String> {
        let known = self.boot_count;
        self.boot_count = known.max(count);
        (count < known).then(|| format!("expected at least {known} starts, got {count}"))
    }
}

/// Starts that are remembered.
const STARTS_MAX: usize = 8;

/// Longest part of a start's name that is remembered, in bytes: 56 random bits of a UUID.
const START_BYTES: usize = 16;

/// How a start stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Same,
    New,
    Back,
}

fn follow(starts: &mut Vec<String>, name: &str) -> Start {
    if starts.last().is_some_and(|last| last == name) {
        return Start::Same;
    }
    let earlier = starts.iter().position(|it| it == name).map(|at| starts.remove(at));
    if starts.len() >= STARTS_MAX {
        starts.remove(0);
    }
    starts.push(name.into());
    if earlier.is_some() { Start::Back } else { Start::New }
}

fn start_name(text: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.get(..START_BYTES).filter(|name| name.bytes().all(plain))
}

/// Notes that requests of a device came in turn over two open connections from two addresses.
/// Nothing is written until it is to be told again.
pub fn two_live(found: &Found<Device>, evidence: &str, now: Timestamp) -> Decision<()> {
    let unchanged = Decision::reply(());
    let Some(device) = &found.value else { return unchanged };
    let mut suspected = device.clone();
    match suspect(&mut suspected, Sign::TwoLive, evidence.into(), now) {
        None => unchanged,
        Some(fact) => unchanged.replace(found, &suspected).event(Event { at: now, fact }),
    }
}

/// Notes a sign; the fact is there where it is to be told.
pub fn suspect(device: &mut Device, sign: Sign, evidence: String, now: Timestamp) -> Option<Fact> {
    let fact = Fact::CloneSuspected {
        device: device.id.clone(),
        sign: sign.as_str().into(),
        evidence: evidence.clone(),
    };
    let Some(known) = device.watch.suspicions.get_mut(&sign) else {
        let first = Suspicion { count: 1, first: now, last: now, told: now, evidence };
        device.watch.suspicions.insert(sign, first);
        return Some(fact);
    };
    known.count = known.count.saturating_add(1);
    known.last = now;
    known.evidence = evidence;
    if now.since_ms(known.told) < TOLD_AGAIN_MS {
        return None;
    }
    known.told = now;
    Some(fact)
}

/// Notes that a certificate was shown that a newer one has superseded. Nothing is written until it
/// is to be told again.
pub fn superseded(
    found: &Found<Device>,
    certificate: &Sha256Digest,
    now: Timestamp,
) -> Decision<()> {
    let unchanged = Decision::reply(());
    let Some(device) = &found.value else { return unchanged };
    let mut suspected = device.clone();
    let evidence = format!("the superseded certificate {certificate} was shown");
    match suspect(&mut suspected, Sign::CertificateSuperseded, evidence, now) {
        None => unchanged,
        Some(fact) => unchanged.replace(found, &suspected).event(Event { at: now, fact }),
    }
}

/// Whether a TPM says that it is younger than it was: it runs on in one copy and stood still in the
/// other.
#[must_use]
pub fn tpm_fell(known: &Hardware, now: &Hardware) -> Option<String> {
    let fell = (now.resets, now.clock_ms) < (known.resets, known.clock_ms);
    fell.then(|| {
        format!(
            "expected at least {} resets and {} ms, got {} resets and {} ms",
            known.resets, known.clock_ms, now.resets, now.clock_ms
        )
    })
}

#[cfg(test)]
mod tests;

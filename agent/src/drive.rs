//! The one loop: it tells the core what happened, carries out what the core decides, and waits. Its
//! parts are `start` (from power on to the loop), `polling` (the server), `metadata` (the
//! repository), `updating` (images), `installing` (what surrounds them on this device), `by_hand`
//! (bundles), `collecting` (evidence) and `containing` (quarantine). No part decides what the core
//! could decide.

use std::sync::Arc;

use lazaret_agent_core::action::Action;
use lazaret_agent_core::bootloader::Change;
use lazaret_agent_core::event::{Event, Situation};
use lazaret_agent_core::journal::{Collection, Journal, Update};
use lazaret_agent_core::poll::{Backoff, after_failure};
use lazaret_agent_core::update::step;
use lazaret_protocol::anchors::Anchors;
use lazaret_protocol_evidence::log::Detail;

use crate::bundle::Link;
use crate::cli::chain;
use crate::clock::{Clock, sleep_ms};
use crate::config::Config;
use crate::containment::{KeepError, Verdict};
use crate::durable::{Durable, DurableError, JournalFile, StateLock};
use crate::forensic_log::{ForensicLog, ForensicLogError};
use crate::identity::{Certificate, DeviceKey, IdentityError, Ratchet};
use crate::mirrors::Mirrors;
use crate::offline::OfflineBundle;
use crate::posture::Watch;
use crate::probes::Round;
use crate::slots::{Bootloader, SlotError};
use crate::stage::Stage;
use crate::status::{self, Board};
use crate::tamper::Tamper;
use crate::tls::TlsError;
use crate::transport::Transport;
use crate::verify::{Found, Repository, VerifyError};
use crate::watchdog::Watchdog;

pub mod by_hand;
mod collecting;
mod containing;
mod held;
mod installing;
mod metadata;
mod polling;
mod posture;
mod recover;
mod start;
mod updating;

use held::HeldPoll;
use metadata::Staleness;
pub use recover::{RecoverError, Recovered, recover};
pub(crate) use start::bootloader;
pub use start::{start, start_offline};

/// Between two rounds of probes, in milliseconds.
const PROBE_ROUND_MS: u64 = 1000;

/// Refusals that are remembered, so that each is logged once.
const REFUSALS_MAX: usize = 16;

/// Longest sleep at once, in milliseconds, so that lapsed orders are noticed.
const NAP_MS_MAX: u64 = 60_000;

/// How often a nap looks whether somebody at the device asks for something, in milliseconds.
const LOOK_MS: u64 = 2000;

/// The agent cannot go on as it is. A server that is away is none of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// Something could not be kept, or what was kept cannot be read.
    #[error("state cannot be kept")]
    Durable(#[from] DurableError),
    /// The bootloader.
    #[error("slots cannot be used")]
    Slots(#[from] SlotError),
    /// The forensic log.
    #[error("forensic log cannot be used")]
    Log(#[from] ForensicLogError),
    /// The device has no usable identity.
    #[error("device has no identity")]
    Identity(#[from] IdentityError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The trust anchors on disk cannot be read.
    #[error("trust anchors cannot be read")]
    Verify(#[from] VerifyError),
    /// Other state is there, but no journal: the floors would be lost.
    #[error(
        "expected the journal {}, because this device has been at work; `lazaret-agent recover` \
         makes it anew from its copy",
        path.display()
    )]
    JournalLost {
        /// Where.
        path: std::path::PathBuf,
    },
    /// The configuration names a bootloader that is not in the table.
    #[error("there is no bootloader {name:?}")]
    NoBootloader {
        /// Its name.
        name: String,
    },
    /// An order to enter quarantine cannot be kept.
    #[error("quarantine cannot be kept")]
    Containment(#[from] KeepError),
    /// Somebody else has the state: a second agent, or `apply` at work.
    #[error("another program holds {}/lock", state_dir.display())]
    Locked {
        /// The state folder.
        state_dir: std::path::PathBuf,
    },
    /// Without a network nobody enrols.
    #[error("expected a device that is enrolled: without a network it cannot become one")]
    NotEnrolled,
    /// The system has no randomness, without which no pace can be kept.
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
}

/// Why the loop ends.
#[derive(Debug)]
pub enum Stop {
    /// What the bootloader was told takes effect with a restart.
    Restart,
    /// The agent cannot go on.
    Failed(Box<DriveError>),
}

impl<E: Into<DriveError>> From<E> for Stop {
    fn from(err: E) -> Self {
        Self::Failed(Box::new(err.into()))
    }
}

/// When something that failed is tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    failures: u32,
    /// On the monotonic clock.
    next_ms: u64,
}

impl Pace {
    const fn due(&self, now_ms: u64) -> bool {
        now_ms >= self.next_ms
    }
}

/// The agent at work.
#[derive(Debug)]
pub struct Drive {
    config: Config,
    durable: Durable,
    clock: Clock,
    journal_file: JournalFile,
    journal: Journal,
    slots: Box<dyn Bootloader>,
    key: DeviceKey,
    certificate: Certificate,
    ratchet: Ratchet,
    transport: Transport,
    repository: Repository,
    /// Who has the repository, and which of them answered last.
    mirrors: Mirrors,
    mirror: usize,
    /// The version of `timestamp.json` that the server spoke of last.
    announced: u64,
    staleness: Staleness,
    /// The bundle of an install by hand.
    bundle: Option<Arc<OfflineBundle>>,
    log: ForensicLog,
    anchors: Option<Anchors>,
    /// What the measures of the quarantine came to, where there is one.
    contained: Option<Verdict>,
    /// When they are tried again.
    measures: Pace,
    /// What TUF says of the image under way, and the image on its way; made anew after a restart.
    found: Option<Found>,
    stage: Option<Stage>,
    mismatches: u32,
    round: Round,
    /// What the device has found out about itself.
    watch: Watch,
    polls: Pace,
    /// The poll that is out, where the server may hold it back.
    held: Option<HeldPoll>,
    /// Whether the last poll could be held back.
    connected: bool,
    reports: Pace,
    updates: Pace,
    collections: Pace,
    /// How well the link does with evidence.
    link: Link,
    renewals: Pace,
    probes: Pace,
    /// When the device looks at itself outside a trial.
    looks: Pace,
    /// What notices a hand on the device.
    tamper: Tamper,
    /// Refusals that were logged, by code and words: the same one again is no news.
    refusals: Vec<(String, String)>,
    /// Who starts the machine again where this loop stands still.
    watchdog: Watchdog,
    /// The name of this start of the agent, which no other start has.
    start: String,
    /// What is said to programs beside the agent.
    board: Board,
    /// Where the certificate's renewal falls within its window.
    renewal_random: u64,
    /// Nobody else writes this device's state.
    _lock: StateLock,
}

impl Drive {
    /// Goes round until the agent has to start again or cannot go on.
    #[must_use]
    pub fn run(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.turn() {
                return stop;
            }
        }
    }

    /// One round: what has lapsed, what the server wants, what is under way, and a nap.
    fn turn(&mut self) -> Result<(), Stop> {
        self.watchdog.alive();
        self.tell(&Event::Woke)?;
        if matches!(self.journal.update, Update::Armed { .. } | Update::RollingBack { .. }) {
            // An action after the journal's write has failed; the next start takes it up.
            return Err(Stop::Restart);
        }
        if matches!(self.journal.update, Update::Trial { .. }) && self.probes.due(self.now_ms()) {
            self.judge()?;
        }
        self.look_at_itself();
        self.look_at_containment()?;
        self.take_held()?;
        if self.poll_is_due() {
            self.poll()?;
        }
        if self.renewals.due(self.now_ms()) {
            self.renew_if_due()?;
        }
        if !self.journal.reports.is_empty() && self.reports.due(self.now_ms()) {
            self.report()?;
        }
        self.by_hand()?;
        if self.updates.due(self.now_ms()) {
            self.update()?;
        }
        self.ended_by_hand()?;
        let key = &self.key;
        self.log.settle(&|bytes: &[u8]| key.sign(bytes))?;
        if self.journal.collection != Collection::Idle && self.collections.due(self.now_ms()) {
            self.collect()?;
        }
        self.board.say(|| status::of(&self.journal, self.slots.booted()));
        self.nap()
    }

    /// Sleeps until the next thing is due.
    fn nap(&mut self) -> Result<(), Stop> {
        let mut next = match &self.held {
            Some(_) => u64::MAX,
            // After a start: the time is known since the poll that was just answered, and the next
            // one can be held back.
            None if self.poll_is_due() => 0,
            None => self.polls.next_ms,
        };
        if !self.journal.reports.is_empty() {
            next = next.min(self.reports.next_ms);
        }
        match self.journal.update {
            Update::Idle => next = next.min(self.looks.next_ms),
            Update::Trial { .. } => next = next.min(self.probes.next_ms),
            _ => next = next.min(self.updates.next_ms),
        }
        if self.journal.collection != Collection::Idle {
            next = next.min(self.collections.next_ms);
        }
        let until = self.now_ms().saturating_add(NAP_MS_MAX).min(next);
        let asked = by_hand::request_path(&self.config.state_dir);
        loop {
            self.watchdog.alive();
            self.look_for_hands()?;
            let wait = until.saturating_sub(self.now_ms()).min(LOOK_MS);
            if wait == 0 || asked.exists() {
                return Ok(());
            }
            if let Some(held) = &mut self.held {
                if held.wait(wait) {
                    return Ok(());
                }
            } else {
                sleep_ms(wait);
            }
        }
    }

    /// Records what the tamper inputs have noticed. The server hears of it as the log grows: a poll
    /// for each would let whoever pulls a plug in and out make the device shout.
    fn look_for_hands(&mut self) -> Result<(), Stop> {
        for seen in self.tamper.look() {
            tracing::warn!(kind = seen.kind, "somebody may have a hand on the device");
            self.note(seen.kind, seen.detail)?;
        }
        Ok(())
    }

    /// Tells the core, and does what it says, in its order.
    fn tell(&mut self, event: &Event) -> Result<(), Stop> {
        let (next, actions) = step(&self.journal, event, &self.situation());
        if !actions.contains(&Action::WriteJournal) {
            self.journal = next.clone();
        }
        self.clock.follow(next.time_floor);
        for action in actions {
            match action {
                Action::Log(entry) => {
                    tracing::info!(entry = ?entry, "logged");
                    self.log.record(&entry)?;
                }
                Action::WriteJournal => {
                    self.journal_file.write(&next)?;
                    self.journal = next.clone();
                }
                Action::MarkUnknown { slot } => self.switch(Change::Forget(slot))?,
                Action::Arm { slot, tries } => self.switch(Change::Try { slot, tries })?,
                Action::MarkGood { slot } => self.switch(Change::Keep(slot))?,
                Action::Revert { slot } => self.switch(Change::GiveUp(slot))?,
                Action::Restart => return Err(Stop::Restart),
            }
        }
        Ok(())
    }

    fn switch(&mut self, change: Change) -> Result<(), Stop> {
        self.slots.plan(change)?;
        Ok(self.slots.commit()?)
    }

    /// What holds at this moment.
    fn situation(&self) -> Situation<'_> {
        Situation {
            now: self.clock.now(),
            device: self.certificate.device(),
            model: &self.config.model,
            booted: self.slots.booted(),
            tries: self.config.tries,
        }
    }

    fn note(&mut self, kind: &str, detail: Detail) -> Result<(), Stop> {
        Ok(self.log.append(kind, detail)?)
    }

    fn now_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    /// The pace of something that has failed once more.
    fn slower(&self, pace: Pace, retry_after_ms: u64) -> Result<Pace, Stop> {
        let backoff = Backoff {
            base_ms: self.config.backoff_base_ms,
            ceiling_ms: self.config.backoff_ceiling_ms,
        };
        let failures = pace.failures.saturating_add(1);
        let wait = after_failure(backoff, failures, retry_after_ms, random()?);
        Ok(Pace { failures, next_ms: self.now_ms().saturating_add(wait) })
    }

    /// Notes that something was refused because it does not verify, once for each kind of refusal.
    fn refuse(&mut self, code: &str, err: &(dyn std::error::Error + 'static)) -> Result<(), Stop> {
        let text = chain(err);
        if !self.is_news(code, &text) {
            return Ok(());
        }
        tracing::warn!(code, "refused: {text}");
        self.note("verification-refused", Detail::none().text("code", code).text("why", &text))
    }

    /// Whether this was not logged before. What a peer repeats with every poll must not fill the
    /// log.
    fn is_news(&mut self, code: &str, text: &str) -> bool {
        let refusal = (code.to_owned(), text.to_owned());
        if self.refusals.contains(&refusal) {
            return false;
        }
        if self.refusals.len() >= REFUSALS_MAX {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
        true
    }
}

fn random() -> Result<u64, DriveError> {
    getrandom::u64().map_err(|err| DriveError::Randomness(err.to_string()))
}

#[cfg(test)]
mod tests;

//! Signed metadata: asked of one source after the other, judged, kept, and what was odd about it
//! said. A source that is behind is a stale mirror first, and an alarm where it persists.

use lazaret_agent_core::event::Event;
use lazaret_agent_core::poll::{Backoff, after_failure};
use lazaret_protocol::anchors::Anchors;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_tuf::{Notice, Trusted};

use super::{Drive, Stop, random};
use crate::cli::chain;
use crate::clock::sleep_ms;
use crate::verify::{Findings, VerifyError};

/// Rounds in which nobody had anything newer before it may be an alarm, however long they took.
const STALE_ROUNDS_MIN: u32 = 3;

/// Longest pause between two sources of one round, in milliseconds.
const PAUSE_MS_MAX: u64 = 1000;

/// Since when everybody who was asked is behind.
#[derive(Debug, Default)]
pub(super) struct Staleness {
    /// On the monotonic clock.
    since_ms: Option<u64>,
    rounds: u32,
    alarmed: bool,
}

/// What a device says with every poll for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Every source is behind.
    StaleMirror,
    /// The server's clock is not believed.
    ClockDoubted,
}

impl Alarm {
    /// Its name in logs and polls.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::StaleMirror => "stale-mirror",
            Self::ClockDoubted => "clock-doubted",
        }
    }
}

/// What one source came to.
enum Answer {
    Fresh(Box<Trusted>, Box<Anchors>),
    /// Good metadata, or an older one than is known, that lacks what the server spoke of.
    Stale(String),
    Failed,
}

impl Drive {
    /// Brings signed metadata and the anchors up to date; none where that did not work, which is
    /// logged and tried again with whatever needs it. Every source that does not rest is asked,
    /// with a pause between them, until one has what is new.
    pub(super) fn refresh(&mut self) -> Result<Option<Trusted>, Stop> {
        let (mut asked, mut stale) = (Vec::new(), None);
        while let Some(number) = self.mirrors.next(&asked, self.now_ms()) {
            if !asked.is_empty() {
                self.pause()?;
            }
            asked.push(number);
            match self.refresh_from(number)? {
                Answer::Fresh(trusted, anchors) => {
                    self.mirrors.well(number);
                    self.mirror = number;
                    self.anchors = Some(*anchors);
                    // Metadata is good again: should it turn bad once more, that is news.
                    self.refusals.retain(|(code, _)| !code.starts_with("tuf-"));
                    self.is_fresh()?;
                    return Ok(Some(*trusted));
                }
                Answer::Stale(why) => stale = Some(why),
                Answer::Failed => {}
            }
        }
        if let Some(why) = stale {
            self.is_stale(&why)?;
        }
        Ok(None)
    }

    fn refresh_from(&mut self, number: usize) -> Result<Answer, Stop> {
        let Some(source) = self.mirrors.source(number).cloned() else { return Ok(Answer::Failed) };
        let mut findings = Findings::default();
        let now = self.clock.now();
        let floors = self.journal.tuf.clone();
        let outcome = self.repository.refresh(&source, &floors, now, &mut findings).and_then(
            |mut trusted| {
                let anchors = self.repository.anchors(&source, &mut trusted, &mut findings)?;
                Ok((trusted, anchors))
            },
        );
        self.found_out(findings)?;
        let err = match outcome {
            Ok((trusted, anchors)) => {
                let version = trusted.floors().timestamp;
                if version >= self.announced {
                    return Ok(Answer::Fresh(Box::new(trusted), Box::new(anchors)));
                }
                let announced = self.announced;
                self.rest(number, 0)?;
                return Ok(Answer::Stale(format!(
                    "{} has version {version} of timestamp, the server spoke of {announced}",
                    source.name()
                )));
            }
            Err(err) => err,
        };
        if err.is_stale() {
            self.rest(number, 0)?;
            return Ok(Answer::Stale(format!("{}: {}", source.name(), chain(&err))));
        }
        self.failed_by(number, &err)?;
        Ok(Answer::Failed)
    }

    /// Notes that a source failed, by name where it did more than fail.
    pub(super) fn failed_by(&mut self, number: usize, err: &VerifyError) -> Result<(), Stop> {
        self.not_verified(err)?;
        let retry_after_ms = match err {
            VerifyError::Transport(err) => err.retry_after_ms(),
            _ => 0,
        };
        self.rest(number, retry_after_ms)
    }

    pub(super) fn rest(&mut self, number: usize, retry_after_ms: u64) -> Result<(), Stop> {
        self.mirrors.failed(number, self.now_ms(), retry_after_ms, random()?);
        Ok(())
    }

    /// A moment before the next source is asked, so that a fleet whose mirror failed does not fall
    /// on the next one at once.
    fn pause(&self) -> Result<(), Stop> {
        let span = self.config.backoff_base_ms.min(PAUSE_MS_MAX);
        let backoff = Backoff { base_ms: span, ceiling_ms: span };
        sleep_ms(after_failure(backoff, 1, 0, random()?));
        Ok(())
    }

    fn is_fresh(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.staleness).alarmed {
            self.note("alarm-over", Detail::none().text("code", Alarm::StaleMirror.code()))?;
        }
        Ok(())
    }

    /// Nobody has anything newer. An honest mirror catches up before long; past that, somebody
    /// keeps this device from what it ought to see.
    fn is_stale(&mut self, why: &str) -> Result<(), Stop> {
        let now_ms = self.now_ms();
        let staleness = &mut self.staleness;
        let since_ms = *staleness.since_ms.get_or_insert(now_ms);
        staleness.rounds = staleness.rounds.saturating_add(1);
        let lasted_ms = now_ms.saturating_sub(since_ms);
        tracing::warn!(lasted_ms, "stale: {why}");
        let persists = lasted_ms >= self.config.stale_alarm_ms
            && self.staleness.rounds >= STALE_ROUNDS_MIN
            && !self.staleness.alarmed;
        if !persists {
            return Ok(());
        }
        self.staleness.alarmed = true;
        let detail = Detail::none()
            .text("code", Alarm::StaleMirror.code())
            .text("why", why)
            .number("lasted-ms", lasted_ms)
            .number("rounds", u64::from(self.staleness.rounds));
        self.note("alarm", detail)
    }

    /// What the server is told with every poll for as long as it holds; none where all is well.
    pub(super) fn alarms(&self) -> Option<String> {
        let doubted = |(code, _): &(String, String)| code == Alarm::ClockDoubted.code();
        let stale = self.staleness.alarmed.then_some(Alarm::StaleMirror);
        let clock = self.refusals.iter().any(doubted).then_some(Alarm::ClockDoubted);
        let all: Vec<&str> = stale.into_iter().chain(clock).map(Alarm::code).collect();
        (!all.is_empty()).then(|| all.join(","))
    }

    /// Logs why metadata was not to be had.
    pub(super) fn not_verified(&mut self, err: &VerifyError) -> Result<(), Stop> {
        match err.code() {
            Some(code) => self.refuse(code, err),
            None => {
                tracing::warn!("no metadata: {}", chain(err));
                Ok(())
            }
        }
    }

    /// Logs what the TUF client noticed, and makes its floors durable before anything is done with
    /// what it found.
    pub(super) fn found_out(&mut self, findings: Findings) -> Result<(), Stop> {
        for err in &findings.set_aside {
            self.not_verified(err)?;
        }
        for notice in &findings.notices {
            let (code, detail) = match notice {
                Notice::OnlineKeysRotated { root } => {
                    ("online-keys-rotated", Detail::none().number("root", *root))
                }
                Notice::StoredMissing { role, floor } => {
                    ("stored-missing", Detail::none().text("role", role).number("floor", *floor))
                }
                Notice::StoredSetAside { role, why } => {
                    ("stored-set-aside", Detail::none().text("role", role).text("why", chain(why)))
                }
                _ => ("unknown", Detail::none()),
            };
            if self.is_news(code, &format!("{notice:?}")) {
                self.note("metadata-notice", detail.text("code", code))?;
            }
        }
        match findings.floors {
            Some(floors) => self.tell(&Event::TufAdvanced { floors, expires: findings.expires }),
            None => Ok(()),
        }
    }
}

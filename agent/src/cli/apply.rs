//! `lazaret-agent apply`: a bundle from a stick, installed under all the rules that an order is. It
//! rehearses first, and then either hands the bundle to the agent that runs, or does the agent's
//! work itself where none does. It adds no rule and lifts none.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use lazaret_agent_core::event::{Offer, Situation};
use lazaret_agent_core::journal::{
    BY_HAND, ByHand, Direction, Install, Journal, Overrule, Pace, Update,
};
use lazaret_agent_core::offer::judge;
use lazaret_agent_core::order::apply_refused;
use lazaret_agent_core::slot::{Release, Slot};
use lazaret_protocol::offline::OfflineManifest;
use lazaret_protocol::order::Outcome;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::{EXIT_FAILED, EXIT_MISUSE, EXIT_RESTART, chain, complain, failed, say, with_config};
use crate::clock::{Clock, sleep_ms};
use crate::config::{Config, Restart};
use crate::drive::by_hand::{self, Ended, Progress, Request};
use crate::drive::{self, Stop};
use crate::durable::{Durable, JournalFile, StateLock};
use crate::identity::{Certificate, DeviceKey};
use crate::offline::OfflineBundle;
use crate::verify::{Findings, Found, Repository};

/// How often the agent's progress is looked at, in milliseconds.
const LOOK_MS: u64 = 200;

/// How long the agent that runs may take to take the bundle up, in milliseconds: a held poll ends
/// within 55 s.
const TAKEN_UP_MS_MAX: u64 = 120_000;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 300;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs every check that an update from the server has to pass: signatures and thresholds, versions
that never go back, expiry, hardware model, release floor, signed schedule. Then the image goes into
the
other slot, is read back, started on trial, judged by the probes, and kept or left again. The server
is told when the device meets it again.

Whoever stands at the device may overrule, with a --reason that goes into the forensic log:
  schedule       the place in the signed rollout: install before the device's turn
  failed-before  that this very image has failed its trial here
  freshness      that timestamp and snapshot have expired (they live two days); root, targets and
                 release must still be valid, and nothing older than what is known is taken
Nobody may overrule signatures, hardware, floors, or quarantine.

While the agent runs as a service the bundle is handed to it; otherwise this program does its work.
Exit codes: 0 installed and kept, 1 refused or failed, 2 misuse, 75 restart the device to go on.

Example:
  lazaret-agent apply --config /etc/lazaret/agent.toml --dry-run /media/usb/gw2-1.4.0.lazaret
  lazaret-agent apply --config /etc/lazaret/agent.toml --overrule schedule \\
      --reason \"field visit 4711\" /media/usb/gw2-1.4.0.lazaret")]
pub(super) struct Args {
    /// The bundle, as `lazaret release export` writes it
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Set a rule aside, once for each
    #[arg(long, value_name = "RULE")]
    overrule: Vec<Rule>,
    /// Why, for the forensic log; required with --overrule
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// A rule that may be set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    Schedule,
    FailedBefore,
    Freshness,
}

impl From<Rule> for Overrule {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Schedule => Self::Schedule,
            Rule::FailedBefore => Self::FailedBefore,
            Rule::Freshness => Self::Freshness,
        }
    }
}

/// Whether the bundle would be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Install,
    Refuse,
}

/// What a rehearsal came to.
#[derive(Debug, Serialize)]
struct Rehearsal {
    bundle: OfflineManifest,
    verdict: Verdict,
    /// The rule that says no.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The word with which that rule may be overruled, where it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    overrule: Option<&'static str>,
    /// `ordinary` or `emergency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pace: Option<Pace>,
    /// Whether a delta from what runs is in the bundle.
    delta: bool,
    counter: Option<u64>,
    sha256: Option<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let mut overrules: Vec<Overrule> = args.overrule.iter().map(|rule| (*rule).into()).collect();
    overrules.sort_unstable();
    overrules.dedup();
    if !overrules.is_empty() && args.reason.trim().is_empty() {
        complain("--overrule: expected a --reason for the forensic log, got none");
        return ExitCode::from(EXIT_MISUSE);
    }
    if args.reason.len() > REASON_BYTES_MAX {
        complain(&format!(
            "--reason: expected at most {REASON_BYTES_MAX} bytes, got {}",
            args.reason.len()
        ));
        return ExitCode::from(EXIT_MISUSE);
    }
    with_config(&args.config, |config| apply(args, config, &overrules))
}

fn apply(args: &Args, config: Config, overrules: &[Overrule]) -> ExitCode {
    let bundle = match OfflineBundle::open_file(&args.bundle) {
        Ok(bundle) => Arc::new(bundle),
        Err(err) => return refused(args, "bundle-refused", &chain(&err)),
    };
    let rehearsal = match rehearse(&config, &bundle, overrules) {
        Ok(rehearsal) => rehearsal,
        Err(why) => return refused(args, "device-not-ready", &why),
    };
    if args.dry_run || rehearsal.verdict != Verdict::Install {
        return show(args, &rehearsal);
    }
    drop(bundle);
    let path = match args.bundle.canonicalize() {
        Ok(path) => path,
        Err(err) => return failed(&err),
    };
    let request = Request {
        bundle: path,
        overrules: overrules.to_vec(),
        reason: args.reason.clone(),
        progress: Progress::HandedOver,
    };
    match carry_out(args, config, &request) {
        Ok(Finished::Ended(ended)) => finish(args, &rehearsal, &ended),
        Ok(Finished::Restart) => {
            let told = json!({ "state": "restart-needed", "version": rehearsal.bundle.version });
            let words = "the image is in its slot and armed: restart the device to try it";
            let _ = say(&if args.json { told.to_string() } else { words.to_owned() });
            ExitCode::from(EXIT_RESTART)
        }
        Err(why) => refused(args, "device-not-ready", &why),
    }
}

/// Asks everything that will be asked, of the same rooms, and writes nothing.
fn rehearse(
    config: &Config,
    bundle: &Arc<OfflineBundle>,
    overrules: &[Overrule],
) -> Result<Rehearsal, String> {
    let told = |err: &(dyn std::error::Error + 'static)| chain(err);
    if !config.state_dir.join("identity").join("certificate.json").exists() {
        let text = "expected a device that is enrolled: without a network it cannot become one";
        return Err(text.into());
    }
    let journal = JournalFile::load(&config.journal()).map_err(|err| told(&err))?;
    let durable = Durable::default();
    let slots = drive::bootloader(config, &durable).map_err(|err| told(&err))?;
    let key =
        DeviceKey::open(&config.key, &config.state_dir, &durable).map_err(|err| told(&err))?;
    let certificate = Certificate::load(&config.state_dir, &key)
        .map_err(|err| told(&err))?
        .ok_or("expected a device that is enrolled: without a network it cannot become one")?;
    let clock = Clock::new(journal.time_floor);
    let booted = slots.booted();
    let at = Situation {
        now: clock.now(),
        device: certificate.device(),
        model: &config.model,
        booted,
        tries: config.tries,
    };
    let manifest = bundle.manifest();
    let no = |code: &str, reason: String| Rehearsal {
        bundle: manifest.clone(),
        verdict: Verdict::Refuse,
        overrule: overruled_by(code, bundle, clock.now()),
        code: Some(code.to_owned()),
        reason: Some(reason),
        pace: None,
        delta: false,
        counter: None,
        sha256: None,
    };
    if let Some((code, reason)) = apply_refused(&journal, &manifest.model, &at) {
        return Ok(no(code, reason.as_str().to_owned()));
    }
    let repository =
        Repository::new(&config.state_dir, &config.tuf_root, durable.clone()).rehearsed();
    let mut findings = Findings::default();
    let read = by_hand::read(&repository, (bundle, &clock), (&journal, overrules), &mut findings);
    let found = match read {
        Ok(read) => read.found,
        Err(err) => return Ok(no(err.code(), chain(&err))),
    };
    if booted.and_then(|slot| journal.slots.release(slot)).is_some_and(|r| r.sha256 == found.sha256)
    {
        return Ok(no("already-runs", format!("{} runs already", manifest.version)));
    }
    let free_bytes = slots.room(Slot::inactive(booted)).map_err(|err| told(&err))?;
    let counter = Some(found.custom.counter);
    let sha256 = Some(found.sha256.to_string());
    let delta = found.delta.is_some();
    let (install, offer) = meant(manifest, found, (overrules, free_bytes), at.now)?;
    Ok(match judge(&journal, &install, &offer, &at) {
        Ok(pace) => Rehearsal {
            bundle: manifest.clone(),
            verdict: Verdict::Install,
            code: None,
            reason: None,
            overrule: None,
            pace: Some(pace),
            delta,
            counter,
            sha256,
        },
        Err((code, reason)) => Rehearsal { counter, sha256, ..no(code, reason) },
    })
}

/// The install and the offer that the bundle would become.
fn meant(
    manifest: &OfflineManifest,
    found: Found,
    (overrules, free_bytes): (&[Overrule], u64),
    now: Timestamp,
) -> Result<(Install, Offer), String> {
    let rollout =
        "by-hand".parse().map_err(|err: lazaret_protocol::id::IdError| err.to_string())?;
    let install = Install {
        order: BY_HAND,
        expires: now.plus_ms(DAY_MS),
        rollout,
        version: manifest.version.clone(),
        direction: Direction::Onwards,
        cure: false,
        by_hand: Some(ByHand { overrules: overrules.to_vec() }),
    };
    let release = Release {
        version: manifest.version.clone(),
        counter: found.custom.counter,
        sha256: found.sha256,
        length: found.image.length,
    };
    let (custom, emergency) = (found.custom, found.emergency);
    Ok((install, Offer { release, custom, emergency, free_bytes }))
}

fn overruled_by(code: &str, bundle: &OfflineBundle, now: Timestamp) -> Option<&'static str> {
    match code {
        "schedule-not-reached" => Some(Overrule::Schedule.as_str()),
        "failed-before" => Some(Overrule::FailedBefore.as_str()),
        "tuf-expired" if bundle.offline_roles_expire().is_none_or(|expires| expires > now) => {
            Some(Overrule::Freshness.as_str())
        }
        _ => None,
    }
}

enum Finished {
    Ended(Ended),
    Restart,
}

/// Hands the bundle to the agent that runs, or does its work where none does.
fn carry_out(args: &Args, config: Config, request: &Request) -> Result<Finished, String> {
    let durable = Durable::default();
    let free = StateLock::try_take(&config.state_dir).map_err(|err| chain(&err))?;
    by_hand::hand_over(&config.state_dir, request, &durable).map_err(|err| chain(&err))?;
    if free.is_none() {
        return wait(args, &config);
    }
    drop(free);
    let (path, restart) = (args.config.clone(), config.restart.clone());
    let mut config = config;
    loop {
        let stop = match drive::start_offline(config) {
            Ok(mut drive) => match drive.run_offline() {
                Ok(ended) => return Ok(Finished::Ended(ended)),
                Err(stop) => stop,
            },
            Err(stop) => stop,
        };
        match (stop, &restart) {
            (Stop::Failed(err), _) => return Err(chain(&*err)),
            // Here the agent is the whole of what restarts: it begins anew on the new image.
            (Stop::Restart, Restart::Exec) => {
                config = Config::load(&path).map_err(|err| chain(&err))?;
            }
            (Stop::Restart, _) => return Ok(Finished::Restart),
        }
    }
}

/// Follows the agent that runs until it has written how it ended.
fn wait(args: &Args, config: &Config) -> Result<Finished, String> {
    let clock = Clock::new(Timestamp::default());
    let mut taken_up = false;
    loop {
        let request = by_hand::request_path(&config.state_dir);
        if !request.exists()
            && let Some(ended) = by_hand::ended(&config.state_dir)
        {
            return Ok(Finished::Ended(ended));
        }
        if let Ok(journal) = JournalFile::load(&config.journal()) {
            taken_up |= journal.update.install().is_some_and(|i| i.by_hand.is_some());
            progress(args, &journal);
        }
        if !taken_up && clock.monotonic_ms() > TAKEN_UP_MS_MAX {
            return Err(format!(
                "the agent holds {}/lock and has not taken the bundle up within {} s",
                config.state_dir.display(),
                TAKEN_UP_MS_MAX / 1000
            ));
        }
        sleep_ms(LOOK_MS);
    }
}

fn progress(args: &Args, journal: &Journal) {
    if args.json || !std::io::stderr().is_terminal() {
        return;
    }
    let text = match &journal.update {
        Update::Staging { target, offset, .. } => {
            let percent = offset.saturating_mul(100) / target.release.length.max(1);
            format!("staging {percent} %")
        }
        update => update.name().to_owned(),
    };
    // Nobody reads it where it cannot be written.
    let _ = write!(std::io::stderr(), "\r{text:<40}\r");
}

fn finish(args: &Args, rehearsal: &Rehearsal, ended: &Ended) -> ExitCode {
    let version = &rehearsal.bundle.version;
    let (code, words) = match &ended.outcome {
        Outcome::Done => (0, format!("{version} runs and is kept")),
        Outcome::Refused { code, reason } => {
            (EXIT_FAILED, format!("{version} was refused ({code}): {reason}"))
        }
        Outcome::Failed { code, reason } => {
            (EXIT_FAILED, format!("{version} failed ({code}): {reason}"))
        }
        _ => (EXIT_FAILED, format!("{version} lapsed before it could begin")),
    };
    let told = json!({ "state": "ended", "version": version, "end": ended.outcome });
    let printed = say(&if args.json { told.to_string() } else { words });
    if printed == ExitCode::SUCCESS { ExitCode::from(code) } else { printed }
}

fn show(args: &Args, rehearsal: &Rehearsal) -> ExitCode {
    let code = if rehearsal.verdict == Verdict::Install { 0 } else { EXIT_FAILED };
    let text = if args.json {
        serde_json::to_string(rehearsal).unwrap_or_default()
    } else {
        in_words(rehearsal)
    };
    let printed = say(&text);
    if printed == ExitCode::SUCCESS { ExitCode::from(code) } else { printed }
}

fn in_words(rehearsal: &Rehearsal) -> String {
    let bundle = &rehearsal.bundle;
    let mut text = format!(
        "bundle      {} for {}, made {}, fresh until {}\n",
        bundle.version, bundle.model, bundle.made, bundle.fresh_until
    );
    if let (Some(code), Some(reason)) = (&rehearsal.code, &rehearsal.reason) {
        text.push_str(&format!("refused     {code}: {reason}"));
        if let Some(rule) = rehearsal.overrule {
            text.push_str(&format!("\nmay be set aside with --overrule {rule} --reason TEXT"));
        }
        return text;
    }
    let pace = match rehearsal.pace {
        Some(Pace::Emergency) => ", by the emergency schedule",
        _ => "",
    };
    let route = if rehearsal.delta { "a delta from what runs" } else { "the whole image" };
    text.push_str(&format!("would be installed from {route}{pace}"));
    text
}

fn refused(args: &Args, code: &str, reason: &str) -> ExitCode {
    if args.json {
        let told = json!({ "verdict": "refuse", "code": code, "reason": reason });
        let _ = say(&told.to_string());
    } else {
        complain(&format!("{}: {reason}", Path::new(&args.bundle).display()));
    }
    ExitCode::from(EXIT_FAILED)
}

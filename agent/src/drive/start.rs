//! From power on to the loop: state, bootloader, identity, log, and then the core is told what was
//! booted.

use std::path::Path;

use lazaret_agent_core::event::Event;
use lazaret_agent_core::journal::{Collection, Journal};
use lazaret_agent_core::poll::{Backoff, after_failure};
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log::Detail;

use super::metadata::Staleness;
use super::{Drive, DriveError, Pace, Stop, random};
use crate::bundle::{self, Link};
use crate::cli::chain;
use crate::clock::{Clock, sleep_ms};
use crate::config::Config;
use crate::durable::{Durable, JournalFile, StateLock, told};
use crate::failpoint::Failpoints;
use crate::forensic_log::{ForensicLog, Settings};
use crate::identity::{Certificate, Credential, DeviceKey, IdentityError, Ratchet};
use crate::mirrors::Mirrors;
use crate::posture::Watch;
use crate::probes::Round;
use crate::slots::{BOOTLOADERS, Bootloader};
use crate::source::{Pull, Source};
use crate::status::Board;
use crate::tamper::Tamper;
use crate::tls::{ClientIdentity, TlsError, client_config};
use crate::transport::{Transport, Waits};
use crate::verify::{Findings, Repository};
use crate::watchdog::Watchdog;

/// How often the lock is tried, and the milliseconds between two tries.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT_MS: u64 = 250;

/// Starts the agent. A device that is not enrolled yet enrols first, however long the server is
/// away.
///
/// # Errors
/// Why it cannot start, or that what was booted has to be left again at once.
pub fn start(config: Config, points: Failpoints) -> Result<Drive, Stop> {
    start_over(config, Durable::new(points), Network::There(&transport))
}

/// Starts the agent on a device without a network, to install a bundle that somebody brought along.
///
/// # Errors
/// As [`start`]; also where the device was never enrolled.
pub fn start_offline(config: Config) -> Result<Drive, Stop> {
    start_over(config, Durable::default(), Network::None)
}

/// Whether there is anybody to talk to.
#[derive(Clone, Copy)]
pub(super) enum Network<'a> {
    /// There is, and this is the way.
    There(&'a Connect),
    /// Nothing is ever asked of anybody.
    None,
}

/// Makes the way to the server, with the device's certificate.
type Connect = dyn Fn(&Config, &Certificate, &DeviceKey, &Clock) -> Result<Transport, TlsError>;

/// As [`start`], over a given way: tests have one without TLS.
pub(super) fn start_over(
    config: Config,
    durable: Durable,
    network: Network<'_>,
) -> Result<Drive, Stop> {
    durable.folder(&config.state_dir)?;
    let lock = lock(&config)?;
    let (journal_file, journal) = open_journal(&config, &durable)?;
    let clock = Clock::new(journal.time_floor);
    // Before anything is asked of the network: where it is to be closed, it is.
    let contained = super::containing::at_start(&config, &durable, &journal);
    // The bootloader counts this start before anything can hang or fail.
    let mut slots = bootloader(&config, &durable)?;
    let booted = slots.boot()?;
    let watchdog = watched(&config);
    let key = device_key(&config, &durable)?;
    let certificate = certificate(&config, &key, network, (&clock, &durable))?;
    let transport = match network {
        Network::There(connect) => connect(&config, &certificate, &key, &clock)?,
        Network::None => transport(&config, &certificate, &key, &clock)?,
    };
    let repository = Repository::new(&config.state_dir, &config.tuf_root, durable.clone());
    let mirrors = mirrors(&config, &transport, &clock)?;
    let mut findings = Findings::default();
    let anchors = repository.cached_anchors(&mut findings);
    let log = begin_log(&config, &certificate, (&journal, booted), (&key, &clock, &durable))?;
    let ratchet = Ratchet::load(&config.state_dir)?;
    let tamper = Tamper::watch(&config.tamper, &clock);
    let board = Board::or_none(&config.around.status);
    let mut drive = Drive {
        config,
        durable,
        clock,
        journal_file,
        journal,
        slots,
        key,
        certificate,
        ratchet,
        transport,
        repository,
        mirrors,
        mirror: 0,
        announced: 0,
        staleness: Staleness::default(),
        bundle: None,
        log,
        anchors,
        contained,
        measures: Pace::default(),
        found: None,
        stage: None,
        mismatches: 0,
        round: Round::default(),
        watch: Watch::default(),
        polls: Pace::default(),
        held: None,
        connected: false,
        reports: Pace::default(),
        updates: Pace::default(),
        collections: Pace::default(),
        link: Link::default(),
        renewals: Pace::default(),
        probes: Pace::default(),
        looks: Pace::default(),
        tamper,
        refusals: Vec::new(),
        watchdog,
        start: format!("{:016x}", random()?),
        board,
        renewal_random: random()?,
        _lock: lock,
    };
    drive.begin()?;
    drive.settle_containment()?;
    drive.found_out(findings)?;
    drive.sweep()?;
    Ok(drive)
}

/// Without a watchdog a device runs on: an agent that does not start can never be told better.
fn watched(config: &Config) -> Watchdog {
    match Watchdog::start(&config.around.watchdog, config.around.watchdog_stall_ms) {
        Ok(watchdog) => watchdog,
        Err(err) => {
            tracing::error!("there is no watchdog: {err}");
            Watchdog::default()
        }
    }
}

/// The device's certificate: the stored one, or a new one where it has ended or there is none.
fn certificate(
    config: &Config,
    key: &DeviceKey,
    network: Network<'_>,
    (clock, durable): (&Clock, &Durable),
) -> Result<Certificate, DriveError> {
    let alone = matches!(network, Network::None);
    match Certificate::load(&config.state_dir, key)? {
        Some(certificate) if alone || certificate.reply.not_after > clock.now() => Ok(certificate),
        Some(ended) => Ok(enroll_again(config, key, clock, durable).unwrap_or(ended)),
        None if alone => Err(DriveError::NotEnrolled),
        None => enroll(config, key, clock, durable),
    }
}

fn device_key(config: &Config, durable: &Durable) -> Result<DeviceKey, DriveError> {
    let key = DeviceKey::open(&config.key, &config.state_dir, durable);
    Ok(key.map_err(IdentityError::from)?)
}

/// Tries of a few seconds in all: an agent that starts itself again meets its own shadow.
pub(super) fn lock(config: &Config) -> Result<StateLock, DriveError> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = StateLock::try_take(&config.state_dir)? {
            return Ok(lock);
        }
        sleep_ms(LOCK_WAIT_MS);
    }
    Err(DriveError::Locked { state_dir: config.state_dir.clone() })
}

/// The journal of a device that has been at work is never made anew: its floors would be lost. That
/// it cannot be used is written into the forensic log by name before the agent ends.
fn open_journal(config: &Config, durable: &Durable) -> Result<(JournalFile, Journal), DriveError> {
    let path = config.journal();
    let opened = (|| {
        if !path.exists() {
            if has_been_at_work(config) {
                return Err(DriveError::JournalLost { path: path.clone() });
            }
            JournalFile::provision(durable, &path)?;
        }
        let (file, journal) = JournalFile::open(durable, &path)?;
        // A file of zeros is a new device's; on one that has metadata it is a lost journal.
        if journal.generation == 0 && config.state_dir.join("tuf").join("root.json").exists() {
            return Err(DriveError::JournalLost { path: path.clone() });
        }
        Ok((file, journal))
    })();
    if let Err(err) = &opened {
        refuse_state(config, durable, "journal", &chain(err));
    }
    opened
}

fn has_been_at_work(config: &Config) -> bool {
    let left = ["identity/certificate.json", "journal.copy", "tuf/root.json", "log", "log.jsonl"];
    left.iter().any(|name| config.state_dir.join(name).exists())
}

/// A line of the forensic log from a device that cannot start, where that is possible.
pub(super) fn refuse_state(config: &Config, durable: &Durable, file: &str, why: &str) {
    let detail = Detail::none().text("file", file).text("why", why);
    if let Err(err) = note_alone(config, durable, "state-refused", detail) {
        tracing::error!("{file} is refused, and the forensic log cannot say so: {err}");
    }
}

/// Appends one record to the log of a device whose agent does not run.
pub(super) fn note_alone(
    config: &Config,
    durable: &Durable,
    kind: &str,
    detail: Detail,
) -> Result<(), DriveError> {
    let key = device_key(config, durable)?;
    let Some(certificate) = Certificate::load(&config.state_dir, &key)? else { return Ok(()) };
    let clock = Clock::new(Timestamp::default());
    let settings = log_settings(config, certificate.device(), 0);
    let vouch = |bytes: &[u8]| key.sign(bytes);
    let mut log = ForensicLog::open(&settings, clock, durable.clone(), &vouch)?;
    log.append(kind, detail)?;
    Ok(log.seal()?)
}

/// The log of this start, which says so first.
fn begin_log(
    config: &Config,
    certificate: &Certificate,
    (journal, booted): (&Journal, Option<Slot>),
    (key, clock, durable): (&DeviceKey, &Clock, &Durable),
) -> Result<ForensicLog, DriveError> {
    let boot = journal.boot_count.saturating_add(1);
    let settings = log_settings(config, certificate.device(), boot);
    let vouch = |bytes: &[u8]| key.sign(bytes);
    let mut log = ForensicLog::open(&settings, clock.clone(), durable.clone(), &vouch)?;
    log.append(
        "started",
        Detail::none()
            .number("boot", boot)
            .text("slot", booted.map_or("none", Slot::as_str))
            .text("state", journal.update.name())
            .text("agent", env!("CARGO_PKG_VERSION")),
    )?;
    Ok(log)
}

fn log_settings<'a>(config: &'a Config, device: &'a DeviceId, boot: u64) -> Settings<'a> {
    Settings {
        state_dir: &config.state_dir,
        device,
        bytes_max: config.forensic_log_bytes_max,
        boot,
    }
}

/// The bootloader that the configuration names.
///
/// # Errors
/// There is none of that name, or its record cannot be read.
pub(crate) fn bootloader(
    config: &Config,
    durable: &Durable,
) -> Result<Box<dyn Bootloader>, DriveError> {
    let (_, open) = BOOTLOADERS
        .iter()
        .find(|(name, _)| *name == config.slots.bootloader)
        .ok_or_else(|| DriveError::NoBootloader { name: config.slots.bootloader.clone() })?;
    Ok(open(&config.slots, durable.clone())?)
}

fn waits(config: &Config) -> Waits {
    Waits { connect_ms: config.timeout_connect_ms, read_ms: config.timeout_read_ms }
}

fn way(
    config: &Config,
    identity: Option<ClientIdentity<'_>>,
    clock: &Clock,
) -> Result<Transport, TlsError> {
    let tls = client_config(&config.server_ca, identity, clock)?;
    Ok(Transport::new(&config.server, (tls, config.pins.clone()), waits(config)))
}

/// Everybody who may have the repository, the server last: it is always there, and it is the one
/// whose bytes are dear.
pub(super) fn mirrors(
    config: &Config,
    server: &Transport,
    clock: &Clock,
) -> Result<Mirrors, TlsError> {
    let pull = Pull {
        bytes_per_second_min: config.download_bytes_per_second_min,
        window_ms: config.timeout_read_ms,
    };
    let mut sources = Vec::new();
    if !config.mirrors.is_empty() {
        let ca = config.mirror_ca.as_ref().unwrap_or(&config.server_ca);
        // Without the device's certificate: who asks is none of a mirror's business.
        let tls = client_config(ca, None, clock)?;
        let agent = crate::transport::agent(tls, config.pins.clone(), waits(config));
        let of = |base: &String| {
            Source::over_http(base, (agent.clone(), base.clone()), pull, clock.clone())
        };
        sources.extend(config.mirrors.iter().map(of));
    }
    sources.push(server.repository(pull, clock));
    let backoff =
        Backoff { base_ms: config.backoff_base_ms, ceiling_ms: config.backoff_ceiling_ms };
    Ok(Mirrors::new(sources, backoff))
}

/// The way to the server with the device's certificate.
pub(super) fn transport(
    config: &Config,
    certificate: &Certificate,
    key: &DeviceKey,
    clock: &Clock,
) -> Result<Transport, TlsError> {
    way(config, Some(certificate.client(key)), clock)
}

/// A device that was off for longer than its certificate lives shows its claim again, with the same
/// key, or proves its TPM again. Asked once: a trial must be judged with or without a server, and
/// the next start asks again.
fn enroll_again(
    config: &Config,
    key: &DeviceKey,
    clock: &Clock,
    durable: &Durable,
) -> Option<Certificate> {
    let credential = credential(config, key)?;
    let transport = way(config, None, clock).ok()?;
    let who = (&config.serial, credential);
    match Certificate::enroll(&config.state_dir, key, who, &transport, durable) {
        Ok(certificate) => Some(certificate),
        Err(err) => {
            tracing::warn!("certificate has ended, and there is no new one: {}", chain(&err));
            None
        }
    }
}

/// By what the device says who it is: its claim where it has one, else its TPM.
fn credential<'a>(config: &'a Config, key: &DeviceKey) -> Option<Credential<'a>> {
    match &config.claim_file {
        Some(path) => Some(Credential::Claim(path)),
        None => key.attester().map(|_| Credential::Tpm),
    }
}

/// Asks until the server gives a certificate.
fn enroll(
    config: &Config,
    key: &DeviceKey,
    clock: &Clock,
    durable: &Durable,
) -> Result<Certificate, DriveError> {
    let transport = way(config, None, clock)?;
    let credential = credential(config, key).unwrap_or(Credential::Claim(Path::new("claim")));
    let who = (&config.serial, credential);
    let backoff =
        Backoff { base_ms: config.backoff_base_ms, ceiling_ms: config.backoff_ceiling_ms };
    let mut failures = 0_u32;
    loop {
        match Certificate::enroll(&config.state_dir, key, who, &transport, durable) {
            Ok(certificate) => {
                tracing::info!(device = %certificate.device(), "enrolled");
                return Ok(certificate);
            }
            Err(err @ (IdentityError::Transport(_) | IdentityError::Key(_))) => {
                failures = failures.saturating_add(1);
                let retry_after_ms = match &err {
                    IdentityError::Transport(err) => err.retry_after_ms(),
                    _ => 0,
                };
                tracing::warn!("not enrolled: {}", chain(&err));
                sleep_ms(after_failure(backoff, failures, retry_after_ms, random()?));
            }
            Err(err) => return Err(err.into()),
        }
    }
}

impl Drive {
    /// Tells the core what was booted, and what is known of it.
    fn begin(&mut self) -> Result<(), Stop> {
        let (a, b) = (self.slots.health(Slot::A), self.slots.health(Slot::B));
        let last_words = self.last_words();
        self.tell(&Event::Booted { a, b, last_words })
    }

    /// Deletes bundles that nobody collects any more: the power went between their end and their
    /// deletion.
    fn sweep(&self) -> Result<(), Stop> {
        let folder = self.config.state_dir.join("bundles");
        let wanted = match &self.journal.collection {
            Collection::Collecting { bundle, .. } => bundle::file_name(bundle),
            Collection::Idle => String::new(),
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(told("read", &folder)(err).into()),
        };
        for entry in entries {
            let entry = entry.map_err(told("read", &folder))?;
            if entry.file_name().to_string_lossy() != wanted {
                self.durable.delete(&entry.path(), "bundle-delete")?;
            }
        }
        Ok(())
    }
}

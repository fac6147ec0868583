//! The configuration: one TOML file, every setting with its unit, its default and its limits in
//! [`SETTINGS`]. Reading it says everything that is wrong at once. No setting comes from elsewhere.

use std::path::{Path, PathBuf};

use lazaret_agent_core::vitals::Needs;
use lazaret_protocol::id::{ModelName, SerialNumber};
use lazaret_protocol::limits::{BUNDLE_BYTES_MAX, POLL_INTERVAL_MS_MAX, POLL_INTERVAL_MS_MIN};

use crate::artifacts::profile::{PROFILES_MAX, Profile};
use crate::containment::Pins;
use crate::durable;
use crate::posture::PostureConfig;
use crate::probes::ProbeConfig;
use crate::slots::SlotSettings;
use crate::status::StatusConfig;
use crate::tamper::{INPUTS_MAX, InputConfig};
use crate::watchdog::Watch;

mod error;
mod files;
mod key;
mod reader;
mod settings;
mod values;

pub use error::ConfigError;
pub use files::ReleaseFiles;
pub use key::{HelperConfig, HelperStore, KeyConfig};
pub use reader::{Problem, Reader};
pub use settings::{SETTINGS, Setting};
use values::{around, mirrors, one_of, restart, server_address, told};

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;
/// Most probes of one device.
pub const PROBES_MAX: usize = 16;

/// Most mirrors of one device.
pub const MIRRORS_MAX: usize = 8;

/// How the agent starts again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// It replaces itself by its own program.
    Exec,
    /// It ends with exit code 75, and a supervisor starts it.
    Exit,
    /// It runs a program, such as `reboot`, and waits for its end.
    Command(Vec<String>),
}

/// What surrounds an installation and a trial on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Programs that run before and after.
    pub hooks: Hooks,
    /// What the device has to have.
    pub needs: Needs,
    /// Who starts the machine again where the agent stands still.
    pub watchdog: Watch,
    /// How long its loop may take for one round, in milliseconds.
    pub watchdog_stall_ms: u64,
    /// Where the last words of a trial are found.
    pub trial_log: Option<PathBuf>,
    /// Who may ask for status.
    pub status: StatusConfig,
}

/// Programs that run around an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Before the image goes into its slot.
    pub before: Vec<String>,
    /// Once it is there.
    pub after: Vec<String>,
    /// How long each may take, in milliseconds.
    pub timeout_ms: u64,
}

/// The form of the log on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The settings, checked. What each says is in [`SETTINGS`] under the same name.
#[derive(Debug)]
#[expect(missing_docs, reason = "SETTINGS says what each is, for the program's own help as well")]
pub struct Config {
    pub server: String,
    pub server_ca: PathBuf,
    pub mirrors: Vec<String>,
    pub mirror_ca: Option<PathBuf>,
    pub download_bytes_per_second_min: u64,
    pub stale_alarm_ms: u64,
    pub tuf_root: PathBuf,
    pub state_dir: PathBuf,
    pub slots: SlotSettings,
    pub model: ModelName,
    pub serial: SerialNumber,
    pub claim_file: Option<PathBuf>,
    pub restart: Restart,
    pub around: Around,
    pub tries: u8,
    pub trial_ms: u64,
    pub key: KeyConfig,
    pub hold_ms: u64,
    pub backoff_base_ms: u64,
    pub backoff_ceiling_ms: u64,
    pub timeout_connect_ms: u64,
    pub timeout_read_ms: u64,
    pub stage_sync_bytes: u64,
    pub delta_ram_bytes_max: u64,
    pub forensic_log_bytes_max: u64,
    pub bundle_bytes_max: u64,
    pub files: ReleaseFiles,
    pub profiles: Vec<Profile>,
    pub tamper: Vec<InputConfig>,
    pub log: String,
    pub log_format: LogFormat,
    pub probes: Vec<ProbeConfig>,
    pub posture: PostureConfig,
    pub measures_command: Vec<String>,
    /// Addresses that names stand for while the network is closed; no setting.
    pub pins: Pins,
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, or settings are wrong: then all of them are named.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = durable::read(path, CONFIG_BYTES_MAX)
            .map_err(ConfigError::Unreadable)?
            .ok_or_else(|| ConfigError::Missing { path: path.to_owned() })?;
        let text = String::from_utf8_lossy(&bytes);
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        Self::parse(&text, folder)
    }

    /// Reads and checks a text whose relative paths are below `folder`.
    ///
    /// # Errors
    /// Settings are wrong: all of them are named.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let mut from = Reader::new(text, folder);
        let config = read(&mut from);
        let problems = from.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Wrong { problems }),
        }
    }

    /// Files that the settings name and that are not as they should be, for `check-config`.
    #[must_use]
    pub fn missing_files(&self) -> Vec<Problem> {
        let mut named = vec![("server_ca", &self.server_ca), ("tuf_root", &self.tuf_root)];
        named.extend(self.mirror_ca.iter().map(|path| ("mirror_ca", path)));
        let enrolled = self.state_dir.join("identity").join("certificate.json").exists();
        if let (Some(claim), false) = (&self.claim_file, enrolled) {
            named.push(("claim_file", claim));
        }
        named.retain(|(_, path)| !path.is_file());
        let problem = |(setting, path): (&str, &PathBuf)| Problem {
            setting: setting.into(),
            what: format!("expected a file at {}, there is none", path.display()),
        };
        named.into_iter().map(problem).chain(self.key.problems()).collect()
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state_dir.join("journal")
    }
}

/// Every setting is read before any is judged missing, so that all problems are found in one go.
fn read(from: &mut Reader<'_>) -> Option<Config> {
    let server = from.required("server", server_address);
    let server_ca = from.path("server_ca");
    let mirrors = mirrors(from);
    let mirror_ca = from.optional_path("mirror_ca");
    let download_bytes_per_second_min =
        from.number("download_bytes_per_second_min", 128, 0..=1 << 20);
    let stale_alarm_ms = from.number("stale_alarm_seconds", 3600, 1..=604_800).saturating_mul(1000);
    let tuf_root = from.path("tuf_root");
    let state_dir = from.path("state_dir");
    let slots = SlotSettings::read(from);
    let model = from.required("model", |text| text.parse().map_err(told));
    let serial = from.required("serial", |text| text.parse().map_err(told));
    let claim_file = from.optional_path("claim_file");
    let around = around(from);
    let restart = restart(from, slots.as_ref());
    let tries = u8::try_from(from.number("tries", 3, 1..=16)).unwrap_or(1);
    let trial_ms = from.number("trial_seconds", 300, 1..=86_400).saturating_mul(1000);
    let key = KeyConfig::read(from);
    let log = from.text("log", "info", |text| Ok(text.to_owned()));
    let log_format = from.text("log_format", "human", |text| match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => one_of(text, &["human", "json"]).map(|_| LogFormat::Human),
    });
    let probes = from.tables("probes", PROBES_MAX, ProbeConfig::read);
    let posture = PostureConfig::read(from);
    let files = ReleaseFiles::read(from);
    let tamper = match from.has("tamper") {
        true => from.tables("tamper", INPUTS_MAX, InputConfig::read),
        false => InputConfig::usual_ones(),
    };
    let profiles = from.tables("profiles", PROFILES_MAX, Profile::read);
    let pace = POLL_INTERVAL_MS_MIN..=POLL_INTERVAL_MS_MAX;
    let hold_ms = from.number("hold_ms", 50_000, 0..=55_000);
    let backoff_base_ms = from.number("backoff_base_ms", 1000, pace.clone());
    let backoff_ceiling_ms = from.number("backoff_ceiling_ms", 300_000, pace);
    let timeout_connect_ms = from.number("timeout_connect_ms", 10_000, 100..=120_000);
    let timeout_read_ms = from.number("timeout_read_ms", 30_000, 100..=600_000);
    let stage_sync_bytes = from.number("stage_sync_bytes", 4 << 20, 65_536..=1 << 30);
    let delta_ram_bytes_max = from.number("delta_ram_bytes_max", 8 << 20, 0..=1 << 32);
    let forensic_log_bytes_max = from.number("forensic_log_bytes_max", 8 << 20, 1 << 20..=64 << 20);
    let measures_command = from.texts("measures_command");
    let bundle_bytes_max = from.number("bundle_bytes_max", 64 << 20, 1 << 20..=BUNDLE_BYTES_MAX);
    Some(Config {
        mirrors,
        mirror_ca,
        download_bytes_per_second_min,
        stale_alarm_ms,
        hold_ms,
        backoff_base_ms,
        backoff_ceiling_ms,
        timeout_connect_ms,
        timeout_read_ms,
        stage_sync_bytes,
        delta_ram_bytes_max,
        forensic_log_bytes_max,
        bundle_bytes_max,
        files,
        profiles,
        tamper,
        log: log?,
        log_format: log_format?,
        probes,
        posture,
        measures_command,
        pins: Pins::default(),
        server: server?,
        server_ca: server_ca?,
        tuf_root: tuf_root?,
        state_dir: state_dir?,
        slots: slots?,
        model: model?,
        serial: serial?,
        claim_file,
        around: around?,
        restart: restart?,
        tries,
        trial_ms,
        key: key?,
    })
}

#[cfg(test)]
mod tests;

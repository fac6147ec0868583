//! The configuration: one TOML file, every setting with its unit, its default and its limits in
//! [`SETTINGS`]. Reading it says everything that is wrong at once. No setting comes from elsewhere.

use std::path::{Path, PathBuf};

use lazaret_agent_core::vitals::Needs;
use lazaret_protocol::id::{ModelName, SerialNumber};
use lazaret_protocol::limits::{BUNDLE_BYTES_MAX, POLL_INTERVAL_MS_MAX, POLL_INTERVAL_MS_MIN};

use crate::durable;
use crate::posture::PostureConfig;
use crate::probes::ProbeConfig;
use crate::slots::SlotSettings;
use crate::status::StatusConfig;
use crate::watchdog::Watch;

mod error;
mod key;
mod reader;
mod values;

pub use error::ConfigError;
pub use key::{HelperConfig, HelperStore, KeyConfig};
pub use reader::{Problem, Reader};
use values::{around, mirrors, one_of, restart, server_address, told};

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;
/// Most probes of one device.
pub const PROBES_MAX: usize = 16;

/// Most mirrors of one device.
pub const MIRRORS_MAX: usize = 8;

/// One setting, for `check-config --explain` and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is without one: `required`, or the value.
    pub default: &'static str,
    /// What it says, with its unit and limits.
    pub doc: &'static str,
}

const fn setting(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, doc }
}

/// Every setting there is. Relative paths are below the folder of the configuration file.
pub const SETTINGS: &[Setting] = &[
    setting("server", "required", "address of the server's device listener, https://HOST:PORT"),
    setting(
        "server_ca",
        "required",
        "file with the CA certificates (PEM) that the server's chains to",
    ),
    setting(
        "mirrors",
        "none",
        "addresses below which metadata/ and targets/ of the repository lie, asked in this order \
         before the server itself; http or https, at most 8: TUF judges what they say",
    ),
    setting(
        "mirror_ca",
        "server_ca",
        "file with the CA certificates (PEM) that those of https mirrors chain to",
    ),
    setting(
        "download_bytes_per_second_min",
        "128",
        "rate below which a transfer is given up and the next mirror asked, 0 to 1048576 bytes a \
         second over timeout_read_ms of waiting; 0 for no limit",
    ),
    setting(
        "stale_alarm_seconds",
        "3600",
        "how long every source may be behind what was seen before until it is an alarm, 1 to \
         604800 s",
    ),
    setting("tuf_root", "required", "file with the TUF root metadata from the factory"),
    setting("state_dir", "required", "folder for journal, identity, metadata, log and bundles"),
    setting(
        "slots_dir",
        "required",
        "folder of the images a/image and b/image; with the bootloader directory also of the link \
         current",
    ),
    setting(
        "slot_a",
        "slots_dir/a/image",
        "file or block device that the first slot's image goes to; not for the directory \
         bootloader",
    ),
    setting("slot_b", "slots_dir/b/image", "the second slot's, likewise"),
    setting("model", "required", "hardware model; only images signed for it are installed"),
    setting("serial", "required", "serial number, as the claim is bound to it"),
    setting(
        "claim_file",
        "none",
        "file with the one-time claim; used once, to enrol. Without one, a device with \
         key.store = \"tpm2\" enrols by what its TPM states",
    ),
    setting(
        "bootloader",
        "directory",
        "what switches between the slots: directory, grub, systemd-boot or uboot",
    ),
    setting(
        "boot_record",
        "by bootloader",
        "where the bootloader keeps what it counts: grub: its environment block \
         (/boot/grub/grubenv); systemd-boot: the EFI system partition (/efi); uboot: the file that \
         says where its environment lies (/etc/fw_env.config)",
    ),
    setting(
        "slot_content",
        "image",
        "what an image is: image, used as it is, or tree, a tar archive that is unpacked to \
         slots_dir/a/tree or slots_dir/b/tree",
    ),
    setting(
        "boot_command_line",
        "/proc/cmdline",
        "file in which lazaret.slot=a or lazaret.slot=b says which slot runs",
    ),
    setting(
        "restart",
        "exec",
        "how to start again into a new image: exec, exit (code 75) or command",
    ),
    setting("restart_command", "none", "program and arguments for restart = \"command\""),
    setting(
        "hook_before",
        "none",
        "program and arguments that run before an image goes into its slot; it may run again after \
         a power cut",
    ),
    setting(
        "hook_after",
        "none",
        "program and arguments that run once the image is in its slot and was read back, before \
         the bootloader is told of it; likewise",
    ),
    setting("hook_seconds", "300", "how long each of them may take, 1 to 3600 s"),
    setting(
        "install_memory_bytes_min",
        "0",
        "free memory without which an update waits, 0 to 1099511627776 bytes; 0 for none",
    ),
    setting(
        "install_battery_percent_min",
        "0",
        "charge without which an update waits for a supply, 0 to 100; 0 for none",
    ),
    setting(
        "install_temperature_celsius_max",
        "0",
        "temperature of the hottest sensor above which an update waits, 0 to 200; 0 for any",
    ),
    setting(
        "watchdog",
        "systemd",
        "who starts the machine again where the agent stands still: none, systemd (where it has \
         asked for it) or the path of a watchdog device such as /dev/watchdog",
    ),
    setting(
        "watchdog_stall_seconds",
        "900",
        "how long the agent's loop may take for one round until it stands still, 60 to 86400 s; \
         longer than hook_seconds and timeout_read_ms",
    ),
    setting(
        "status_socket",
        "none",
        "unix socket at which the running agent answers lazaret-agent status, in a folder there is",
    ),
    setting(
        "status_users",
        "none",
        "numbers of further users that may ask there, as texts, at most 32",
    ),
    setting(
        "trial_log",
        "none",
        "file, or folder such as /sys/fs/pstore, whose last lines are reported with a trial that \
         was not survived",
    ),
    setting("tries", "3", "starts that a new image gets before the bootloader goes back, 1 to 16"),
    setting("trial_seconds", "300", "time in which a new image must pass its probes, 1 to 86400 s"),
    setting(
        "allow_software_keys",
        "false",
        "must be true with key.store = \"file\", because whoever reads the disk can copy that key",
    ),
    setting(
        "key.store",
        "file",
        "where the device key lives: file (in state_dir), tpm2 or pkcs11, both of them behind the \
         key helper",
    ),
    setting(
        "key.helper",
        "beside the agent",
        "the key helper's program, lazaret-agent-keys; with tpm2 and pkcs11",
    ),
    setting(
        "key.timeout_ms",
        "30000",
        "longest that the key helper may take to answer, 100 to 120000 ms; then it is ended",
    ),
    setting(
        "key.tcti",
        "device:/dev/tpmrm0",
        "how the TPM is reached, such as swtpm:host=127.0.0.1,port=2321; with tpm2",
    ),
    setting(
        "key.folder",
        "identity in state_dir",
        "folder of the keys that the TPM has wrapped, of use to no other TPM; with tpm2",
    ),
    setting("key.module", "required", "the token's PKCS#11 module, a shared library; with pkcs11"),
    setting("key.token", "required", "the token's label; with pkcs11"),
    setting("key.label", "lazaret-device", "the key's label in the token; with pkcs11"),
    setting(
        "key.pin_file",
        "required",
        "file whose first line is the token's user PIN, for its owner only; with pkcs11",
    ),
    setting("hold_ms", "50000", "how long the server may hold a poll back, 0 to 55000 ms"),
    setting("backoff_base_ms", "1000", "span of the first retry, 200 ms to 7 days"),
    setting("backoff_ceiling_ms", "300000", "span that retries never exceed, 200 ms to 7 days"),
    setting("timeout_connect_ms", "10000", "time to connect, 100 to 120000 ms"),
    setting(
        "timeout_read_ms",
        "30000",
        "time without a byte after which a transfer is given up, 100 to 600000 ms",
    ),
    setting(
        "stage_sync_bytes",
        "4194304",
        "bytes between two durable steps of staging, 65536 to 1073741824",
    ),
    setting(
        "delta_ram_bytes_max",
        "33554432",
        "memory that a delta may take, in bytes; beyond it the full image is taken",
    ),
    setting(
        "forensic_log_bytes_max",
        "8388608",
        "size of the forensic log on the disk, a quarter of it for the security ring; the oldest \
         records of a ring go when it is full, 1048576 to 67108864 bytes",
    ),
    setting(
        "bundle_bytes_max",
        "67108864",
        "size of one evidence bundle, 1048576 to 268435456 bytes",
    ),
    setting(
        "log",
        "info",
        "what goes to stderr: error, warn, info, debug, trace, or a tracing filter",
    ),
    setting("log_format", "human", "form of it: human or json"),
    setting("hardware", "none", "hardware revision, which tells cohorts of one model apart"),
    setting(
        "time_zone",
        "system",
        "where the device stands, for maintenance windows: system, unknown, a place such as \
         Europe/Berlin or a rule such as CET-1CEST,M3.5.0,M10.5.0/3",
    ),
    setting(
        "power_supply_dir",
        "/sys/class/power_supply",
        "folder in which the system lists batteries and chargers",
    ),
    setting(
        "posture_seconds",
        "300",
        "time between two rounds of attributes and probes outside a trial, 1 to 86400 s",
    ),
    setting(
        "attributes",
        "none",
        "[[attributes]] that the device says of itself, at most 32: name, and value, or command \
         with timeout_ms (10000), whose first line counts; a command named battery_percent or \
         utc_offset_min speaks in place of the system",
    ),
    setting("probes", "none", "[[probes]] that judge a new image, at most 16"),
];

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
    pub log: String,
    pub log_format: LogFormat,
    pub probes: Vec<ProbeConfig>,
    pub posture: PostureConfig,
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
    let pace = POLL_INTERVAL_MS_MIN..=POLL_INTERVAL_MS_MAX;
    let hold_ms = from.number("hold_ms", 50_000, 0..=55_000);
    let backoff_base_ms = from.number("backoff_base_ms", 1000, pace.clone());
    let backoff_ceiling_ms = from.number("backoff_ceiling_ms", 300_000, pace);
    let timeout_connect_ms = from.number("timeout_connect_ms", 10_000, 100..=120_000);
    let timeout_read_ms = from.number("timeout_read_ms", 30_000, 100..=600_000);
    let stage_sync_bytes = from.number("stage_sync_bytes", 4 << 20, 65_536..=1 << 30);
    let delta_ram_bytes_max = from.number("delta_ram_bytes_max", 32 << 20, 0..=1 << 32);
    let forensic_log_bytes_max = from.number("forensic_log_bytes_max", 8 << 20, 1 << 20..=64 << 20);
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
        log: log?,
        log_format: log_format?,
        probes,
        posture,
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

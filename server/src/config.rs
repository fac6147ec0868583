//! The server's settings: one typed file, read once. The only reader of files for settings; secrets
//! are named by path and never stand in it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::outgoing::Network;

/// All settings, from one TOML file. Unknown keys are refused: a misspelt limit must not be no
/// limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for the store, images and evidence. Made by `lazaret-server init`.
    pub(crate) data: PathBuf,
    /// Where devices connect.
    pub(crate) devices: ListenerConfig,
    /// Where operators connect.
    pub(crate) operators: ListenerConfig,
    /// The CA that issues device certificates.
    pub(crate) issuing: IssuingConfig,
    /// Folder with snapshot.pem, timestamp.pem, deltas.pem and orders.pem from
    /// `lazaret-keys online create`.
    pub(crate) online_keys: PathBuf,
    /// Folder with the keys that are to come, while a change of the server's keys is under way.
    /// Which of both signs is said by what the offline roles list.
    #[serde(default)]
    pub(crate) online_keys_next: Option<PathBuf>,
    /// How devices are asked to poll.
    #[serde(default)]
    pub(crate) polls: PollConfig,
    /// Deliveries of events.
    #[serde(default)]
    pub(crate) webhooks: WebhookConfig,
    /// Logs.
    #[serde(default)]
    pub(crate) log: LogConfig,
    /// The store engine: `sled` or `memory` (which forgets everything; for trying things out).
    #[serde(default = "default_engine")]
    pub(crate) engine: String,
}

/// One listener: TLS 1.3 with client certificates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerConfig {
    /// Address and port, such as `0.0.0.0:8443`. Port 0 takes a free one, said in the log.
    pub(crate) address: SocketAddr,
    /// The server's certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM, readable by the owner alone.
    pub(crate) key: PathBuf,
    /// The CA that clients' certificates chain to, PEM.
    pub(crate) client_ca: PathBuf,
    /// Connections at once; more are closed. 1 to 1,000,000; mind the file limit (LimitNOFILE).
    #[serde(default = "default_connections")]
    pub(crate) connections_max: usize,
}

/// The issuing CA for devices.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuingConfig {
    /// Its certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM, readable by the owner alone.
    pub(crate) key: PathBuf,
    /// Hours that a device certificate lives: 1 to 2160. Devices renew at half of it.
    #[serde(default = "default_certificate_hours")]
    pub(crate) certificate_hours: u64,
}

/// How devices are asked to poll.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PollConfig {
    /// Milliseconds between polls: 200 to 604,800,000 (a week).
    pub(crate) interval_ms: u64,
}

impl Default for PollConfig {
    fn default() -> Self {
        Self { interval_ms: 60_000 }
    }
}

/// Deliveries of events to webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookConfig {
    /// CAs that receivers' certificates chain to, PEM.
    pub(crate) ca: PathBuf,
    /// Networks, such as `10.1.0.0/16`, that may be called although they are not public, without
    /// TLS too.
    pub(crate) allow: Vec<String>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self { ca: "/etc/ssl/certs/ca-certificates.crt".into(), allow: Vec::new() }
    }
}

impl WebhookConfig {
    /// The networks that may be called; [`Config::problems`] names those that are none.
    pub(crate) fn networks(&self) -> Vec<Network> {
        self.allow.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// Logs, to standard error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// `human` or `json`.
    pub(crate) format: LogFormat,
    /// A tracing-subscriber filter, such as `info` or `lazaret_server=debug,warn`.
    pub(crate) level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".into() }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

fn default_engine() -> String {
    "sled".into()
}

const fn default_connections() -> usize {
    10_000
}

const fn default_certificate_hours() -> u64 {
    48
}

/// Largest settings file, in bytes: a hundred times what one needs.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Settings that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// No such file, or not readable.
    #[error("settings file {path} cannot be read")]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Larger than any settings.
    #[error("expected a settings file of at most {CONFIG_BYTES_MAX} bytes, {path} has {got}")]
    TooLarge {
        /// Its path.
        path: PathBuf,
        /// Its size.
        got: u64,
    },
    /// Not TOML, or a key that there is not.
    #[error("settings file {path} is not as expected:\n{why}")]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// Where and why, with the line.
        why: String,
    },
}

impl Config {
    /// Reads the file. Paths in it are relative to its own folder.
    ///
    /// # Errors
    /// Unreadable, too large, or not these settings.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
        let got = std::fs::metadata(path).map_err(unreadable)?.len();
        if got > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.into(), got });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|err| ConfigError::Malformed { path: path.into(), why: err.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in config.paths_mut() {
            if file.is_relative() {
                *file = folder.join(&*file);
            }
        }
        Ok(config)
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let always = [
            &mut self.data,
            &mut self.online_keys,
            &mut self.devices.certificate,
            &mut self.devices.key,
            &mut self.devices.client_ca,
            &mut self.operators.certificate,
            &mut self.operators.key,
            &mut self.operators.client_ca,
            &mut self.issuing.certificate,
            &mut self.issuing.key,
            &mut self.webhooks.ca,
        ];
        always.into_iter().chain(&mut self.online_keys_next)
    }

    /// Everything that is wrong with these settings, each in one line: the setting, what was
    /// expected, what is there.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_numbers(&mut problems);
        self.check_networks(&mut problems);
        let certificates = [
            ("devices.certificate", &self.devices.certificate),
            ("devices.client_ca", &self.devices.client_ca),
            ("operators.certificate", &self.operators.certificate),
            ("operators.client_ca", &self.operators.client_ca),
            ("issuing.certificate", &self.issuing.certificate),
        ];
        for (name, path) in certificates {
            check_pem(name, path, "-----BEGIN CERTIFICATE-----", &mut problems);
        }
        let keys = [
            ("devices.key", &self.devices.key),
            ("operators.key", &self.operators.key),
            ("issuing.key", &self.issuing.key),
        ];
        for (name, path) in keys {
            check_pem(name, path, "PRIVATE KEY-----", &mut problems);
            check_private(name, path, &mut problems);
        }
        let next = self.online_keys_next.iter().map(|folder| ("online_keys_next", folder));
        for (name, folder) in [("online_keys", &self.online_keys)].into_iter().chain(next) {
            if !folder.is_dir() {
                problems.push(format!(
                    "{name}: expected a folder with snapshot.pem, timestamp.pem, deltas.pem and \
                     orders.pem, {} is none",
                    folder.display()
                ));
            }
        }
        problems
    }

    fn check_networks(&self, problems: &mut Vec<String>) {
        for text in &self.webhooks.allow {
            if let Err(err) = text.parse::<Network>() {
                problems.push(format!("webhooks.allow: {err}"));
            }
        }
    }

    fn check_numbers(&self, problems: &mut Vec<String>) {
        use lazaret_protocol::limits::{POLL_INTERVAL_MS_MAX, POLL_INTERVAL_MS_MIN};
        let mut range = |name: &str, got: u64, min: u64, max: u64| {
            if got < min || got > max {
                problems.push(format!("{name}: expected {min} to {max}, got {got}"));
            }
        };
        range(
            "polls.interval_ms",
            self.polls.interval_ms,
            POLL_INTERVAL_MS_MIN,
            POLL_INTERVAL_MS_MAX,
        );
        range("issuing.certificate_hours", self.issuing.certificate_hours, 1, 2160);
        for (name, listener) in [("devices", &self.devices), ("operators", &self.operators)] {
            let got = u64::try_from(listener.connections_max).unwrap_or(u64::MAX);
            range(&format!("{name}.connections_max"), got, 1, 1_000_000);
        }
        let same_port = self.devices.address.port() == self.operators.address.port();
        if self.devices.address.port() != 0 && same_port {
            let port = self.devices.address.port();
            problems.push(format!(
                "operators.address: expected a port other than the devices', both are {port}"
            ));
        }
        if !lazaret_server_store::backends::BACKENDS.iter().any(|kind| kind.name == self.engine) {
            let names: Vec<&str> =
                lazaret_server_store::backends::BACKENDS.iter().map(|kind| kind.name).collect();
            problems.push(format!(
                "engine: expected one of {}, got {:?}",
                names.join(", "),
                self.engine
            ));
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log.level).is_err() {
            problems.push(format!(
                "log.level: expected a filter such as info, got {:?}",
                self.log.level
            ));
        }
    }
}

fn check_pem(name: &str, path: &Path, marker: &str, problems: &mut Vec<String>) {
    match std::fs::read_to_string(path) {
        Ok(text) if text.contains(marker) => {}
        Ok(_) => problems
            .push(format!("{name}: expected PEM with {marker}, {} has none", path.display())),
        Err(err) => problems.push(format!("{name}: {} cannot be read: {err}", path.display())),
    }
}

fn check_private(name: &str, path: &Path, problems: &mut Vec<String>) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        problems.push(format!(
            "{name}: expected a file that only its owner reads (mode 0600), {} has mode {mode:04o}",
            path.display()
        ));
    }
}

#[cfg(test)]
mod tests;

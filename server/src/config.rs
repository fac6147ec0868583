//! The server's settings: one typed file, read once. The only reader of files for settings; secrets
//! are named by path and never stand in it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::ModelName;
use lazaret_server_domain::measurement::Judging;
use lazaret_server_domain::number::Binding;
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
    /// Where those connect who have a one-time code or a service token; nowhere where there is no
    /// such section. It shows the certificate of the operators' listener and asks for none.
    #[serde(default)]
    pub(crate) sign_in: Option<SignInConfig>,
    /// The CA that issues device certificates.
    pub(crate) issuing: IssuingConfig,
    /// The CA that issues operators' certificates; `lazaret-keys ca operator` alone does where
    /// there is no such section.
    #[serde(default)]
    pub(crate) operator_issuing: Option<OperatorIssuingConfig>,
    /// Which machines may enrol, and how.
    #[serde(default)]
    pub(crate) enrolment: EnrolmentConfig,
    /// What becomes of numbers of modems and SIMs that have changed.
    #[serde(default)]
    pub(crate) binding: BindingConfig,
    /// Folder with snapshot.pem, timestamp.pem, deltas.pem, orders.pem and audit.pem from
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
    /// How long who connects may take, and how often they may ask, at every listener.
    #[serde(default)]
    pub(crate) front_door: FrontDoorConfig,
    /// The log of who did what.
    #[serde(default)]
    pub(crate) audit: AuditConfig,
    /// How long evidence is kept.
    #[serde(default)]
    pub(crate) evidence: EvidenceConfig,
    /// What stays open to contained devices, and how many one person may contain.
    #[serde(default)]
    pub(crate) containment: ContainmentConfig,
    /// What speaks against devices.
    #[serde(default)]
    pub(crate) anomalies: AnomalyConfig,
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
    /// Connections at once from one address, or one IPv6 network of 64 bits; more are closed. 1 to
    /// 1,000,000. Devices behind one gateway share an address.
    #[serde(default = "default_per_address")]
    pub(crate) per_address_max: usize,
}

/// Where those connect who have no certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInConfig {
    /// Address and port, such as `0.0.0.0:8445`. Port 0 takes a free one, said in the log.
    pub(crate) address: SocketAddr,
    /// Connections at once; more are closed. 1 to 1,000,000.
    #[serde(default = "default_sign_in_connections")]
    pub(crate) connections_max: usize,
    /// Connections at once from one address. 1 to 1,000,000.
    #[serde(default = "default_sign_in_per_address")]
    pub(crate) per_address_max: usize,
}

/// The issuing CA for operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorIssuingConfig {
    /// Its certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM, readable by the owner alone.
    pub(crate) key: PathBuf,
    /// Days that an operator's certificate lives: 1 to 366.
    #[serde(default = "default_certificate_days")]
    pub(crate) certificate_days: u64,
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
    /// The root CA, PEM, where its certificate does not stand behind the issuing CA's: `cacerts` of
    /// EST gives it out.
    #[serde(default)]
    pub(crate) root: Option<PathBuf>,
}

/// Which machines may enrol, and how.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EnrolmentConfig {
    /// CAs of makers of TPMs, PEM: whoever one of them has certified may be a machine that the
    /// inventory lists with `certificate`. Each is trusted as it stands.
    pub(crate) endorsement_ca: Option<PathBuf>,
    /// Whether devices have to prove their TPM, or may show a claim.
    pub(crate) attestation: Attestation,
    /// Makers of machines, whose certificates let those enrol that the inventory lists for them.
    pub(crate) factories: Vec<FactoryConfig>,
    /// What machines of a model may have measured when they enrol by their TPM.
    pub(crate) measurements: Vec<MeasurementConfig>,
}

/// A maker of machines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactoryConfig {
    /// Its name in the inventory: 1 to 64 letters, digits, dots, dashes and underscores.
    pub(crate) name: String,
    /// The CA that its certificates chain to, PEM.
    pub(crate) ca: PathBuf,
    /// Models that it makes, at least one.
    pub(crate) models: Vec<ModelName>,
    /// Groups that its machines may be listed for; any where there is none.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
}

/// What machines of a model may have measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasurementConfig {
    /// The model.
    pub(crate) model: ModelName,
    /// What becomes of anything else: off, alert or enforce.
    #[serde(default)]
    pub(crate) mode: Judging,
    /// SHA-256 over the quoted registers 0 and 7, in hexadecimal digits, as `lazaret device show`
    /// has it; at least one.
    pub(crate) digests: Vec<Sha256Digest>,
}

/// What becomes of numbers of modems and SIMs that are not those that a device is bound to: off,
/// alert or enforce.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BindingConfig {
    /// Of modems.
    pub(crate) imei: Binding,
    /// Of SIM cards.
    pub(crate) iccid: Binding,
    /// Of subscribers.
    pub(crate) imsi: Binding,
}

/// Whether devices have to prove their TPM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Attestation {
    /// They may also show a claim.
    #[default]
    Optional,
    /// They have to.
    Required,
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

/// How long evidence is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvidenceConfig {
    /// Days after which a bundle is deleted that nobody holds: 0 to 36,500; for ever where it is
    /// left out.
    pub(crate) kept_days: Option<u64>,
}

/// Containment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ContainmentConfig {
    /// Addresses and ports that stay open to an isolated device: this server's listener for
    /// devices as they reach it, and mirrors of the repository, such as
    /// `["192.0.2.10:8443", "[2001:db8::10]:8443"]`. At most 32. Where there is none,
    /// `devices.address`, if that is one machine's.
    pub(crate) open: Vec<SocketAddr>,
    /// DHCP servers that may give an isolated device its lease. At most 8; none where devices have
    /// fixed addresses.
    pub(crate) leases: Vec<std::net::IpAddr>,
    /// Devices that one person may contain within an hour without a second one: 1 to 1,000,000.
    pub(crate) devices_per_hour: u64,
    /// The same in thousandths of the fleet, where that is more: 0 to 1000.
    pub(crate) permille_per_hour: u64,
}

impl Default for ContainmentConfig {
    fn default() -> Self {
        Self { open: Vec::new(), leases: Vec::new(), devices_per_hour: 20, permille_per_hour: 10 }
    }
}

/// Anomalies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AnomalyConfig {
    /// Suspicions that people are told of in a day: 0 to 1,000,000. All are listed.
    pub(crate) told_per_day: u64,
    /// Whether a device's evidence is collected when people are told of it.
    pub(crate) collect: bool,
}

impl Default for AnomalyConfig {
    fn default() -> Self {
        Self { told_per_day: 100, collect: false }
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

/// How long who connects may take, and how often they may ask. Times in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FrontDoorConfig {
    /// For the handshake: 1 to 120.
    pub(crate) handshake_seconds: u64,
    /// From the handshake to the end of the first request's head: 1 to 120.
    pub(crate) first_request_seconds: u64,
    /// For any later head, and for idling before it: 1 to 3600.
    pub(crate) idle_seconds: u64,
    /// Longest silence within a body: 1 to 120.
    pub(crate) body_silence_seconds: u64,
    /// Bytes a second that a body comes with at least, once so long a silence is over: 1 to
    /// 1,000,000. Who sends a byte now and then is never silent for long.
    pub(crate) body_bytes_per_second_min: u64,
    /// Requests a second of one device or person, in the long run: 1 to 1,000,000.
    pub(crate) peer_requests_per_second: u32,
    /// Requests that one device or person may make at once: 1 to 1,000,000.
    pub(crate) peer_requests_burst: u32,
    /// Requests a second from one address of those who show no certificate: 1 to 1,000,000.
    pub(crate) stranger_requests_per_second: u32,
    /// Requests at once from one such address: 1 to 1,000,000.
    pub(crate) stranger_requests_burst: u32,
}

impl Default for FrontDoorConfig {
    fn default() -> Self {
        Self {
            // Two round trips; this is ten of the worst satellite link.
            handshake_seconds: 15,
            first_request_seconds: 15,
            idle_seconds: 90,
            body_silence_seconds: 20,
            // A third of what the slowest links that devices have (NB-IoT, far out) bring up.
            body_bytes_per_second_min: 512,
            // An image of 8 GiB in pieces of 1 MiB, as fast as a disk takes them.
            peer_requests_per_second: 200,
            peer_requests_burst: 2000,
            stranger_requests_per_second: 50,
            stranger_requests_burst: 500,
        }
    }
}

/// The log of who did what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditConfig {
    /// The log's name, such as `updates.example.org/audit`; a random one where there is none. It
    /// is taken when the log gets its first entry, and kept.
    pub(crate) origin: Option<String>,
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

const fn default_per_address() -> usize {
    2000
}

const fn default_sign_in_per_address() -> usize {
    100
}

const fn default_sign_in_connections() -> usize {
    1000
}

const fn default_certificate_days() -> u64 {
    30
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
        let operators = self.operator_issuing.iter_mut();
        let operators = operators.flat_map(|issuing| [&mut issuing.certificate, &mut issuing.key]);
        always
            .into_iter()
            .chain(&mut self.online_keys_next)
            .chain(&mut self.issuing.root)
            .chain(&mut self.enrolment.endorsement_ca)
            .chain(self.enrolment.factories.iter_mut().map(|factory| &mut factory.ca))
            .chain(operators)
    }
}

mod check;
#[cfg(test)]
mod tests;

//! What is wrong with settings that could be read. Nothing is changed here.

use std::path::Path;

use lazaret_protocol::containment::Terms;

use super::Config;
use crate::identity::factory::FactoryCa;
use crate::outgoing::Network;

impl Config {
    /// Everything that is wrong with these settings, each in one line: the setting, what was
    /// expected, what is there.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_numbers(&mut problems);
        self.check_networks(&mut problems);
        self.check_enrolment(&mut problems);
        let certificates = [
            ("devices.certificate", &self.devices.certificate),
            ("devices.client_ca", &self.devices.client_ca),
            ("operators.certificate", &self.operators.certificate),
            ("operators.client_ca", &self.operators.client_ca),
            ("issuing.certificate", &self.issuing.certificate),
        ];
        let operators = self.operator_issuing.as_ref();
        let certificate = operators.map(|one| ("operator_issuing.certificate", &one.certificate));
        for (name, path) in certificates.into_iter().chain(certificate) {
            check_pem(name, path, "-----BEGIN CERTIFICATE-----", &mut problems);
        }
        let given = [
            ("issuing.root", &self.issuing.root),
            ("enrolment.endorsement_ca", &self.enrolment.endorsement_ca),
        ];
        for (name, path) in given {
            if let Some(path) = path {
                check_pem(name, path, "-----BEGIN CERTIFICATE-----", &mut problems);
            }
        }
        let keys = [
            ("devices.key", &self.devices.key),
            ("operators.key", &self.operators.key),
            ("issuing.key", &self.issuing.key),
        ];
        let key = operators.map(|one| ("operator_issuing.key", &one.key));
        for (name, path) in keys.into_iter().chain(key) {
            check_pem(name, path, "PRIVATE KEY-----", &mut problems);
            check_private(name, path, &mut problems);
        }
        let next = self.online_keys_next.iter().map(|folder| ("online_keys_next", folder));
        for (name, folder) in [("online_keys", &self.online_keys)].into_iter().chain(next) {
            if !folder.is_dir() {
                problems.push(format!(
                    "{name}: expected a folder with snapshot.pem, timestamp.pem, deltas.pem, \
                     orders.pem and audit.pem, {} is none",
                    folder.display()
                ));
            }
        }
        problems
    }

    fn check_enrolment(&self, problems: &mut Vec<String>) {
        let mut names: Vec<&str> = Vec::new();
        for factory in &self.enrolment.factories {
            let name = factory.name.as_str();
            let at = format!("enrolment.factories {name:?}");
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                problems.push(format!(
                    "{at}: expected a name of 1 to 64 letters, digits, dots, dashes and underscores"
                ));
            }
            if names.contains(&name) {
                problems.push(format!("{at}: expected each name once"));
            }
            names.push(name);
            if factory.models.is_empty() {
                problems.push(format!("{at}: expected at least one model"));
            }
            if let Err(why) = FactoryCa::load(name, &factory.ca) {
                let path = factory.ca.display();
                problems
                    .push(format!("{at}: expected certificates of CAs in PEM in {path}: {why}"));
            }
        }
        let mut models: Vec<&str> = Vec::new();
        for list in &self.enrolment.measurements {
            let model = list.model.as_str();
            if models.contains(&model) {
                problems.push(format!("enrolment.measurements: expected {model} once"));
            }
            models.push(model);
            if list.digests.is_empty() {
                problems.push(format!(
                    "enrolment.measurements: expected at least one digest for {model}"
                ));
            }
        }
    }

    fn check_networks(&self, problems: &mut Vec<String>) {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if let Some(origin) = &self.audit.origin
            && (origin.is_empty() || origin.len() > 255 || !origin.chars().all(plain))
        {
            problems.push(format!(
                "audit.origin: expected 1 to 255 bytes without spaces and plus signs, got \
                 {origin:?}"
            ));
        }
        let settings = &self.containment;
        let (open, leases) = (settings.open.clone(), settings.leases.clone());
        if let Err(err) = (Terms { open, leases, ..Terms::default() }).check() {
            problems.push(format!("containment: {err}"));
        }
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
        range("containment.devices_per_hour", self.containment.devices_per_hour, 1, 1_000_000);
        range("containment.permille_per_hour", self.containment.permille_per_hour, 0, 1000);
        range("anomalies.told_per_day", self.anomalies.told_per_day, 0, 1_000_000);
        if let Some(days) = self.evidence.kept_days {
            range("evidence.kept_days", days, 0, 36_500);
        }
        range("issuing.certificate_hours", self.issuing.certificate_hours, 1, 2160);
        if let Some(issuing) = &self.operator_issuing {
            range("operator_issuing.certificate_days", issuing.certificate_days, 1, 366);
        }
        let sign_in = self.sign_in.as_ref();
        let sign_in = sign_in.map(|one| ("sign_in", one.connections_max, one.per_address_max));
        let both = [("devices", &self.devices), ("operators", &self.operators)];
        let both = both.map(|(name, one)| (name, one.connections_max, one.per_address_max));
        for (name, all, of_one) in both.into_iter().chain(sign_in) {
            for (what, places) in [("connections_max", all), ("per_address_max", of_one)] {
                let got = u64::try_from(places).unwrap_or(u64::MAX);
                range(&format!("{name}.{what}"), got, 1, 1_000_000);
            }
        }
        let door = &self.front_door;
        for (name, got, max) in [
            ("handshake_seconds", door.handshake_seconds, 120),
            ("first_request_seconds", door.first_request_seconds, 120),
            ("idle_seconds", door.idle_seconds, 3600),
            ("body_silence_seconds", door.body_silence_seconds, 120),
            ("body_bytes_per_second_min", door.body_bytes_per_second_min, 1_000_000),
            ("peer_requests_per_second", u64::from(door.peer_requests_per_second), 1_000_000),
            ("peer_requests_burst", u64::from(door.peer_requests_burst), 1_000_000),
            ("stranger_requests_per_second", door.stranger_requests_per_second.into(), 1_000_000),
            ("stranger_requests_burst", u64::from(door.stranger_requests_burst), 1_000_000),
        ] {
            range(&format!("front_door.{name}"), got, 1, max);
        }
        let same_port = self.devices.address.port() == self.operators.address.port();
        if self.devices.address.port() != 0 && same_port {
            let port = self.devices.address.port();
            problems.push(format!(
                "operators.address: expected a port other than the devices', both are {port}"
            ));
        }
        if let Some(port) = self.sign_in.as_ref().map(|one| one.address.port())
            && port != 0
            && [self.devices.address.port(), self.operators.address.port()].contains(&port)
        {
            problems.push(format!(
                "sign_in.address: expected a port of its own, {port} is that of another listener"
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

//! The probe `service`: a unit of systemd that is active, and has been for a while, so that one
//! which starts and dies over and over is not taken for a good one.

use super::{Probe, ProbeFailure, Surroundings};
use crate::config::Reader;
use crate::program;

#[derive(Debug)]
struct ServiceProbe {
    unit: String,
    active_ms: u64,
}

pub(super) fn make(from: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    let active_ms = from.number("active_seconds", 0, 0..=600).saturating_mul(1000);
    let unit = from.required("unit", unit_name)?;
    Some(Box::new(ServiceProbe { unit, active_ms }))
}

/// What systemd takes for the name of a unit, and nothing that it takes for an option.
fn unit_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if text.is_empty() || text.len() > 255 || text.starts_with('-') || !text.chars().all(plain) {
        return Err(format!("expected the name of a unit such as app.service, got {text:?}"));
    }
    Ok(text.to_owned())
}

impl Probe for ServiceProbe {
    fn look(&self, _: &Surroundings<'_>, timeout_ms: u64) -> Result<(), ProbeFailure> {
        let properties = "--property=ActiveState,SubState,ActiveEnterTimestampMonotonic";
        let command = ["systemctl", "show", properties, "--", &self.unit].map(str::to_owned);
        let said = program::run(&command, &[], timeout_ms)?;
        self.judge(&said, uptime_ms())
    }
}

impl ServiceProbe {
    fn judge(&self, said: &str, uptime_ms: u64) -> Result<(), ProbeFailure> {
        let of = |name: &str| {
            said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
        };
        let (unit, state) = (&self.unit, of("ActiveState"));
        if state != "active" {
            let why = format!("expected {unit} to be active, it is {state} ({})", of("SubState"));
            return Err(ProbeFailure { why, output: self.last_lines() });
        }
        let since_us: u64 = of("ActiveEnterTimestampMonotonic").parse().unwrap_or(0);
        let active_ms = uptime_ms.saturating_sub(since_us.checked_div(1000).unwrap_or(0));
        if active_ms < self.active_ms {
            let want = self.active_ms;
            let why = format!("expected {unit} to be active for {want} ms, it is for {active_ms}");
            return Err(ProbeFailure::because(why));
        }
        Ok(())
    }

    /// The last that the service said, where there is a journal of the system.
    fn last_lines(&self) -> String {
        let command =
            ["journalctl", "--no-pager", "--lines=10", "--output=cat", "--unit", &self.unit];
        program::run(&command.map(str::to_owned), &[], 2000).unwrap_or_default()
    }
}

/// Milliseconds since the machine was started. Where it has slept meanwhile, that is more than on
/// systemd's clock, and a service passes for active for longer than it was awake.
fn uptime_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let (seconds, rest) =
        text.split_ascii_whitespace().next().unwrap_or("").split_once('.').unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(seconds).saturating_mul(1000).saturating_add(number(rest).saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(active_ms: u64) -> ServiceProbe {
        ServiceProbe { unit: "app.service".into(), active_ms }
    }

    const ACTIVE: &str =
        "ActiveState=active\nSubState=running\nActiveEnterTimestampMonotonic=10000000\n";

    #[test]
    fn a_service_is_judged_by_its_state_and_by_how_long_it_has_had_it() {
        assert_eq!(probe(0).judge(ACTIVE, 10_000), Ok(()));
        assert_eq!(probe(5000).judge(ACTIVE, 15_000), Ok(()));
        let failure = probe(5000).judge(ACTIVE, 14_999).unwrap_err();
        assert_eq!(failure.why, "expected app.service to be active for 5000 ms, it is for 4999");
        let failed = "ActiveState=failed\nSubState=failed\nActiveEnterTimestampMonotonic=0\n";
        let failure = probe(0).judge(failed, 10_000).unwrap_err();
        assert_eq!(failure.why, "expected app.service to be active, it is failed (failed)");
        assert!(probe(0).judge("", 0).is_err());
    }

    #[test]
    fn a_unit_is_never_taken_for_an_option() {
        for bad in ["", "-H", "--host=x", "a b", "a;b", "a/b"] {
            assert!(unit_name(bad).is_err(), "{bad:?}");
        }
        assert!(unit_name("app@1.service").is_ok());
    }
}

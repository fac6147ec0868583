//! Settings that are more than one value, or whose value has a form of its own.

use std::path::PathBuf;

use lazaret_agent_core::vitals::Needs;

use super::{Around, Hooks, MIRRORS_MAX, Reader, Restart};
use crate::slots::SlotSettings;
use crate::status::StatusConfig;
use crate::watchdog::Watch;

pub(super) fn around(from: &mut Reader<'_>) -> Option<Around> {
    let (hooks, needs, watchdog) = (hooks(from), needs(from), watchdog(from));
    let stall_seconds = from.number("watchdog_stall_seconds", 900, 60..=86_400);
    let watchdog_stall_ms = stall_seconds.saturating_mul(1000);
    let trial_log = from.optional_path("trial_log");
    let status = StatusConfig::read(from);
    Some(Around { hooks, needs, watchdog: watchdog?, watchdog_stall_ms, trial_log, status })
}

fn hooks(from: &mut Reader<'_>) -> Hooks {
    Hooks {
        before: from.texts("hook_before"),
        after: from.texts("hook_after"),
        timeout_ms: from.number("hook_seconds", 300, 1..=3600).saturating_mul(1000),
    }
}

fn needs(from: &mut Reader<'_>) -> Needs {
    Needs {
        memory_bytes_min: from.number("install_memory_bytes_min", 0, 0..=1 << 40),
        battery_percent_min: from.number("install_battery_percent_min", 0, 0..=100),
        temperature_celsius_max: from.number("install_temperature_celsius_max", 0, 0..=200),
    }
}

fn watchdog(from: &mut Reader<'_>) -> Option<Watch> {
    from.text("watchdog", "systemd", |text| match text {
        "none" => Ok(Watch::Nobody),
        "systemd" => Ok(Watch::Systemd),
        path if path.starts_with('/') => Ok(Watch::Device(PathBuf::from(path))),
        other => {
            Err(format!("expected none, systemd or a path such as /dev/watchdog, got {other:?}"))
        }
    })
}

/// A bootloader of the machine picks a slot when the machine starts, and not when the agent does.
pub(super) fn restart(from: &mut Reader<'_>, slots: Option<&SlotSettings>) -> Option<Restart> {
    let restart = how_to_restart(from)?;
    if let Some(slots) = slots.filter(|slots| slots.bootloader != "directory")
        && restart == Restart::Exec
    {
        let name = &slots.bootloader;
        let what = "expected \"exit\", or \"command\" with a restart_command such as [\"reboot\"]";
        from.wrong("restart", format!("{what}: {name} picks a slot when the machine starts"));
    }
    Some(restart)
}

fn how_to_restart(from: &mut Reader<'_>) -> Option<Restart> {
    let command = from.texts("restart_command");
    let how = from.text("restart", "exec", |text| one_of(text, &["exec", "exit", "command"]))?;
    match how.as_str() {
        "exit" => Some(Restart::Exit),
        "command" if command.is_empty() => {
            from.wrong("restart_command", "expected a program for restart = \"command\", got none");
            None
        }
        "command" => Some(Restart::Command(command)),
        _ => Some(Restart::Exec),
    }
}

pub(super) fn server_address(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.contains('/') || rest.contains(char::is_whitespace) {
        return Err(format!(
            "expected an address such as https://updates.example:8443, got {text:?}"
        ));
    }
    Ok(text.to_owned())
}

/// Mirrors need no certificate of ours and no secrecy, so that `http` will do.
pub(super) fn mirrors(from: &mut Reader<'_>) -> Vec<String> {
    let mut good = Vec::new();
    let given = from.texts("mirrors");
    if given.len() > MIRRORS_MAX {
        from.wrong("mirrors", format!("expected at most {MIRRORS_MAX}, got {}", given.len()));
    }
    for text in given {
        let address = text.trim_end_matches('/');
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "?#@".contains(c);
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(odd) => {
                good.push(address.to_owned());
            }
            _ => from.wrong(
                "mirrors",
                format!("expected addresses such as https://cdn.example/repo, got {text:?}"),
            ),
        }
    }
    good
}

pub(super) fn one_of(text: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("expected one of {}, got {text:?}", known.join(", ")))
}

pub(super) fn told(err: impl std::fmt::Display) -> String {
    err.to_string()
}

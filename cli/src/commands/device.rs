//! `lazaret device ...`: the table of its commands, and how a device is shown.

use clap::Subcommand;
use lazaret_protocol::operator::{DeviceView, HardwareView, NumberView, SuspicionView};

use super::Session;
pub(super) use quarantine::set_in_words as contained_in_words;

use crate::output;

mod accept_log;
mod accept_swap;
mod import;
mod label;
mod list;
mod provision;
mod quarantine;
mod release;
mod retire;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a one-time claim with which a machine enrols
    Provision(provision::Args),
    /// List machines that may enrol, from a file
    Import(import::Args),
    /// List devices
    List(list::Args),
    /// Show one device
    Show(show::Args),
    /// Label a device, and put it in a group
    Label(label::Args),
    /// Contain devices, as far as is needed
    Quarantine(Box<quarantine::Args>),
    /// Ask for devices to be let out of quarantine
    ReleaseRequest(release::RequestArgs),
    /// Sign a release from quarantine
    ReleaseSign(release::SignArgs),
    /// Say who has signed a release from quarantine, and where its devices stand
    ReleaseStatus(release::StatusArgs),
    /// Fetch the receipt of a device's release
    ReleaseReceipt(release::ReceiptArgs),
    /// Check such a receipt, without any server
    VerifyRelease(release::VerifyArgs),
    /// Accept that a device's disputed log begins anew
    AcceptLog(accept_log::Args),
    /// Accept that numbers of a device's modem or SIM have changed
    AcceptSwap(accept_swap::Args),
    /// Take a device out of service for good
    Retire(retire::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Provision(args) => provision::run(args, session),
            Self::Import(args) => import::run(args, session),
            Self::List(args) => list::run(args, session),
            Self::Show(args) => show::run(&args, session),
            Self::Label(args) => label::run(args, session),
            Self::Quarantine(args) => quarantine::run(*args, session),
            Self::ReleaseRequest(args) => release::request(args, session),
            Self::ReleaseSign(args) => release::sign(&args, session),
            Self::ReleaseStatus(args) => release::status(&args, session),
            Self::ReleaseReceipt(args) => release::receipt(&args, session),
            Self::VerifyRelease(args) => release::verify(&args, session),
            Self::AcceptLog(args) => accept_log::run(args, session),
            Self::AcceptSwap(args) => accept_swap::run(args, session),
            Self::Retire(args) => retire::run(args, session),
        }
    }
}

/// Whether a device is contained, in a few words. `Contained` is said only on the device's word.
fn containment(device: &DeviceView) -> &'static str {
    match (&device.quarantine, device.quarantine_confirmed) {
        (None, false) => "-",
        (None, true) => "by itself",
        (Some(_), true) => "contained",
        (Some(_), false) => match &device.containment {
            Some(word) if !word.is_proved() => "NOT by itself",
            _ => "by the server",
        },
    }
}

/// How far, and what the device says of each measure.
fn measures(device: &DeviceView) -> String {
    let Some(level) = device.quarantine_level else { return "-".to_owned() };
    let words = device.containment.iter().flat_map(|word| &word.measures);
    let words: Vec<String> = words
        .map(|measure| match &measure.failed {
            None => format!("{} holds", output::shown(&measure.name)),
            Some(why) => {
                format!("{} FAILED: {}", output::shown(&measure.name), output::shown(why))
            }
        })
        .collect();
    if words.is_empty() { level.to_string() } else { format!("{level}: {}", words.join("; ")) }
}

fn pairs(entries: &std::collections::BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "-".to_owned() } else { pairs.join(" ") }
}

/// Signs that a device has a copy, with how often each was seen.
fn suspicions(signs: &std::collections::BTreeMap<String, SuspicionView>) -> String {
    let signs: Vec<String> = signs
        .iter()
        .map(|(sign, it)| format!("{sign} ({}, last {}): {}", it.count, it.last, it.evidence))
        .collect();
    if signs.is_empty() { "none".to_owned() } else { signs.join("; ") }
}

/// Whether the numbers of its modem and SIM are those that it is bound to. The digests tell two of
/// them apart, and no more.
fn numbers(numbers: &std::collections::BTreeMap<String, NumberView>) -> String {
    let one = |(kind, number): (&String, &NumberView)| {
        let Some(changed) = &number.changed else { return format!("{kind} as bound") };
        let held = if changed.held { ", HELD until it is accepted" } else { "" };
        let whose = changed.bound_to.as_ref().map(|other| format!(", that of {other}"));
        let whose = whose.unwrap_or_default();
        format!("{kind} CHANGED since {}{whose}{held}", changed.since)
    };
    let all: Vec<String> = numbers.iter().map(one).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}

/// A device's TPM, by its own statement when it enrolled.
fn tpm(hardware: &HardwareView) -> String {
    let digits = hardware.endorsement.to_string();
    let short = digits.get(..16).unwrap_or_default();
    format!("endorsement {short}..., {} resets at {}", hardware.resets, hardware.at)
}

fn in_words(device: &DeviceView) -> String {
    let none = || "-".to_owned();
    let running = device.running.as_ref().map(|running| {
        format!("{} (counter {}, {:?})", running.version, running.counter, running.sha256)
    });
    let seen =
        device.last_seen.map(|seen| format!("{seen} ({})", output::ago(seen, output::now())));
    output::facts(&[
        ("device", device.id.to_string()),
        ("serial", device.serial.to_string()),
        ("model", device.model.to_string()),
        ("runs", running.unwrap_or_else(none)),
        ("update", device.update_state.clone()),
        ("quarantine", device.quarantine.clone().unwrap_or_else(none)),
        ("contained", containment(device).to_owned()),
        ("level", measures(device)),
        ("last seen", seen.unwrap_or_else(|| "never".to_owned())),
        ("polls", device.polls.to_string()),
        ("certificate", format!("ends {}", device.certificate_ends)),
        ("last outcome", device.last_outcome.clone().unwrap_or_else(none)),
        ("retired", device.retired.clone().unwrap_or_else(none)),
        ("suspicions", suspicions(&device.suspicions)),
        ("modem and SIM", numbers(&device.numbers)),
        ("TPM", device.hardware.as_ref().map_or_else(none, tpm)),
        ("group", device.group.clone().unwrap_or_else(none)),
        ("labels", pairs(&device.labels)),
        ("attributes", pairs(&device.attributes)),
    ])
}

//! What is known is said, and what is not known is left out.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::fs;

use lazaret_agent_core::health::{Finding, ProbeResult};

use super::*;

/// A folder as the kernel shows supplies: name, file and content.
fn supplies(files: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, file, text) in files {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join(file), format!("{text}\n")).unwrap();
    }
    folder
}

fn battery(status: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    vec![("BAT0", "type", "Battery"), ("BAT0", "capacity", "41"), ("BAT0", "status", status)]
}

#[test]
fn a_battery_counts_only_while_the_device_runs_from_it() {
    let percent = |files: &[(&str, &str, &str)]| power::battery_percent(supplies(files).path());
    assert_eq!(percent(&[]), None);
    assert_eq!(percent(&battery("Discharging")), Some(41));
    assert_eq!(percent(&battery("Unknown")), Some(41));
    for fed in ["Charging", "Full", "Not charging"] {
        assert_eq!(percent(&battery(fed)), None, "{fed}");
    }
    let mut plugged = battery("Unknown");
    plugged.extend([("AC", "type", "Mains"), ("AC", "online", "1")]);
    assert_eq!(percent(&plugged), None);
    // A charger that is too weak does not keep it from running empty.
    let mut weak = battery("Discharging");
    weak.extend([("usb", "type", "USB"), ("usb", "online", "1")]);
    assert_eq!(percent(&weak), Some(41));
    let mut two = battery("Discharging");
    two.extend([("BAT1", "type", "Battery"), ("BAT1", "capacity", "101")]);
    assert_eq!(percent(&two), Some(41), "the emptier one is what may not last");
    let mut mouse = battery("Discharging");
    mouse.push(("BAT0", "scope", "Device"));
    assert_eq!(percent(&mouse), None);
    assert_eq!(power::battery_percent(Path::new("/nowhere")), None);
}

#[test]
fn local_time_follows_the_rules_of_the_place_through_summer() {
    let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let at = |text: &str| Timestamp::from_ms(u64::try_from(at(text)).unwrap());
    assert_eq!(zone.offset_min(at("2026-01-15T12:00:00Z")), Some(60));
    assert_eq!(zone.offset_min(at("2026-07-15T12:00:00Z")), Some(120));
    let west = Zone::parse("<-0330>3:30").unwrap();
    assert_eq!(west.offset_min(at("2026-07-15T12:00:00Z")), Some(-210));
    assert_eq!(Zone::Unknown.offset_min(at("2026-07-15T12:00:00Z")), None);
    assert!(Zone::parse("Middle/Earth!").is_err());
}

fn config(text: &str) -> PostureConfig {
    let mut reader = Reader::new(text, Path::new("/"));
    let config = PostureConfig::read(&mut reader);
    let problems = reader.finish();
    assert!(problems.is_empty(), "{problems:?}");
    config
}

const SAYING: &str = r#"
hardware = "rev-c"
time_zone = "unknown"
power_supply_dir = "/nowhere"
[[attributes]]
name = "site"
value = "lyon"
[[attributes]]
name = "battery_percent"
command = ["/bin/echo", "37"]
[[attributes]]
name = "utc_offset_min"
command = ["/bin/echo", "-210"]
[[attributes]]
name = "broken"
command = ["/bin/false"]
[[attributes]]
name = "long"
command = ["/bin/sh", "-c", "printf 'one\ttwo%0300d\nthree' 0; echo noise >&2"]
"#;

#[test]
fn commands_speak_in_place_of_the_system_and_a_failed_one_says_nothing() {
    let config = config(SAYING);
    let mut watch = Watch::default();
    watch.ask(&config);
    let said = watch.posture(&config, &[("free_bytes.root", Path::new("/"))], Timestamp::default());
    assert_eq!((said.battery_percent, said.utc_offset_min), (Some(37), Some(-210)));
    let attribute = |name: &str| said.attributes.get(name).map(String::as_str);
    assert_eq!(attribute("hardware"), Some("rev-c"));
    assert_eq!(attribute("site"), Some("lyon"));
    assert_eq!(attribute("broken"), None);
    let long = attribute("long").unwrap();
    assert!(long.starts_with("onetwo00") && long.len() == VALUE_BYTES_MAX, "{long}");
    assert!(attribute("uptime_s").is_some_and(|text| text.parse::<u64>().is_ok()));
    assert!(attribute("free_bytes.root").is_some_and(|text| text.parse::<u64>().is_ok()));
}

fn result(name: &str, finding: Finding) -> ProbeResult {
    ProbeResult { name: name.into(), finding }
}

fn failed(tries_left: u32) -> Finding {
    Finding::Failed { tries_left, why: "it exited with 3".into(), output: String::new() }
}

#[test]
fn a_probe_keeps_its_verdict_until_its_attempts_are_used_up() {
    let config = config("time_zone = \"unknown\"\npower_supply_dir = \"/nowhere\"");
    let mut watch = Watch::default();
    let said = |watch: &Watch| watch.posture(&config, &[], Timestamp::default()).probes;
    assert_eq!(watch.judged(&[result("app", failed(2))]), Settled::NotYet);
    assert_eq!(said(&watch).get("app"), None);
    assert_eq!(watch.judged(&[result("app", Finding::Passed)]), Settled::Changed);
    assert_eq!(watch.judged(&[result("app", Finding::Passed)]), Settled::AsBefore);
    assert_eq!(watch.judged(&[result("app", failed(1))]), Settled::NotYet);
    assert_eq!(said(&watch).get("app"), Some(&true));
    assert_eq!(watch.judged(&[result("app", failed(0))]), Settled::Changed);
    assert_eq!(said(&watch).get("app"), Some(&false));
}

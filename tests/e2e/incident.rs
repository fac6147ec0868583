//! An incident with real programs: opened over the devices that match, contained on proof, its
//! evidence collected, its clocks filed, closed, and written up; the server killed in between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::Path;
use std::time::Duration;

use lazaret_tests::fleet::{Fleet, Release};
use lazaret_tests::programs::{self, arg};
use lazaret_tests::wait;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

/// Three devices that poll, and the incident that two of them are in.
struct Case {
    fleet: Fleet,
    id: String,
}

impl Case {
    fn opened() -> Self {
        let mut fleet = Fleet::found(64 * 1024).unwrap();
        for id in ["d-1", "d-2", "d-3"] {
            fleet.add(id).unwrap();
        }
        for device in &mut fleet.devices {
            device.start().unwrap();
        }
        fleet.enrolled().unwrap();
        let label = |id| ["device", "label", id, "site=lyon"];
        for id in ["d-1", "d-2"] {
            fleet.site.lazaret(&label(id)).unwrap();
        }
        let open = [
            "incident",
            "open",
            "--title",
            "calls strangers",
            "--severity",
            "high",
            "--declare",
            "--filter",
            "label.site==lyon",
            "--playbook",
            "compromised-device",
            "--obligation",
            "severe-incident",
            "--reason",
            "seen by the firewall",
        ];
        let tried = fleet.site.lazaret(&[&open[..], &["--dry-run"]].concat()).unwrap();
        assert_eq!(tried["standing"]["devices"], 2);
        let none = fleet.site.lazaret(&["incident", "list"]).unwrap();
        assert_eq!(none["items"], json!([]), "a dry run keeps nothing");
        let status = fleet.site.lazaret(&open).unwrap();
        assert_eq!(status["incident"]["devices"], 2);
        assert_eq!(status["standing"]["free"], 2);
        let id = status["incident"]["id"].as_str().unwrap().to_owned();
        Self { fleet, id }
    }

    fn act(&self, what: &str, args: &[&str]) -> Result<Value, String> {
        let all = [&["incident", what, self.id.as_str()][..], args].concat();
        let output = programs::output(&mut self.fleet.site.cli("ana", &all)).unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn standing(&self) -> Value {
        self.act("status", &[]).unwrap()["standing"].clone()
    }

    fn stands(&self, what: &str, field: &str, count: u64) {
        let so = || Ok((self.standing()[field] == count).then_some(()));
        wait::until(what, PATIENCE, so)
            .unwrap_or_else(|err| panic!("{err}: {}\n{}", self.standing(), self.fleet.logs()));
    }

    fn quarantine(&self, device: &str) {
        let args = ["device", "quarantine", device, "--reason", "calls strangers"];
        self.fleet.site.lazaret(&args).unwrap();
    }
}

#[test]
fn an_incident_is_led_to_its_end_on_proof_and_survives_a_killed_server() {
    let mut case = Case::opened();
    let contained = ["--to", "contained", "--reason", "all of them"];
    let refused = case.act("advance", &contained).unwrap_err();
    assert!(refused.contains("free=2"), "{refused}");

    // One device answers, the other is off: it is named, and nobody says that it is contained.
    case.fleet.devices[1].kill().unwrap();
    case.quarantine("d-1");
    case.quarantine("d-2");
    case.stands("d-1 to say that its quarantine holds", "contained", 1);
    let standing = case.standing();
    assert_eq!(standing["never_seen"], 1, "{standing}");
    assert_eq!(standing["non_responders"][0]["device"], "d-2");
    let refused = case.act("advance", &contained).unwrap_err();
    assert!(refused.contains("never-seen=1"), "{refused}");
    let refused = case.act("step", &["contain", "--text", "done"]).unwrap_err();
    assert!(refused.contains("1 of 2"), "{refused}");
    let accepted = ["--to", "contained", "--accept", "never-seen=1", "--reason", "one is in store"];
    assert_eq!(case.act("advance", &accepted).unwrap()["state"], "contained");

    let asked = case.act("collect", &["--reason", "before the cure"]).unwrap();
    assert_eq!(asked["ordered"], 2);
    let again = case.act("collect", &["--reason", "once more"]).unwrap();
    assert_eq!((&again["ordered"], &again["before"]), (&json!(0), &json!(2)));
    case.stands("the evidence of d-1", "collected", 1);

    case.fleet.site.kill_server().unwrap();
    case.fleet.site.start_server().unwrap();
    let status = case.act("status", &[]).unwrap();
    assert_eq!(status["incident"]["state"], "contained");
    case.fleet.devices[1].start().unwrap();
    case.stands("d-2 to say that its quarantine holds", "contained", 2);
    case.stands("the evidence of d-2", "collected", 2);
    for step in ["contain", "collect"] {
        case.act("step", &[step, "--text", "all of them say so"]).unwrap();
    }
    written_up(&case);
}

/// From contained to closed, with what authorities are told.
fn written_up(case: &Case) {
    let accept = ["--to", "eradicated", "--accept", "unpatched=2", "--reason", "reflashed by hand"];
    case.act("advance", &accept).unwrap();
    case.act("advance", &["--to", "recovering", "--reason", "watched"]).unwrap();
    let close = ["--to", "closed", "--accept", "contained=2", "--reason", "they go to the bin"];
    let refused = case.act("advance", &close).unwrap_err();
    assert!(refused.contains("early-warning") && refused.contains("cure"), "{refused}");
    for step in ["hold", "sweep", "cure", "lessons"] {
        case.act("step", &[step, "--waive", "--text", "devices are replaced"]).unwrap();
    }
    for clock in ["early-warning", "notification", "final-report"] {
        case.act("file", &["--clock", clock, "--reference", "ENISA-1"]).unwrap();
    }
    let noted = case.act("note", &["<b>the vendor</b> was told"]).unwrap();
    assert_eq!(noted["notes"], 1);
    assert_eq!(case.act("advance", &close).unwrap()["state"], "closed");
    let refused = case.act("note", &["too late"]).unwrap_err();
    assert!(refused.contains("is closed"), "{refused}");

    let timeline = case.act("timeline", &[]).unwrap();
    let kinds: Vec<&str> = timeline["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["event"].as_str().unwrap())
        .collect();
    for kind in [
        "incident-opened",
        "quarantined",
        "quarantine-confirmed",
        "evidence-received",
        "incident-advanced",
        "incident-filed",
        "incident-step-ended",
        "incident-noted",
    ] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let strangers =
        timeline["items"].as_array().unwrap().iter().any(|event| event["event"]["device"] == "d-3");
    assert!(!strangers, "d-3 is in no incident");
    reported(case);
}

/// The report as JSON and as a page.
fn reported(case: &Case) {
    let report = case.act("report", &[]).unwrap();
    assert_eq!(report["bundles"].as_array().unwrap().len(), 2);
    assert!(report["figures"]["time_to_contain_ms"].as_u64().is_some());
    let html = page(case, &["calls strangers", "d-1", "d-2", "&lt;b&gt;the vendor"]);
    assert!(!html.contains("<b>the vendor"), "{html}");
}

/// The report as a page, opened by a browser, which shows all of this; its elements.
fn page(case: &Case, shows: &[&str]) -> String {
    let out = case.fleet.folder().join("report.html");
    let args = ["incident", "report", case.id.as_str(), "--out", &arg(&out)];
    let command = case.fleet.site.cli("ana", &args);
    // The page is what people get; the harness asks for JSON otherwise.
    let args: Vec<_> =
        command.get_args().filter(|it| *it != "--json").map(ToOwned::to_owned).collect();
    let mut page = std::process::Command::new(command.get_program());
    page.args(args);
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            page.env(key, value);
        }
    }
    let written = programs::output(&mut page).unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let html = std::fs::read_to_string(&out).unwrap();
    assert!(html.starts_with("<!doctype html>"), "{html}");

    let dom = browse(&out, "--dump-dom");
    for held in shows {
        assert!(dom.contains(held), "{held} is not shown: {dom}");
    }
    for strange in ["<script", "<link", "src=\"http"] {
        assert!(!dom.contains(strange), "{strange} is in a page that must stand alone: {dom}");
    }
    let pdf = out.with_file_name("report.pdf");
    browse(&out, &format!("--print-to-pdf={}", pdf.display()));
    let printed = std::fs::read(&pdf).unwrap();
    assert!(printed.starts_with(b"%PDF-") && printed.len() > 10_000, "{} bytes", printed.len());
    dom
}

/// What a browser says when it opens a page and does one thing with it.
fn browse(page: &Path, what: &str) -> String {
    let mut browser = std::process::Command::new("timeout");
    // Without a sandbox of its own, which root cannot have; the page is one of ours.
    browser.args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
    browser.args(["--disable-dev-shm-usage", "--no-first-run", what]);
    let profile = page.with_file_name("browser");
    browser.arg(format!("--user-data-dir={}", profile.display()));
    browser.arg(format!("file://{}", page.display()));
    let shown = programs::output(&mut browser).unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

#[test]
fn a_clock_that_ran_out_is_said_and_odd_incidents_are_refused() {
    let case = Case::opened();
    let aware = [
        "incident",
        "open",
        "--title",
        "old",
        "--severity",
        "low",
        "--devices",
        "d-3",
        "--obligation",
        "exploited-vulnerability",
        "--aware",
        "2026-01-01T00:00:00Z",
        "--reason",
        "found in the files",
    ];
    let status = case.fleet.site.lazaret(&aware).unwrap();
    assert_eq!(status["incident"]["state"], "suspected");
    assert_eq!(status["incident"]["clocks"][0]["state"], "late");
    let late = |event: &Value| {
        event["event"]["event"] == "incident-due" && event["event"]["what"] == "early-warning"
    };
    wait::until("the warning", PATIENCE, || {
        Ok(case.fleet.site.events()?.iter().any(late).then_some(()))
    })
    .unwrap();
    for (what, says, args) in [
        ("nobody", "no device d-9", ["--devices", "d-9", "--severity", "low"]),
        ("a filter", "filter is refused", ["--filter", "model=gw2", "--severity", "low"]),
        ("severity", "expected low, medium", ["--devices", "d-1", "--severity", "awful"]),
    ] {
        let base = ["incident", "open", "--title", what, "--reason", "so"];
        let args = [&base[..], &args].concat();
        let output = programs::output(&mut case.fleet.site.cli("ana", &args)).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{what}: {said}");
    }
    assert!(case.act("advance", &["--to", "closed", "--reason", "tired"]).is_err());
    let unknown = ["incident", "status", "i-nothing"];
    assert!(case.fleet.site.lazaret(&unknown).is_err());
}

/// Where in the event log the first event of a kind is that a device has, with this in its words.
fn first(events: &[Value], kind: &str, device: &str, holds: &str) -> Option<usize> {
    events.iter().position(|event| {
        let fact = &event["event"];
        fact["event"] == kind && fact["device"] == device && fact.to_string().contains(holds)
    })
}

#[test]
fn devices_in_quarantine_send_their_evidence_and_are_cured_where_they_are() {
    // If this failed, a compromised device would have to be let out to be patched, or what it holds
    // would be overwritten before anybody saw it.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ["d-1", "d-2", "d-3"] {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    let open = ["incident", "open", "--title", "worm", "--severity", "critical", "--declare"];
    let who = ["--devices", "d-1,d-2", "--reason", "seen by the firewall"];
    let status = fleet.site.lazaret(&[&open[..], &who].concat()).unwrap();
    let id = status["incident"]["id"].as_str().unwrap().to_owned();
    let case = Case { fleet, id };
    let level = ["--level", "restrict", "--reason", "worm"];
    let preview = case.act("contain", &[&level[..], &["--dry-run"]].concat()).unwrap();
    assert_eq!((&preview["devices"], &preview["act"]), (&json!(2), &Value::Null), "{preview}");
    assert_eq!(case.standing()["free"], 2, "a dry run contains nobody");
    let act = case.act("contain", &level).unwrap();
    case.stands("both to say that their quarantine holds", "contained", 2);
    let status = case.act("status", &[]).unwrap();
    assert_eq!(status["incident"]["quarantines"], json!([act["act"]]), "{status}");
    let contained = ["--to", "contained", "--reason", "both say so"];
    case.act("advance", &contained).unwrap();

    let policy = arg(&case.fleet.folder().join("policy.toml"));
    let text = "name = \"now\"\napprovals = 0\npreserve = { wait = \"7d\", then = \"hold\" }\n\
                [[group]]\nname = \"all\"\nrest = true\nerror_percent = 90\n";
    std::fs::write(&policy, text).unwrap();
    let plan = ["rollout", "plan", "--model", "gw2", "--version", "2.0", "--policy", &policy];
    let usual = [&plan[..], &["--dry-run", "--reason", "without an incident"]].concat();
    let usual = case.fleet.site.lazaret(&usual).unwrap();
    assert_eq!(usual["preview"]["planned"], 1, "quarantine keeps usual rollouts out: {usual}");
    let cure = [&plan[..], &["--incident", &case.id, "--reason", "closes the way in"]].concat();
    let planned = case.fleet.site.lazaret(&cure).unwrap();
    assert_eq!(planned["preview"]["planned"], 3, "{planned}");
    let rollout = planned["rollout"]["id"].as_str().unwrap();
    case.fleet.site.lazaret(&["rollout", "apply", rollout]).unwrap();
    case.fleet.ended(rollout, "finished").unwrap();
    case.fleet.run(Release(2)).unwrap();

    let events = case.fleet.site.events().unwrap();
    for device in ["d-1", "d-2"] {
        let sent = first(&events, "evidence-received", device, "").expect("no evidence");
        let offered = first(&events, "ordered", device, "which cures").expect("no cure");
        assert!(sent < offered, "{device} was overwritten before its evidence was here");
    }
    assert!(first(&events, "evidence-received", "d-3", "").is_none(), "nobody asked d-3");
    let standing = case.standing();
    assert_eq!((&standing["contained"], &standing["patched"]), (&json!(2), &json!(2)));
    let cured = ["--to", "eradicated", "--reason", "both run 2.0"];
    assert_eq!(case.act("advance", &cured).unwrap()["state"], "eradicated");
    assert_eq!(case.act("status", &[]).unwrap()["incident"]["rollouts"], json!([rollout]));
    page(&case, &["worm", rollout, "<svg id=\"curve\"", "<polyline"]);
}

#[test]
fn what_speaks_against_a_device_is_listed_told_once_and_dismissed() {
    // If this failed, a copied device would be found by whoever happens to read the event log.
    let (_folder, site) = lazaret_tests::site::Site::running().unwrap();
    let peer = lazaret_tests::peer::Peer::enrol(&site, "d-1").unwrap();
    let mut device = peer.connect(&site).unwrap();
    let poll = |number| lazaret_tests::peer::poll(number);
    assert_eq!(device.tell("POST", "/v1/poll", &poll(5)).unwrap().status, 200);
    for _ in 0..3 {
        assert_eq!(device.tell("POST", "/v1/poll", &poll(5)).unwrap().code(), "replay");
    }
    let listed = || site.lazaret(&["anomaly", "list"]);
    let view = wait::until("the suspicion", PATIENCE, || {
        let item = listed()?["items"][0].clone();
        Ok((item["reasons"][0]["count"].as_u64() >= Some(1)).then_some(item))
    })
    .unwrap();
    assert_eq!(view["device"], "d-1", "{view}");
    let rules: Vec<&str> =
        view["reasons"].as_array().unwrap().iter().map(|it| it["rule"].as_str().unwrap()).collect();
    assert!(rules.contains(&"replay"), "{view}");
    let suspected = |event: &Value| event["event"]["event"] == "anomaly-suspected";
    let told = site.events().unwrap().iter().filter(|event| suspected(event)).count();
    assert_eq!(told, 1, "people are told once");
    let shown = site.lazaret(&["device", "show", "d-1"]).unwrap();
    assert_eq!(shown["quarantine"], Value::Null, "nobody is contained by a score");

    let dismiss = ["anomaly", "dismiss", "d-1", "--reason", "a test of ours"];
    let view = site.lazaret(&dismiss).unwrap();
    assert!(view["dismissed"].as_str().unwrap().contains("a test of ours"), "{view}");
    assert_eq!(listed().unwrap()["items"], json!([]));
    let all = site.lazaret(&["anomaly", "list", "--all"]).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    assert!(site.lazaret(&["anomaly", "dismiss", "d-2", "--reason", "x"]).is_err());
}

#[test]
fn the_evidence_of_a_device_that_people_are_told_of_is_ordered_with_the_telling() {
    // If this failed, what an intruder left would be gone by the time that somebody looks.
    let folder = tempfile::tempdir().unwrap();
    let programs = programs::Programs::beside_this_one().unwrap();
    let mut site = lazaret_tests::site::Site::found(programs, &folder.path().join("site")).unwrap();
    let settings = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, format!("{text}\n[anomalies]\ncollect = true\n")).unwrap();
    site.init().unwrap();
    site.start_server().unwrap();
    let peer = lazaret_tests::peer::Peer::enrol(&site, "d-1").unwrap();
    let mut device = peer.connect(&site).unwrap();
    let poll = lazaret_tests::peer::poll(5);
    assert_eq!(device.tell("POST", "/v1/poll", &poll).unwrap().status, 200);
    assert_eq!(device.tell("POST", "/v1/poll", &poll).unwrap().code(), "replay");
    let events = wait::until("the suspicion", PATIENCE, || {
        let events = site.events()?;
        Ok(first(&events, "anomaly-suspected", "d-1", "replay").is_some().then_some(events))
    })
    .unwrap();
    let told = first(&events, "anomaly-suspected", "d-1", "replay").unwrap();
    let asked = first(&events, "evidence-ordered", "d-1", "anomaly replay");
    assert_eq!(asked, Some(told + 1), "the commit that tells is the one that collects");
}

//! Copies of a device: its folder, its TPM, its certificate. Each is seen within one poll of either
//! copy, as an event with its evidence.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lazaret_tests::hardware::SwTpm;
use lazaret_tests::peer::{Peer, poll};
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

fn shown(site: &Site, id: &str) -> Value {
    site.lazaret(&["device", "show", id]).unwrap()
}

/// The signs that were events about this device so far, in their order.
fn signs(site: &Site, id: &str) -> Vec<String> {
    let events = site.events().unwrap();
    let facts = events.iter().map(|event| &event["event"]);
    let ours = facts.filter(|it| it["event"] == "clone-suspected" && it["device"] == id);
    let signs = ours.map(|it| {
        assert!(!it["evidence"].as_str().unwrap().is_empty(), "{it}");
        it["sign"].as_str().unwrap().to_owned()
    });
    signs.collect()
}

fn polled(site: &Site, device: &Device, more_than: u64) {
    wait::until("the device to poll", PATIENCE, || {
        let Ok(view) = site.lazaret(&["device", "show", &device.id]) else { return Ok(None) };
        Ok((view["polls"].as_u64() > Some(more_than)).then_some(()))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", device.log_tail().unwrap_or_default()));
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_copied_tpm_and_folder_are_seen_within_one_poll_of_either_copy() {
    // Else whoever has copied a device, its TPM included, speaks for it for as long as they like.
    let (folder, site) = Site::running().unwrap();
    let state = folder.path().join("tpm");
    let tpm = SwTpm::start(&state).unwrap();
    let mut device = site.provision("d-1").unwrap();
    device.keep_key(&tpm.settings()).unwrap();
    device.start().unwrap();
    polled(&site, &device, 2);
    assert_eq!(shown(&site, "d-1")["suspicions"], json!({}));

    // The device is off while it is copied.
    device.kill().unwrap();
    drop(tpm);
    let copied = folder.path().join("tpm-copy");
    copy(&state, &copied);
    let theirs = site.set_up("d-copy", "sn-d-1").unwrap();
    std::fs::remove_dir_all(theirs.folder.join("state")).unwrap();
    copy(&device.folder.join("state"), &theirs.folder.join("state"));
    let (tpm, twin) = (SwTpm::start(&state).unwrap(), SwTpm::start(&copied).unwrap());
    device.keep_key(&tpm.settings()).unwrap();
    let mut theirs = theirs;
    theirs.keep_key(&twin.settings()).unwrap();

    let before = shown(&site, "d-1")["polls"].as_u64().unwrap();
    device.start().unwrap();
    polled(&site, &device, before);
    assert_eq!(signs(&site, "d-1"), Vec::<String>::new(), "it was only off and on");
    theirs.start().unwrap();
    wait::until("the copy to be seen", PATIENCE, || {
        Ok((!signs(&site, "d-1").is_empty()).then_some(()))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", theirs.log_tail().unwrap()));
    // By its very first poll: the original has used that number.
    assert_eq!(signs(&site, "d-1")[0], "sequence-reused");
    let view = shown(&site, "d-1");
    let seen = &view["suspicions"]["sequence-reused"];
    assert!(seen["evidence"].as_str().unwrap().contains("was already accepted"), "{view}");
}

#[test]
fn a_copy_that_makes_up_its_numbers_is_seen_by_the_nonce() {
    let (_folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut connection = device.connect(&site).unwrap();
    let mut tell = |sequence: u64, nonce: &Value| -> Value {
        let mut request = poll(sequence);
        request["nonce"] = nonce.clone();
        let answer = connection.tell("POST", "/v1/poll", &request).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["nonce"].clone()
    };
    let first = tell(1, &Value::Null);
    let second = tell(2, &first);
    // The answer was lost: the device shows the nonce before once more, and nobody minds.
    let third = tell(3, &first);
    let original = tell(4, &third);
    assert_ne!(original, second);
    assert_eq!(signs(&site, "d-1"), Vec::<String>::new());
    // The copy has the nonce of the original, and counts far ahead of it.
    let copy = tell(1000, &original);
    tell(1001, &copy);
    assert_eq!(signs(&site, "d-1"), Vec::<String>::new());
    tell(2000, &original);
    assert_eq!(signs(&site, "d-1"), ["nonce-broken"]);
    let view = shown(&site, "d-1");
    let evidence = view["suspicions"]["nonce-broken"]["evidence"].as_str().unwrap();
    assert!(evidence.contains("got another"), "{view}");
    // Neither nonce is given away.
    for nonce in [&original, &copy] {
        assert!(!view.to_string().contains(nonce.as_str().unwrap()));
    }
    // A device that starts less often than it did is an older copy of itself.
    let mut fewer = poll(3000);
    fewer["boot_count"] = json!(0);
    assert_eq!(connection.tell("POST", "/v1/poll", &fewer).unwrap().status, 200);
    assert!(signs(&site, "d-1").contains(&"boot-count-fell".to_owned()));
}

#[test]
fn a_superseded_certificate_is_refused_at_once_and_recorded() {
    // Else a certificate that was copied off a device renews itself for ever.
    let (_folder, site) = Site::running().unwrap();
    let old = Peer::enrol(&site, "d-1").unwrap();
    let mut open = old.connect(&site).unwrap();
    let new = old.renew(&site).unwrap();
    assert_eq!(open.look("/v1/device").unwrap().status, 200, "its renewal may have been lost");
    let answer = new.connect(&site).unwrap().tell("POST", "/v1/poll", &poll(1)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    // The device has the new one: the old one is good for nothing, on an open connection too.
    let refused = open.look("/v1/device").unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"), "{refused:?}");
    let refused = old.renew(&site).unwrap_err();
    assert!(format!("{refused:#}").contains("superseded"), "{refused:#}");
    assert_eq!(signs(&site, "d-1"), ["certificate-superseded"], "told once, not with every try");
    let answer = new.connect(&site).unwrap().look("/v1/device").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_copied_folder_with_a_key_in_a_file_is_seen_within_one_poll_of_either_copy() {
    // Else whoever reads the disk of a device once is that device.
    let (_folder, site) = Site::running().unwrap();
    let mut device = site.provision("d-1").unwrap();
    device.start().unwrap();
    polled(&site, &device, 2);
    device.kill().unwrap();
    let mut theirs = site.set_up("d-copy", "sn-d-1").unwrap();
    std::fs::remove_dir_all(theirs.folder.join("state")).unwrap();
    copy(&device.folder.join("state"), &theirs.folder.join("state"));
    let before = shown(&site, "d-1")["polls"].as_u64().unwrap();
    device.start().unwrap();
    polled(&site, &device, before);
    assert_eq!(signs(&site, "d-1"), Vec::<String>::new(), "it was only off and on");
    theirs.start().unwrap();
    wait::until("the copy to be seen", PATIENCE, || {
        Ok((!signs(&site, "d-1").is_empty()).then_some(()))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", theirs.log_tail().unwrap()));
    assert_eq!(signs(&site, "d-1")[0], "sequence-reused");
}

#[test]
fn two_connections_that_speak_in_turn_from_two_addresses_are_seen() {
    // Else a copy that only listens, and never polls, is seen by nobody.
    let (folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut honest = device.connect(&site).unwrap();
    let mut second = device.connect(&site).unwrap();
    for _ in 0..2 {
        for connection in [&mut honest, &mut second] {
            assert_eq!(connection.look("/v1/device").unwrap().status, 200);
        }
    }
    assert_eq!(signs(&site, "d-1"), Vec::<String>::new(), "one machine has two connections");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let url = format!("https://127.0.0.1:{}/v1/device", site.device_port);
    let mut copy = Command::new("curl")
        .args(["-sS", "--interface", "127.0.0.2", "--rate", "5/s", "-o", "/dev/null"])
        .arg("--cacert")
        .arg(site.keys().join("ca/server-ca.pem"))
        .arg("--cert")
        .arg(write("copy.pem", &device.credential.chain_pem))
        .arg("--key")
        .arg(write("copy.key", &device.credential.key_pem))
        .arg(format!("{url}?[1-100]"))
        .spawn()
        .unwrap();
    wait::until("the copy to be seen", PATIENCE, || {
        assert_eq!(honest.look("/v1/device").unwrap().status, 200);
        Ok((!signs(&site, "d-1").is_empty()).then_some(()))
    })
    .unwrap();
    copy.kill().unwrap();
    copy.wait().unwrap();
    let view = shown(&site, "d-1");
    let evidence = view["suspicions"]["two-live"]["evidence"].as_str().unwrap();
    assert!(evidence.contains("127.0.0.1") && evidence.contains("127.0.0.2"), "{view}");
    assert_eq!(signs(&site, "d-1"), ["two-live"], "told once, not with every request");
}

#[test]
fn a_start_that_comes_back_is_a_sign_of_two() {
    let (_folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut connection = device.connect(&site).unwrap();
    let mut sequence = 0;
    let mut tell = |id: &str, uptime_ms: u64, agent: &str| {
        sequence += 1;
        let mut request = poll(sequence);
        let long = |text: &str| text.repeat(16);
        request["boot"] = json!({"id": long(id), "uptime_ms": uptime_ms, "agent": long(agent)});
        assert_eq!(connection.tell("POST", "/v1/poll", &request).unwrap().status, 200);
        signs(&site, "d-1")
    };
    assert_eq!(tell("a", 1000, "1"), Vec::<String>::new());
    assert_eq!(tell("a", 2000, "2"), Vec::<String>::new(), "the agent started again");
    assert_eq!(tell("b", 100, "3"), Vec::<String>::new(), "the machine started again");
    assert_eq!(tell("a", 3000, "2"), ["boot-id-reused", "two-live"]);
    assert_eq!(tell("a", 10, "4"), ["boot-id-reused", "two-live", "uptime-fell"]);
}

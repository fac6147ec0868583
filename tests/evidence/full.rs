//! Full disks: on the device what has no room is said and the rest of the bundle is there; on the
//! server nothing half kept counts, and the bundle arrives once there is room.

use std::process::Command;
use std::time::Duration;

use lazaret_tests::programs::{Programs, arg};
use lazaret_tests::site::Site;
use lazaret_tests::wait;

use crate::disk::Small;
use crate::link::{bundle, collected, device_with, received};
use crate::put;

#[test]
fn a_device_whose_disk_has_little_room_says_what_it_left_out_and_sends_the_rest() {
    let (folder, site) = Site::running().unwrap();
    let mut device = device_with(&site, 6 << 20, None);
    let small = device.folder.join("small");
    let _disk = Small::mounted(&small, 4);
    let state = device.folder.join("state/.");
    let copied = Command::new("cp").arg("-a").arg(state).arg(&small).status();
    assert!(copied.unwrap().success());
    let settings = device.folder.join("agent.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let text = text.replace("state_dir = \"state\"", "state_dir = \"small\"");
    put(&settings, format!("forensic_log_bytes_max = 1048576\n{text}"));
    device.start().unwrap();
    let id = collected(&site);
    received(&site, &id);
    let file = arg(&folder.path().join("pulled.age"));
    site.lazaret(&["evidence", "pull", "d-1", "--bundle", &id, "--out", &file]).unwrap();
    let ca = arg(&site.keys().join("ca").join("device-ca.pem"));
    let secret = arg(&site.keys().join("responders").join("responder-1.age"));
    let verify = ["evidence", "verify", &file, "--device-ca", &ca, "--identity", &secret];
    let verdict = site.lazaret(&verify).unwrap();
    assert_eq!(verdict["ok"], true, "what is there is whole: {verdict:#}");
    let artifacts = verdict["artifacts"].as_array().unwrap();
    let named = |name: &str| artifacts.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(named("files.txt")["status"], "collected");
    let left_out = named("changed-files.tar");
    assert_eq!(left_out["status"], "partial");
    let why = left_out["reason"].as_str().unwrap();
    assert!(why.contains("1 files have no room: the disk has room for"), "{why}");
}

#[test]
fn a_server_whose_disk_is_full_keeps_no_half_bundle_and_has_it_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("site");
    let mut site = Site::found(Programs::beside_this_one().unwrap(), &at).unwrap();
    let disk = Small::mounted(&site.folder.join("data"), 24);
    site.init().unwrap();
    site.start_server().unwrap();
    let mut device = device_with(&site, 30 << 20, None);
    device.start().unwrap();
    let id = collected(&site);
    wait::until("the device to be told", Duration::from_secs(60), || {
        let log = std::fs::read_to_string(device.folder.join("agent.log"))?;
        Ok(log.contains("the server's disk is full").then_some(()))
    })
    .unwrap();
    let half = bundle(&site, &id).unwrap();
    assert_eq!((half["state"].as_str(), half["length"].as_u64()), (Some("ordered"), Some(0)));
    disk.grow(160);
    assert!(received(&site, &id) > 30 << 20);
}

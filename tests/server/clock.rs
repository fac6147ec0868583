//! Devices whose clocks stand at 1970 or at 2106, as they do without a battery: the real agent
//! under `faketime`. Authenticated time is what it goes by, so it enrols, polls and updates all the
//! same, and nothing of a wrong clock stays behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lazaret_tests::programs::Programs;
use lazaret_tests::site::release::Wanted;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::Value;

/// Longest wait for a device: seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(90);

const YEAR_1970: &str = "@1970-01-01 00:00:10";
const YEAR_2106: &str = "@2106-02-07 06:28:10";

#[test]
fn devices_in_1970_and_in_2106_enrol_and_update_and_keep_nothing_of_it() {
    // Else a dead battery strands a device, or one wrong moment does for ever.
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    site.init().unwrap();
    site.start_server().unwrap();
    let shim = shim();
    let mut early = site.provision("d-early").unwrap();
    let mut late = site.provision("d-late").unwrap();
    start_in(&mut early, &shim, YEAR_1970);
    start_in(&mut late, &shim, YEAR_2106);
    for device in [&early, &late] {
        until(&site, device, "polls", |view| view["polls"].as_u64() > Some(0));
        wait::until("the device to notice its clock", PATIENCE, || {
            let log = device.forensic_lines()?.join("\n");
            // Before anything signed is known, the server's word is as doubtful as the clock.
            let noticed = log.contains("clock-step") || log.contains("clock-doubted");
            Ok(noticed.then_some(()))
        })
        .unwrap();
    }
    update(&site, "1.0", 1, [&early, &late]);

    // From one end of time to the other, and from the end of time to the present.
    early.kill().unwrap();
    late.kill().unwrap();
    start_in(&mut early, &shim, YEAR_2106);
    late.start().unwrap();
    update(&site, "2.0", 2, [&early, &late]);

    late.kill().unwrap();
    early.kill().unwrap();
    start_in(&mut late, &shim, YEAR_1970);
    early.start().unwrap();
    update(&site, "3.0", 3, [&early, &late]);
}

/// The library that lies about the time. `faketime` itself says where it is.
fn shim() -> String {
    let said = Command::new("faketime")
        .args(["-m", "2030-01-01", "printenv", "LD_PRELOAD"])
        .output()
        .expect("this test needs faketime");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn start_in(device: &mut Device, shim: &str, moment: &str) {
    let variables = [
        ("LD_PRELOAD", shim),
        ("FAKETIME", moment),
        ("TZ", "UTC"),
        // Only the clock on the wall is wrong: the monotonic one starts anew with every power on.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    device.start_under(&variables).unwrap();
}

fn update(site: &Site, version: &str, counter: u64, devices: [&Device; 2]) {
    let image = image(site, version);
    site.release(Wanted { version, counter, floor: counter - 1, image: &image, schedule: None })
        .unwrap();
    let rollout = site.roll_out(version, "1000", 20).unwrap();
    wait::until(&format!("the rollout of {version} to finish"), PATIENCE, || {
        let view = site.rollout(&rollout)?;
        assert_ne!(view["state"], "halted", "{view}\n{}", logs(devices));
        Ok((view["state"] == "finished").then_some(()))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", logs(devices)));
    for device in devices {
        let runs = std::fs::read(device.running_image()).unwrap();
        assert!(runs == std::fs::read(&image).unwrap(), "{} does not run {version}", device.id);
    }
}

fn logs(devices: [&Device; 2]) -> String {
    devices.map(|device| device.log_tail().unwrap_or_default()).join("\n---\n")
}

fn until(site: &Site, device: &Device, what: &str, is_so: impl Fn(&Value) -> bool) {
    wait::until(&format!("{} {what}", device.id), PATIENCE, || {
        // Until it has enrolled the server knows no such device.
        let Ok(view) = site.lazaret(&["device", "show", &device.id]) else { return Ok(None) };
        Ok(is_so(&view).then_some(()))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", device.log_tail().unwrap_or_default()));
}

/// A small image.
fn image(site: &Site, version: &str) -> PathBuf {
    use std::io::Write as _;
    let path: &Path = &site.folder.join(format!("image-{version}"));
    std::fs::File::create(path).unwrap().write_all(version.repeat(50_000).as_bytes()).unwrap();
    path.to_owned()
}

//! Hostile public mirrors against the real agent: each device has one of its own as its first
//! mirror, in plain HTTP, and the server behind it. Every lie is in the device's log under its
//! name, and the update goes through all the same, from the honest source.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_tests::fleet::{Fleet, For, Release};
use lazaret_tests::mirror::{Answer, ENDLESS_BYTES, Lie, Mirror};
use lazaret_tests::programs::arg;
use lazaret_tests::site::MODEL;
use lazaret_tests::wait;

const IMAGE_BYTES: usize = 300 * 1024;

/// Longest wait for a line that was written before the update ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lie about the image, and its name in the forensic log; none where it is no more than a link
/// that breaks.
struct Attack {
    device: &'static str,
    answer: Answer,
    logged: Option<&'static str>,
}

fn attacks(changed: Vec<u8>, port: u16) -> Vec<Attack> {
    let attack = |device, answer, logged| Attack { device, answer, logged };
    let range = |range: &str| Answer::UnderRange(range.to_owned());
    let elsewhere = format!("http://127.0.0.1:{port}/repo/metadata/timestamp.json");
    vec![
        attack("endless", Answer::Endless, Some("download-too-long")),
        attack("slow", Answer::Trickling, Some("download-too-slow")),
        attack("wrong-range", range("bytes 17-20/999999"), Some("download-wrong-total")),
        attack("wrong-start", range("bytes 17-20/*"), Some("download-wrong-range")),
        attack("redirect", Answer::Redirected(elsewhere), Some("download-redirected")),
        attack("wrong-bytes", Answer::Bytes(changed), Some("tuf-mix-and-match")),
        attack("absent", Answer::Missing, None),
        attack("cut", Answer::CutAfter(100_000), None),
    ]
}

#[test]
fn every_lie_of_a_mirror_is_named_and_the_update_comes_from_elsewhere() -> anyhow::Result<()> {
    // If this failed, whoever runs a mirror, or sits on the way to one, could keep devices on old
    // software or fill their disks.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    let image = std::fs::read(fleet.image(Release(2))?)?;
    let changed: Vec<u8> =
        image.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 1000)).collect();
    let ids: Vec<&str> = attacks(Vec::new(), 0).iter().map(|attack| attack.device).collect();
    for id in ids.iter().chain(&["stale"]) {
        fleet.add(id)?;
    }
    fleet.install_first()?;
    let before = fleet.site.folder.join("before");
    let out = arg(&before);
    fleet.site.lazaret(&["release", "fetch-metadata", "--model", MODEL, "--out", &out])?;
    let mut mirrors = Vec::new();
    for device in &mut fleet.devices {
        device.kill()?;
        device.set("timeout_read_ms = 1000")?;
        device.set("download_bytes_per_second_min = 1000")?;
        mirrors.push(Mirror::public(&fleet.site, device)?);
    }
    let port = mirrors.first().context("a mirror")?.port();
    let attacks = attacks(changed, port);
    for (attack, mirror) in attacks.iter().zip(&mirrors) {
        let lie = |part: &str, answer: Answer| Lie { part: part.to_owned(), answer };
        let no_delta = lie("from-1.0.delta", Answer::Missing);
        mirror.lie(vec![lie(".image", attack.answer.clone()), no_delta]);
    }
    let stale = mirrors.last().context("a mirror")?;
    let old = std::fs::read(before.join("timestamp.json"))?;
    stale.lie(vec![Lie { part: "/timestamp.json".into(), answer: Answer::Bytes(old) }]);
    fleet.publish(Release(2))?;
    for device in &mut fleet.devices {
        device.start()?;
    }
    let rollout = fleet.roll_out(Release(2), For::All)?;
    fleet.ended(&rollout, "finished")?;
    fleet.run(Release(2))?;
    for (attack, mirror) in attacks.iter().zip(&mirrors) {
        let device = fleet.devices.iter().find(|device| device.id == attack.device);
        let device = device.with_context(|| format!("no device {}", attack.device))?;
        ensure!(mirror.told(".image") > 0, "{}: no lie was told", attack.device);
        let most = mirror.most_bytes(".image");
        ensure!(most < ENDLESS_BYTES / 4, "{}: it took {most} bytes", attack.device);
        let Some(logged) = attack.logged else { continue };
        wait::until(&format!("{} to be named {logged}", attack.device), PATIENCE, || {
            Ok(device.forensic_lines()?.iter().any(|line| line.contains(logged)).then_some(()))
        })?;
    }
    // One that is behind is no alarm while another is not.
    let behind = fleet.devices.last().context("a device")?;
    ensure!(stale.told("/timestamp.json") > 0, "the stale mirror was never asked");
    let alarmed = behind.forensic_lines()?.iter().any(|line| line.contains("\"alarm\""));
    ensure!(!alarmed, "a stale mirror beside a fresh one became an alarm");
    for device in &mut fleet.devices {
        device.kill()?;
        device.verified_log()?;
    }
    Ok(())
}

//! The story of the demo: a ceremony, a server, five devices, three releases, one of them bad, one
//! quarantine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_tests::image::{self, Recipe};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::release::Wanted;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::Value;

use crate::report::{Report, percent};

const DEVICES: usize = 5;

/// Size of the images that are built from real files, in bytes.
const IMAGE_BYTES: u64 = 32 * 1024 * 1024;

/// Longest that any one thing is waited for: minutes on a loaded machine, seconds on a quiet one.
const PATIENCE: Duration = Duration::from_secs(240);

struct Images {
    first: PathBuf,
    second: PathBuf,
    broken: PathBuf,
}

/// Tells it.
///
/// # Errors
/// The first step that is not as it should be.
pub(crate) fn tell(
    report: &mut Report,
    given: Option<(PathBuf, PathBuf)>,
    keep: bool,
) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("lazaret-demo-").tempdir()?;
    report.say(&format!("everything happens in {}", folder.path().display()));
    let images = prepare(report, given, folder.path())?;
    let mut site = ceremony(report, folder.path())?;
    server(report, &mut site)?;
    let mut devices = enrol(report, &site)?;
    first_release(report, &site, &images, &devices)?;
    second_release(report, &site, &images, &devices)?;
    bad_release(report, &site, &images, &devices)?;
    contain(report, &site, &devices)?;
    if keep {
        site.leave_running();
        devices.iter_mut().for_each(Device::leave_running);
        look_around(report, &site, &folder.keep());
    }
    Ok(())
}

fn prepare(
    report: &mut Report,
    given: Option<(PathBuf, PathBuf)>,
    folder: &Path,
) -> anyhow::Result<Images> {
    let mut step = report.begin("images", "Two images, and one that does not come up");
    let broken = folder.join("image-3-broken");
    let (first, second) = if let Some((first, second)) = given {
        (first, second)
    } else {
        let files = image::real_files(IMAGE_BYTES)?;
        let paths = (folder.join("image-1"), folder.join("image-2"));
        image::write(&paths.0, &files, Recipe { version: "1.0", changed_every: 0 })?;
        image::write(&paths.1, &files, Recipe { version: "2.0", changed_every: 9 })?;
        report.say(&format!("   {} real files of this machine, every 9th changed", files.len()));
        paths
    };
    image::write_broken(&second, &broken)?;
    for (name, path) in [("first_bytes", &first), ("second_bytes", &second)] {
        let length = std::fs::metadata(path)
            .with_context(|| format!("{} cannot be read", path.display()))?
            .len();
        step.figure(name, length);
    }
    report.end(step);
    Ok(Images { first, second, broken })
}

fn ceremony(report: &mut Report, folder: &Path) -> anyhow::Result<Site> {
    let words = "A key ceremony: root, targets and releases each 2 of 3 holders, and a CA";
    let mut step = report.begin("ceremony", words);
    let site = Site::found(Programs::beside_this_one()?, &folder.join("site"))?;
    step.figure("holders", 3);
    step.figure("threshold", 2);
    report.say("   the server gets its online keys and nothing that could sign an image");
    report.end(step);
    Ok(site)
}

fn server(report: &mut Report, site: &mut Site) -> anyhow::Result<()> {
    let step = report.begin("server", "The server takes the signed repository in, and starts");
    site.init()?;
    site.start_server()?;
    report.say(&format!(
        "   devices on port {}, operators on port {}, TLS 1.3 with client certificates",
        site.device_port, site.operator_port
    ));
    report.end(step);
    Ok(())
}

fn enrol(report: &mut Report, site: &Site) -> anyhow::Result<Vec<Device>> {
    let words = "Five devices make their own keys and enrol, each with a claim that works once";
    let mut step = report.begin("enrol", words);
    let mut devices = Vec::new();
    for number in 1..=DEVICES {
        let mut device = site.provision(&format!("d-{number}"))?;
        device.start()?;
        devices.push(device);
    }
    for device in &devices {
        seen(site, device, "to poll", |view| view.get("polls").and_then(Value::as_u64) > Some(0))?;
    }
    step.figure("devices", DEVICES);
    report.end(step);
    Ok(devices)
}

fn first_release(
    report: &mut Report,
    site: &Site,
    images: &Images,
    devices: &[Device],
) -> anyhow::Result<()> {
    let words =
        "Release 1.0: uploaded, signed by two holders from their own copies, rolled out to all";
    let mut step = report.begin("release-1", words);
    let wanted =
        Wanted { version: "1.0", counter: 1, floor: 0, image: &images.first, schedule: None };
    site.release(wanted)?;
    let rollout = site.roll_out("1.0", "1000", 20)?;
    ended(site, &rollout, "finished", devices)?;
    let sent = fetched(site, &rollout)?;
    let length = std::fs::metadata(&images.first)?.len() * devices.len() as u64;
    step.figure("bytes_sent", sent);
    step.figure("percent_of_images", percent(sent, length));
    run_image(devices, &images.first)?;
    report.say(&format!(
        "   {sent} bytes to {} devices, each proved the new image healthy",
        devices.len()
    ));
    report.end(step);
    Ok(())
}

fn second_release(
    report: &mut Report,
    site: &Site,
    images: &Images,
    devices: &[Device],
) -> anyhow::Result<()> {
    let words = "Release 2.0 as a delta, in two groups: first one device, then the others";
    let mut step = report.begin("release-2", words);
    let wanted =
        Wanted { version: "2.0", counter: 2, floor: 1, image: &images.second, schedule: None };
    let uploaded = site.release(wanted)?;
    let delta = uploaded.pointer("/deltas/0/length").and_then(Value::as_u64);
    let image = std::fs::metadata(&images.second)?.len();
    let rollout = site.roll_out("2.0", "200,800", 20)?;
    ended(site, &rollout, "finished", devices)?;
    let sent = fetched(site, &rollout)?;
    let all = image * devices.len() as u64;
    step.figure("image_bytes", image);
    step.figure("delta_bytes", delta);
    step.figure("bytes_sent", sent);
    step.figure("percent_of_images", percent(sent, all));
    run_image(devices, &images.second)?;
    match delta {
        Some(delta) => {
            report.say(&format!(
                "   a delta of {delta} bytes instead of {image}: {sent} bytes sent, {} % of full \
                 images",
                percent(sent, all)
            ));
            ensure!(sent < all, "expected deltas to be used, {sent} of {all} bytes were sent");
        }
        None if sent == 0 => report.say("   it is the image that runs already: nothing was sent"),
        None => report.say("   the images differ too much for a delta, devices took the image"),
    }
    report.end(step);
    Ok(())
}

fn bad_release(
    report: &mut Report,
    site: &Site,
    images: &Images,
    devices: &[Device],
) -> anyhow::Result<()> {
    let words =
        "Release 3.0 does not come up: the first device rolls back by itself, the rollout halts";
    let mut step = report.begin("bad-release", words);
    let wanted =
        Wanted { version: "3.0", counter: 3, floor: 1, image: &images.broken, schedule: None };
    site.release(wanted)?;
    let rollout = site.roll_out("3.0", "200,800", 20)?;
    let view = ended(site, &rollout, "halted", devices)?;
    let count = |name: &str| {
        let groups = view.get("groups").and_then(Value::as_array);
        groups.into_iter().flatten().filter_map(|g| g.get(name)?.as_u64()).sum::<u64>()
    };
    let (failed, waiting) = (count("failed"), count("waiting"));
    ensure!(failed == 1, "expected one device to have failed, {failed} did: {view}");
    ensure!(waiting == 4, "expected four devices never to be offered it, it was {waiting}: {view}");
    run_image(devices, &images.second)?;
    step.figure("failed", failed);
    step.figure("never_offered", waiting);
    let reason = view.get("halt_reason").and_then(Value::as_str).unwrap_or_default();
    report.say(&format!("   halted: {reason}; all five run 2.0"));
    report.end(step);
    Ok(())
}

fn contain(report: &mut Report, site: &Site, devices: &[Device]) -> anyhow::Result<()> {
    let words = "One device is put in quarantine, and its evidence pulled and verified";
    let mut step = report.begin("quarantine", words);
    let device = devices.get(2).context("no third device")?;
    site.lazaret(&["device", "quarantine", &device.id, "--reason", "demo: suspicious process"])?;
    seen(site, device, "to confirm its quarantine", |view| {
        view.get("quarantine_confirmed").and_then(Value::as_bool) == Some(true)
    })?;
    let confirmed = step.seconds();
    step.figure("confirmed_seconds", (confirmed * 10.0).round() / 10.0);
    report.say(&format!("   the device itself confirmed it after {confirmed:.1} s"));
    let bundle = site.folder.join("bundle.tar.zst.age");
    let out = arg(&bundle);
    site.lazaret(&["evidence", "pull", &device.id, "--reason", "demo", "--out", &out])?;
    let ca = arg(&site.keys().join("ca").join("device-ca.pem"));
    let secret = arg(&site.keys().join("responders").join("responder-1.age"));
    let verify = ["evidence", "verify", &out, "--device-ca", &ca, "--identity", &secret];
    site.lazaret(&verify)?;
    step.figure("bundle_bytes", std::fs::metadata(&bundle)?.len());
    report.say(
        "   a responder opens it, and it is whole: every hash, both logs, the device's signature",
    );
    let forged = forge(&bundle)?;
    let refused = programs::output(&mut site.cli(
        "ana",
        &["evidence", "verify", &arg(&forged), "--device-ca", &ca, "--identity", &secret],
    ))?;
    ensure!(!refused.status.success(), "a bundle with one changed byte was accepted");
    report.say("   with one byte changed it is refused");
    report.end(step);
    Ok(())
}

/// A copy of the bundle with one byte changed in its midst.
fn forge(bundle: &Path) -> anyhow::Result<PathBuf> {
    let mut bytes = std::fs::read(bundle)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    let forged = bundle.with_extension("forged");
    std::io::Write::write_all(&mut std::fs::File::create(&forged)?, &bytes)?;
    Ok(forged)
}

fn seen(
    site: &Site,
    device: &Device,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let what = format!("{} {what}", device.id);
    let found = wait::until(&what, PATIENCE, || {
        // Until it has enrolled the server knows no such device.
        let Ok(view) = site.lazaret(&["device", "show", &device.id]) else { return Ok(None) };
        Ok(is_so(&view).then_some(()))
    });
    found.with_context(|| {
        format!("the agent's log ends:\n{}", device.log_tail().unwrap_or_default())
    })
}

fn ended(site: &Site, rollout: &str, state: &str, devices: &[Device]) -> anyhow::Result<Value> {
    let found = wait::until(&format!("rollout {rollout} to be {state}"), PATIENCE, || {
        let view = site.rollout(rollout)?;
        let is = view.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
        let over = is == "finished" || is == "halted";
        ensure!(!over || is == state, "expected the rollout to be {state}, it is {is}: {view}");
        Ok(over.then_some(view))
    });
    found.with_context(|| {
        let logs =
            devices.iter().map(|d| format!("{}:\n{}", d.id, d.log_tail().unwrap_or_default()));
        logs.collect::<Vec<_>>().join("\n")
    })
}

/// Bytes that devices say they fetched for a rollout.
fn fetched(site: &Site, rollout: &str) -> anyhow::Result<u64> {
    let events = site.events()?;
    let ended = events.iter().filter_map(|event| event.get("event"));
    let ended = ended.filter(|fact| fact.get("rollout").and_then(Value::as_str) == Some(rollout));
    Ok(ended.filter_map(|fact| fact.get("bytes_fetched")?.as_u64()).sum())
}

/// Every device runs exactly this image.
fn run_image(devices: &[Device], image: &Path) -> anyhow::Result<()> {
    let wanted = std::fs::read(image)?;
    for device in devices {
        let path = device.running_image();
        let runs =
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        ensure!(runs == wanted, "{} does not run {}", device.id, image.display());
    }
    Ok(())
}

fn look_around(report: &Report, site: &Site, folder: &Path) {
    let cli = site.programs.path("lazaret");
    let settings = site.folder.join("cli.toml");
    report.say(&format!(
        "\neverything keeps running in {0}. Look around:\n  \
         alias lazaret='{1} --config {2}'\n  \
         lazaret device list\n  lazaret rollout list\n  lazaret events\n  \
         tail -f {0}/site/server.log\n\
         and end it with: pkill -f {0}",
        folder.display(),
        cli.display(),
        settings.display()
    ));
}

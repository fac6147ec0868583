//! The story of an update in small: how the image travels, what happens where it cannot, and that
//! the operator's counts add up to the devices.

use anyhow::{Context as _, ensure};
use lazaret_tests::fleet::{self, Fleet, For, PATIENCE, Release};
use lazaret_tests::programs::{self, arg};
use lazaret_tests::wait;
use serde_json::Value;

const IMAGE_BYTES: usize = 400 * 1024;

/// All counts that a device can be in.
const COUNTS: [&str; 6] = ["waiting", "offered", "done", "failed", "refused", "expired"];

#[test]
fn a_delta_carries_the_update_and_a_base_that_was_tampered_with_makes_it_the_full_image()
-> anyhow::Result<()> {
    // If this failed, every update would cost a full image, or a device whose image was changed on
    // disk would install garbage or never update again.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    for id in ["d-whole", "d-tampered"] {
        fleet.add(id)?;
    }
    fleet.install_first()?;
    tamper(&fleet, "d-tampered")?;
    let uploaded = fleet.publish(Release(2))?;
    let delta = uploaded.pointer("/deltas/0/length").and_then(Value::as_u64).context("no delta")?;
    let full = std::fs::metadata(fleet.image(Release(2))?)?.len();
    ensure!(delta < full / 2, "expected a delta well below {full} bytes, it has {delta}");

    let rollout = fleet.roll_out(Release(2), For::All)?;
    let view = fleet.ended(&rollout, "finished")?;
    ensure!(fleet::count(&view, "done") == 2, "expected both to be done: {view}");
    fleet.run(Release(2))?;
    let ends = fleet.order_ends(&rollout)?;
    let fetched = |id: &str| ends.iter().find(|e| e.device == id).map(|e| e.bytes_fetched);
    let whole = fetched("d-whole").context("no report of d-whole")?;
    let tampered = fetched("d-tampered").context("no report of d-tampered")?;
    ensure!(whole <= delta, "expected at most the delta's {delta} bytes, {whole} were fetched");
    ensure!(tampered >= full, "expected the full {full} bytes, {tampered} were fetched");
    ensure!(logged(&fleet, "d-tampered", "delta-doubted")?, "the doubt is not in the log");
    ensure!(!logged(&fleet, "d-whole", "delta-doubted")?, "a good delta was doubted");
    Ok(())
}

#[test]
fn a_halted_rollout_takes_its_offers_back_and_its_counts_add_up() -> anyhow::Result<()> {
    // If this failed, a halt would be a wish: a device that was away would install the release that
    // was stopped as soon as it comes back.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    for id in ["d-1", "d-2", "d-3"] {
        fleet.add(id)?;
    }
    fleet.install_first()?;
    fleet.publish(Release(2))?;
    // One has it already when the rollout to all begins, one is away.
    let first = fleet.roll_out(Release(2), For::These(&["d-1".into()]))?;
    fleet.ended(&first, "finished")?;
    device(&mut fleet, "d-3")?.kill()?;
    let rollout = fleet.roll_out(Release(2), For::All)?;
    wait::until("the two that are there to be done", PATIENCE, || {
        let view = fleet.site.rollout(&rollout)?;
        adds_up(&view, 3)?;
        Ok((fleet::count(&view, "done") == 2).then_some(()))
    })?;
    let running = fleet.events_of("already-running", "d-1")?;
    ensure!(running == 1, "expected d-1 to count as running it already once, it did {running}");
    ensure!(fleet.order_ends(&rollout)?.len() == 1, "d-1 was ordered what it runs already");

    fleet.site.lazaret(&["rollout", "halt", &rollout, "--reason", "harness"])?;
    let polls = polls(&fleet, "d-3")?;
    device(&mut fleet, "d-3")?.start()?;
    // It is not told of the release on its next polls.
    wait::until("d-3 to poll again", PATIENCE, || {
        Ok((self::polls(&fleet, "d-3")? >= polls + 3).then_some(()))
    })?;
    let view = fleet.site.rollout(&rollout)?;
    ensure!(fleet::is(&view, "state", "halted"), "expected it to be halted: {view}");
    ensure!(fleet::count(&view, "waiting") == 1, "expected one that never was offered: {view}");
    adds_up(&view, 3)?;
    let third = device(&mut fleet, "d-3")?.id.clone();
    let runs = fleet.devices.iter().find(|d| d.id == third).context("no d-3")?;
    ensure!(runs.runs(fleet.image(Release(1))?)?, "d-3 does not run 1.0 any more");
    Ok(())
}

#[test]
fn an_offer_that_was_taken_is_taken_back_by_a_halt() -> anyhow::Result<()> {
    // If this failed, a device in the middle of a download would finish and boot the image that its
    // operators have just stopped.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    fleet.add("d-1")?;
    fleet.install_first()?;
    fleet.publish(Release(2))?;
    let d1 = device(&mut fleet, "d-1")?;
    d1.kill()?;
    // The power goes as soon as the order is accepted, and stays away until the halt.
    d1.start_with(&["--danger-crash-at", "after-journal-accepted"])?;
    let rollout = fleet.roll_out(Release(2), For::All)?;
    let mut d1 = fleet.devices.pop().context("no d-1")?;
    wait::until("d-1 to have accepted the order", PATIENCE, || d1.ended())?;
    fleet.site.lazaret(&["rollout", "halt", &rollout, "--reason", "harness"])?;
    // No server, no metadata: it must not begin before it could hear of the halt.
    d1.start()?;
    fleet.devices.push(d1);
    let ends = wait::until("the order to end", PATIENCE, || {
        let ends = fleet.order_ends(&rollout)?;
        Ok((!ends.is_empty()).then_some(ends))
    })
    .with_context(|| fleet.logs())?;
    let codes: Vec<_> = ends.iter().map(|e| (e.outcome.as_str(), e.code.as_str())).collect();
    ensure!(codes == [("refused", "halted")], "expected it to be taken back, it was {codes:?}");
    fleet.run(Release(1))?;
    let view = fleet.site.rollout(&rollout)?;
    adds_up(&view, 1)
}

#[test]
fn a_claim_that_was_used_is_refused_and_the_attempt_is_recorded() -> anyhow::Result<()> {
    // If this failed, whoever finds a used claim on a device's disk could enrol as that device.
    let mut fleet = Fleet::found(16 * 1024)?;
    fleet.add("d-1")?;
    device(&mut fleet, "d-1")?.start()?;
    fleet.enrolled()?;
    // A thief copies settings and claim to a machine of their own, with a key of its own.
    let d1 = device(&mut fleet, "d-1")?.folder.clone();
    let thief = fleet.folder().join("thief");
    std::fs::create_dir_all(&thief)?;
    for file in ["agent.toml", "claim"] {
        std::fs::copy(d1.join(file), thief.join(file))?;
    }
    let mut agent = fleet.site.programs.command("lazaret-agent");
    agent.arg("provision").arg("--config").arg(thief.join("agent.toml"));
    ensure!(programs::output(&mut agent)?.status.success(), "the thief's state was not made");
    let log = thief.join("agent.log");
    let mut agent = fleet.site.programs.command("lazaret-agent");
    agent.args(["run", "--config", &arg(&thief.join("agent.toml"))]);
    agent.stderr(std::fs::File::create(&log)?);
    let mut running = agent.spawn()?;
    let recorded = wait::until("the attempt to be recorded", PATIENCE, || {
        Ok((fleet.events_of("claim-reused", "d-1")? > 0).then_some(()))
    });
    let said = wait::until("the thief to be told", PATIENCE, || {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.contains("claim-used").then_some(()))
    });
    running.kill()?;
    running.wait()?;
    recorded.and(said)?;
    let certificate = thief.join("state").join("identity").join("certificate.json");
    ensure!(!certificate.exists(), "the thief got a certificate");
    Ok(())
}

#[test]
fn a_release_whose_signed_schedule_lies_ahead_is_not_offered() -> anyhow::Result<()> {
    // If this failed, whoever holds the server could roll a release out faster than its signers
    // allowed. That a device refuses by itself is tested in `agent/core`.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    fleet.add("d-1")?;
    fleet.install_first()?;
    fleet.publish_from(Release(2), Some("1000@2099-01-01T00:00:00Z"))?;
    let rollout = fleet.roll_out(Release(2), For::All)?;
    let before = polls(&fleet, "d-1")?;
    wait::until("three more polls", PATIENCE, || {
        Ok((polls(&fleet, "d-1")? >= before + 3).then_some(()))
    })?;
    let view = fleet.site.rollout(&rollout)?;
    ensure!(fleet::count(&view, "waiting") == 1, "expected it to wait: {view}");
    ensure!(fleet.events_of("ordered", "d-1")? == 1, "more was ordered than 1.0");
    fleet.run(Release(1))
}

/// One changed byte in the image that runs, as bad storage or an intruder would leave it.
fn tamper(fleet: &Fleet, id: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let device = fleet.devices.iter().find(|d| d.id == id).context("no such device")?;
    let file = std::fs::File::options().read(true).write(true).open(device.running_image())?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 12_345)?;
    file.write_all_at(&[byte.first().copied().unwrap_or_default() ^ 1], 12_345)?;
    Ok(())
}

fn logged(fleet: &Fleet, id: &str, kind: &str) -> anyhow::Result<bool> {
    let device = fleet.devices.iter().find(|d| d.id == id).context("no such device")?;
    let lines = device.forensic_lines()?;
    Ok(lines.iter().any(|line| line.contains(&format!("\"{kind}\""))))
}

fn polls(fleet: &Fleet, id: &str) -> anyhow::Result<u64> {
    let view = fleet.site.lazaret(&["device", "show", id])?;
    view.get("polls").and_then(Value::as_u64).with_context(|| format!("no polls in {view}"))
}

fn device<'a>(
    fleet: &'a mut Fleet,
    id: &str,
) -> anyhow::Result<&'a mut lazaret_tests::site::Device> {
    fleet.devices.iter_mut().find(|d| d.id == id).context("no such device")
}

fn adds_up(view: &Value, devices: u64) -> anyhow::Result<()> {
    let sum: u64 = COUNTS.iter().map(|name| fleet::count(view, name)).sum();
    let total = fleet::count(view, "total");
    ensure!(sum == devices && total == devices, "expected {devices} devices: {view}");
    Ok(())
}

#[test]
fn a_running_agent_listens_on_no_network_and_says_at_its_socket_where_it_stands()
-> anyhow::Result<()> {
    // If this failed, a device would have a door to the network that nobody needs, or a program
    // beside the agent would have to read the agent's own files to know what it does.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    fleet.add("d-1")?;
    let device = device(&mut fleet, "d-1")?;
    let socket = device.folder.join("status.sock");
    device.set(&format!("status_socket = {:?}", arg(&socket)))?;
    fleet.install_first()?;
    let device = fleet.devices.first().context("no device")?;
    // Whoever has no journal to read has the agent's word.
    let settings = std::fs::read_to_string(device.folder.join("agent.toml"))?;
    let settings = settings.replace("state_dir = \"state\"", "state_dir = \"nowhere\"");
    let elsewhere = device.folder.join("elsewhere.toml");
    std::io::Write::write_all(&mut std::fs::File::create(&elsewhere)?, settings.as_bytes())?;
    let mut ask = fleet.site.programs.command("lazaret-agent");
    ask.args(["status", "--json", "--config"]).arg(&elsewhere);
    wait::until("the agent to say what runs", PATIENCE, || {
        let status = programs::json(&mut ask)?;
        let running = status.pointer("/running/version").and_then(Value::as_str);
        Ok((running == Some("1.0")).then_some(()))
    })?;
    let process = device.pid().context("no agent")?;
    let heard = listening(process)?;
    ensure!(heard.is_empty(), "the agent listens: {heard:?}");
    Ok(())
}

/// The lines of the kernel's tables of sockets that belong to a process and wait for a peer: TCP
/// that listens, and UDP of any kind but connected.
fn listening(process: u32) -> anyhow::Result<Vec<String>> {
    let mut own = Vec::new();
    for file in std::fs::read_dir(format!("/proc/{process}/fd"))? {
        let Ok(link) = std::fs::read_link(file?.path()) else { continue };
        let link = link.to_string_lossy().into_owned();
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        own.extend(inode.map(str::to_owned));
    }
    ensure!(!own.is_empty(), "expected the agent to have a socket");
    let mut found = Vec::new();
    for (table, waits) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let text = std::fs::read_to_string(format!("/proc/{process}/net/{table}"))?;
        let ours = text.lines().skip(1).filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let state = fields.get(3) == Some(&waits);
            state && fields.get(9).is_some_and(|inode| own.iter().any(|one| one == inode))
        });
        found.extend(ours.map(str::to_owned));
    }
    Ok(found)
}

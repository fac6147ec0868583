//! `kill -9` of agents at moments that a seed chose, during one update. The environment says how
//! long to try: `LAZARET_KILL_ROUNDS` devices, each killed three times; `LAZARET_KILL_SEED` the
//! seed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lazaret_tests::fleet::{self, Fleet, For, PATIENCE, Release};
use lazaret_tests::wait;

/// Large enough for several durable steps of the staging.
const IMAGE_BYTES: usize = 600 * 1024;

/// Kills of one device.
const KILLS: usize = 3;

#[test]
fn agents_killed_at_any_moment_of_an_update_end_on_the_new_image_with_one_report()
-> anyhow::Result<()> {
    // If this failed, a power cut at an unlucky moment would leave a device without a runnable
    // image, on the wrong one, or counted twice or never.
    let (rounds, seed) = (setting("LAZARET_KILL_ROUNDS", 15)?, setting("LAZARET_KILL_SEED", 1)?);
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    for number in 1..=rounds {
        fleet.add(&format!("d-{number}"))?;
    }
    for device in &fleet.devices {
        device.set("stage_sync_bytes = 65536")?;
    }
    fleet.install_first()?;
    fleet.publish(Release(2))?;
    for device in &mut fleet.devices {
        device.kill()?;
    }
    let rollout = fleet.roll_out(Release(2), For::All)?;
    let hits = kill_at_random(&mut fleet, seed)?;
    ensure!(hits > 0, "no kill hit an update, so nothing was tested: seed {seed}");

    let view = fleet.ended(&rollout, "finished").with_context(|| format!("seed {seed}"))?;
    ensure!(fleet::count(&view, "done") == rounds, "expected {rounds} done, seed {seed}: {view}");
    fleet.run(Release(2))?;
    settled(&fleet)?;
    let ends = fleet.order_ends(&rollout)?;
    for device in &mut fleet.devices {
        let reports = ends.iter().filter(|end| end.device == device.id).count();
        ensure!(reports == 1, "{} has {reports} reports, seed {seed}", device.id);
        device.kill()?;
        device.verified_log()?;
    }
    Ok(())
}

/// Starts every agent and kills each at its moments; gives how many kills hit an update under way.
fn kill_at_random(fleet: &mut Fleet, seed: u64) -> anyhow::Result<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    };
    // An update takes one to a few seconds; what is left of it begins anew with each start.
    let span = 400 * u64::try_from(fleet.devices.len())?.max(4);
    let mut kills: Vec<(Duration, usize)> = Vec::new();
    for at in 0..fleet.devices.len() {
        kills.extend((0..KILLS).map(|_| (Duration::from_millis(100 + below(span)), at)));
    }
    kills.sort();
    for device in &mut fleet.devices {
        device.start()?;
    }
    let (begun, mut hits) = (Instant::now(), 0);
    for (moment, at) in kills {
        wait::moment(moment.saturating_sub(begun.elapsed()));
        let device = fleet.devices.get_mut(at).context("no such device")?;
        device.kill()?;
        let state = device.status()?;
        if !fleet::is(&state, "state", "idle") {
            hits += 1;
        }
        device.start()?;
    }
    Ok(hits)
}

/// Waits until no device has anything under way or to report.
fn settled(fleet: &Fleet) -> anyhow::Result<()> {
    for device in &fleet.devices {
        wait::until("everything to be reported", PATIENCE, || {
            Ok(device.is_settled()?.then_some(()))
        })?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long to try is not a setting of a program")]
fn setting(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}: expected a number")),
        Err(_) => Ok(default),
    }
}

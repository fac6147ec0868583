//! The store against `kill -9` and against power loss: what was acknowledged is there, nothing is
//! there in part, and it always opens. The environment says how long to try: `LAZARET_FAULT_ROUNDS`
//! the rounds of each test, `LAZARET_FAULT_SEED` the seed of the first, `LAZARET_FAULT_BATCHES` the
//! most batches of one life.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use check::{Acknowledged, Damage, check};
use dice::Dice;
use power::Unsynced;

mod check;
mod dice;
mod power;
mod workload;

/// Longest wait for the writer to open its store or to acknowledge a batch. A busy machine is slow;
/// a store that hangs is broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut acknowledged = Acknowledged::new();
    let mut total = 0;
    for seed in seeds(50) {
        total += live(&Life::plain(&store, "synced"), &mut acknowledged, &mut Dice::new(seed));
        acknowledged =
            check(&store, &acknowledged).unwrap_or_else(|damage| panic!("seed {seed}: {damage:?}"));
    }
    assert!(total > 0, "nothing was acknowledged, so nothing was tested");
}

#[test]
fn a_power_loss_takes_nothing_acknowledged() {
    for seed in seeds(25) {
        assert_eq!(powerless(seed, "synced", Unsynced::Lost), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_power_loss_that_keeps_unsynced_pages_by_chance_takes_nothing_acknowledged() {
    for seed in seeds(10) {
        assert_eq!(powerless(seed, "synced", Unsynced::Scattered), Ok(()), "seed {seed}");
    }
}

/// Shows that the test above can fail, and why the store does not rely on sled's own flush.
#[test]
fn without_our_own_sync_a_power_loss_takes_what_was_acknowledged() {
    let lost = |seed| powerless(seed, "danger-unsynced", Unsynced::Lost);
    let outcomes: Vec<_> = seeds(5).map(lost).collect();
    let losses = outcomes.iter().filter(|outcome| matches!(outcome, Err(Damage::Lost { .. })));
    assert!(losses.count() > 0, "expected acknowledged batches to be lost, got {outcomes:?}");
}

/// Two lives of a fresh store, each ended by a power loss, until one does damage.
fn powerless(seed: u64, sync: &'static str, unsynced: Unsynced) -> Result<(), Damage> {
    // The model needs no disk, and is faster in memory.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir = tempfile::tempdir_in(place).unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (world, shadow) = (root.join("world"), root.join("shadow"));
    let store = world.join("store");
    std::fs::create_dir(&world).unwrap();
    let mut dice = Dice::new(seed);
    let mut acknowledged = Acknowledged::new();
    for _ in 0..2 {
        let _first = std::fs::remove_dir_all(&shadow);
        std::fs::create_dir(&shadow).unwrap();
        power::settle(&world, &shadow);
        let life = Life { store: &store, sync, power: Some((&world, &shadow)) };
        live(&life, &mut acknowledged, &mut dice);
        power::lose(&world, &shadow, unsynced, &mut dice);
        acknowledged = check(&store, &acknowledged)?;
    }
    Ok(())
}

/// How a writer runs.
struct Life<'a> {
    store: &'a Path,
    sync: &'static str,
    /// The folder the shim watches and the one it keeps its shadow in.
    power: Option<(&'a Path, &'a Path)>,
}

impl<'a> Life<'a> {
    fn plain(store: &'a Path, sync: &'static str) -> Self {
        Self { store, sync, power: None }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_store-writer"));
        command.arg(self.store).arg(self.sync).stdout(Stdio::piped());
        if let Some((world, shadow)) = self.power {
            command.env("LD_PRELOAD", power::shim());
            command.env("POWERLOSS_WATCH", world).env("POWERLOSS_SHADOW", shadow);
        }
        command
    }
}

/// Lets a writer work and kills it at a moment of chance: in one life of eight while it opens, else
/// some acknowledgements and less than four milliseconds later. Returns how many there were.
fn live(life: &Life<'_>, acknowledged: &mut Acknowledged, dice: &mut Dice) -> u64 {
    let mut writer = life.command().spawn().unwrap();
    let (say, said) = mpsc::channel();
    let out = BufReader::new(writer.stdout.take().unwrap());
    let listener = std::thread::spawn(move || {
        for line in out.lines() {
            if say.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    let mut count = 0;
    if dice.below(8) == 0 {
        linger(&said, dice.below(40_000), |line| count += note(&line, acknowledged));
    } else {
        let wanted = 1 + dice.below(setting("LAZARET_FAULT_BATCHES").unwrap_or(100));
        while count < wanted {
            let line = said.recv_timeout(PATIENCE).expect("the writer stopped by itself");
            count += note(&line, acknowledged);
        }
        linger(&said, dice.below(4_000), |line| count += note(&line, acknowledged));
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    for line in said {
        count += note(&line, acknowledged);
    }
    listener.join().unwrap();
    count
}

/// Goes on listening for some microseconds.
fn linger(said: &Receiver<String>, micros: u64, mut hear: impl FnMut(String)) {
    let end = Instant::now() + Duration::from_micros(micros);
    while let Ok(line) = said.recv_timeout(end.saturating_duration_since(Instant::now())) {
        hear(line);
    }
}

/// Notes an acknowledgement, and returns how many it was.
fn note(line: &str, acknowledged: &mut Acknowledged) -> u64 {
    if line == workload::OPENED {
        return 0;
    }
    let (lane, number) = line.split_once(' ').expect("a lane and a number");
    let (lane, number) = (lane.parse().unwrap(), number.parse().unwrap());
    let before = acknowledged.insert(lane, number).unwrap_or(0);
    assert_eq!(number, before + 1, "lane {lane} does not count by one");
    1
}

fn seeds(smoke: u64) -> impl Iterator<Item = u64> {
    let first = setting("LAZARET_FAULT_SEED").unwrap_or(1);
    first..first + setting("LAZARET_FAULT_ROUNDS").unwrap_or(smoke)
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("expected a number in {name}, got {text:?}")))
}

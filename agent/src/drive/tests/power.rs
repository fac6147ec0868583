//! The disk under a whole update, every state that a crash could leave of it, and the proof that
//! these states would show a sync that is missing.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "all of this is a test")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use lazaret_agent_core::bootloader::Change;
use lazaret_agent_core::journal::Journal;
use lazaret_agent_core::record;
use lazaret_agent_core::slot::{Content, Release, Slot};
use lazaret_protocol::poll::LogRing;
use lazaret_protocol_evidence::device_log::recovery::recover;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::SignedNote;

use super::*;
use crate::durable::crash::{Crash, Found, Model, Recorder, Recording};
use crate::test_server::Witness;

/// States from which a whole agent is started, of each update.
const STARTED_MAX: usize = 60;

/// Agents that are started at the same time; they spend most of it waiting for their next poll.
const AT_ONCE: usize = 8;

/// What slot A and slot B hold before the update.
const OLD: [&[u8]; 2] = [b"the image that runs", b"the image before that, which was good as well"];

/// A device that runs an image in slot A, and has an earlier one in slot B.
fn with_history(probe: &'static str) -> World {
    let world = World::new(probe);
    let durable = Durable::default();
    let path = world.folder.path().join("state/journal");
    let (file, mut journal) = JournalFile::open(&durable, &path).unwrap();
    for ((slot, bytes), counter) in Slot::ALL.into_iter().zip(OLD).zip([4, 3]) {
        let slots = bootloader(&world.config(), &durable).unwrap();
        slots.open_for_writing(slot).unwrap().write_all_at(bytes, 0).unwrap();
        let (version, length) = (format!("v{counter}").parse().unwrap(), bytes.len());
        let (sha256, length) = (Sha256Digest::of(bytes), u64::try_from(length).unwrap());
        let release = Release { version, counter, sha256, length };
        journal.slots.set(slot, Content::Holds(release));
    }
    for slot in [Slot::B, Slot::A] {
        let mut slots = bootloader(&world.config(), &durable).unwrap();
        slots.plan(Change::Keep(slot)).unwrap();
        slots.commit().unwrap();
    }
    journal.generation = 1;
    file.write(&journal).unwrap();
    world
}

/// An update from its order to its acknowledged report, over all its restarts.
fn recorded(probe: &'static str) -> (World, Recording) {
    let world = with_history(probe);
    let recorder = Recorder::new(world.folder.path());
    let seen = recorder.seen();
    let witness = move |path: &str, body: &[u8]| seen(said(path, body));
    world.server.answers.lock().unwrap().witness = Some(Witness(Arc::new(witness)));
    let durable = recorder.durable();
    let mut restarts = 0;
    while world.run_once_on(&durable, 41).is_err() {
        restarts += 1;
        assert!(restarts < 10, "the update never ends");
    }
    world.server.answers.lock().unwrap().witness = None;
    (world, recorder.end())
}

/// What the server learns from a post: the number of a poll and the length of the log that it
/// speaks of, or the outcome of a report.
fn said(path: &str, body: &[u8]) -> String {
    if path == "/v1/report" {
        let envelope = Envelope::parse(body).unwrap();
        let report = serde_json::from_slice::<Report>(&envelope.payload).unwrap();
        return format!("report {:?}", report.outcome);
    }
    let poll: Value = serde_json::from_slice(body).unwrap();
    format!("poll {} {}", poll["sequence"], poll["log_head"]["size"])
}

/// What is wrong with a state, without starting an agent from it.
fn wrong(crash: &Crash, model: &Model) -> Vec<String> {
    let mut wrong = model.broken(crash);
    let journal = match journal(crash) {
        Ok(journal) => journal,
        Err(why) => return [wrong, vec![why]].concat(),
    };
    let log = crash.file("state/log/security/tile/entries/000").unwrap_or_default();
    let records = u64::try_from(recover(log, 0).records.len()).unwrap();
    for seen in &model.seen {
        let numbers: Vec<u64> = seen.split(' ').filter_map(|word| word.parse().ok()).collect();
        if let [poll, size] = numbers.as_slice() {
            if journal.poll_sequence < *poll {
                wrong.push(format!("poll {poll} could be used twice"));
            }
            if records < *size {
                wrong.push(format!("the server knows {size} records, {records} are left"));
            }
        }
    }
    wrong.extend(wrong_slots(crash, &journal, model));
    wrong.extend(LogRing::ALL.into_iter().filter_map(|ring| wrong_seal(crash, ring)));
    wrong
}

/// A checkpoint on the disk whose records are not: an honest device would look like one that has
/// cut its log.
fn wrong_seal(crash: &Crash, ring: LogRing) -> Option<String> {
    let folder = format!("state/log/{}", ring.as_str());
    let seal = crash.file(&format!("{folder}/checkpoint"))?;
    let note = std::str::from_utf8(seal).ok().and_then(|text| SignedNote::parse(text).ok());
    let Some(head) = note.and_then(|note| note.text().parse::<Checkpoint>().ok()) else {
        return Some(format!("the checkpoint of {} is broken", ring.as_str()));
    };
    let sealed = head.size;
    let entries = crash.file(&format!("{folder}/tile/entries/000")).unwrap_or_default();
    let left = u64::try_from(recover(entries, 0).records.len()).unwrap();
    (left < sealed).then(|| format!("{sealed} {} records are sealed, {left} left", ring.as_str()))
}

/// A slot that may be started holds the image, whole; what was reported as done runs and is kept;
/// and the journal claims no bytes that are not there.
fn wrong_slots(crash: &Crash, journal: &Journal, model: &Model) -> Vec<String> {
    let mut wrong = Vec::new();
    let image = crash.file("slots/b/image").unwrap_or_default();
    if crash.file("slots/a/image") != Some(OLD[0]) {
        wrong.push("the slot that runs was written to".into());
    }
    let boot = crash.file("slots/boot.json").map(serde_json::from_slice::<Value>);
    let boot = match boot.transpose() {
        Ok(boot) => boot.unwrap_or_default(),
        Err(err) => return vec![format!("the bootloader's record is broken: {err}")],
    };
    let started = boot["current"] == "b"
        || boot["b"] == "good"
        || crash.names.get(Path::new("slots/current")) == Some(&Found::Link("b".into()));
    if started && image != IMAGE && image != OLD[1] {
        wrong.push(format!("slot b may be started and holds {} bytes", image.len()));
    }
    if model.seen.iter().any(|seen| seen == "report Done")
        && (boot["current"] != "b" || boot["b"] != "good" || journal.release_floor != 4)
    {
        wrong.push("what was reported as done is not kept".into());
    }
    let claimed = match &journal.update {
        Update::Staging { offset, .. } => usize::try_from(*offset).unwrap(),
        Update::Staged { .. } | Update::Armed { .. } | Update::Trial { .. } => IMAGE.len(),
        _ => 0,
    };
    if image.get(..claimed) != IMAGE.get(..claimed) {
        wrong.push(format!("the journal claims {claimed} bytes that are not there"));
    }
    wrong
}

/// The journal as the agent would find it.
fn journal(crash: &Crash) -> Result<Journal, String> {
    let bytes = crash.file("state/journal").ok_or("the journal is gone")?;
    let journal = record::decode(bytes).map_err(|err| format!("the journal is lost: {err}"))?;
    let copy = crash.file("state/journal.copy").and_then(|bytes| record::decode_one(bytes).ok());
    Ok(match copy {
        Some(copy) if copy.generation > journal.generation => copy,
        _ => journal,
    })
}

#[test]
fn every_state_that_a_crash_can_leave_of_an_update_is_whole() {
    for (probe, outcome) in [("/bin/true", "done"), ("/bin/false", "failed")] {
        let (world, recording) = recorded(probe);
        let mut kept: Vec<(usize, Vec<String>)> = Vec::new();
        let mut states = Vec::new();
        let count = recording.crashes(None, |crash, model| {
            let wrong = wrong(crash, model);
            if !wrong.is_empty() {
                kept.push((crash.after, wrong));
            }
            let reported: Vec<String> =
                model.seen.iter().filter(|seen| seen.starts_with("report")).cloned().collect();
            states.push((crash.after, crash.names.clone(), reported));
            ControlFlow::Continue(())
        });
        assert!(kept.is_empty(), "{outcome}: {kept:#?}");
        assert!(count > 300, "only {count} states of {} events", recording.events.len());
        let every = states.len().div_ceil(STARTED_MAX);
        let chosen: Vec<_> = states
            .into_iter()
            .step_by(every)
            .map(|(after, names, reported)| (after, to_send(names), reported))
            .collect();
        let started = chosen.len();
        let mut answers = world.server.answers.lock().unwrap().clone();
        answers.posted.clear();
        restart_from(&world, &answers, outcome, chosen);
        println!(
            "update that ends as {outcome}: {} events, {} syncs, {count} crash states looked at, \
             an agent started from {started} of them",
            recording.events.len(),
            recording.syncs().len()
        );
    }
}

/// A state that may go to another thread.
type State = Vec<(PathBuf, Left)>;

enum Left {
    File(Vec<u8>),
    Link(String),
    Folder,
}

fn to_send(names: std::collections::BTreeMap<PathBuf, Found>) -> State {
    let left = |found| match found {
        Found::File(bytes) => Left::File(bytes.to_vec()),
        Found::Link(target) => Left::Link(target),
        Found::Folder => Left::Folder,
    };
    names.into_iter().map(|(path, found)| (path, left(found))).collect()
}

/// Starts a device from each of the states, and lets it come to its end.
fn restart_from(
    of: &World,
    answers: &Answers,
    outcome: &str,
    states: Vec<(usize, State, Vec<String>)>,
) {
    let probe = of.probe;
    let states = Mutex::new(states.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((after, state, reported)) = states.lock().unwrap().next() else {
                        return;
                    };
                    // The very repository that the state is of.
                    let world = World::with_server(probe, answers.clone());
                    put(world.folder.path(), &state);
                    let drive = world.run(&Failpoints::default());
                    // What the server had before the crash counts as well.
                    let again = world.reports();
                    let again: Vec<String> =
                        again.iter().map(|outcome| format!("report {outcome:?}")).collect();
                    let mut all = [reported, again.clone()].concat();
                    all.dedup();
                    assert_eq!(all.len(), 1, "after event {after}: {all:?}");
                    let (runs, image) =
                        if outcome == "done" { (Slot::B, IMAGE) } else { (Slot::A, OLD[0]) };
                    assert_eq!(drive.slots.booted(), Some(runs), "after event {after}");
                    let path = world.folder.path().join("slots/current/image");
                    assert_eq!(std::fs::read(path).unwrap(), image, "after event {after}");
                    check_rest(&world, &drive, u64::try_from(after).unwrap());
                }
            });
        }
    });
}

fn put(root: &Path, state: &State) {
    std::fs::remove_dir_all(root).unwrap();
    std::fs::create_dir(root).unwrap();
    for (path, left) in state {
        let path = root.join(path);
        match left {
            Left::File(bytes) => std::fs::write(path, bytes).unwrap(),
            Left::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            Left::Folder => std::fs::create_dir(path).unwrap(),
        }
    }
}

#[test]
fn an_update_with_any_one_sync_left_out_is_found_wanting() {
    for probe in ["/bin/true", "/bin/false"] {
        let (_world, recording) = recorded(probe);
        let syncs = recording.syncs();
        let mut unmissed = Vec::new();
        let mut violations = 0_usize;
        for (at, what) in &syncs {
            let before = violations;
            recording.crashes(Some(*at), |crash, model| {
                if wrong(crash, model).is_empty() {
                    return ControlFlow::Continue(());
                }
                violations += 1;
                ControlFlow::Break(())
            });
            if violations == before {
                unmissed.push(format!("{at}: {what}"));
            }
        }
        println!("{} syncs left out one at a time, {violations} missed", syncs.len());
        assert!(unmissed.is_empty(), "nobody misses {unmissed:#?}");
    }
}

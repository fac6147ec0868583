//! The whole loop against a server inside the test, with a small signed repository, and with the
//! power going at every point that a device passes on its way from one release to the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::order::{Order, OrderKind, Outcome, Wanted};
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_protocol_evidence::age::Recipient;
use serde_json::{Value, json};

use super::*;
use crate::failpoint::Failpoints;
use crate::identity::tests::reply;
use crate::test_server::{Answers, Server};

mod power;

const IMAGE: &[u8] = b"an image that is well";

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signed(content: Value, kind: &str, now: Timestamp) -> Vec<u8> {
    signed_until(content, kind, now.plus_ms(30 * DAY_MS))
}

fn signed_until(mut content: Value, kind: &str, expires: Timestamp) -> Vec<u8> {
    content["_type"] = kind.into();
    content["spec_version"] = "1.0.33".into();
    content["version"] = 1.into();
    content["expires"] = expires.to_rfc3339().into();
    let signature = signer().sign(&canonical::to_bytes(&content).unwrap()).to_bytes();
    let sig = hex::encode(signature);
    let file = json!({ "signed": content, "signatures": [{ "keyid": "k", "sig": sig }] });
    canonical::to_bytes(&file).unwrap()
}

fn entry(bytes: &[u8], custom: Value) -> Value {
    let sha256 = Sha256Digest::of(bytes).to_string();
    json!({ "length": bytes.len(), "hashes": { "sha256": sha256 }, "custom": custom })
}

/// What a repository has beside the anchors and one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Another model, whose role's file is this; none where it is not there.
    Delegatee(Option<&'static [u8]>),
    /// Another model whose role is not even in the snapshot.
    UnlistedDelegatee,
    /// Another model whose role has lapsed.
    LapsedDelegatee,
    /// An emergency for the image, which its own schedule does not let in.
    Emergency,
    /// Two releases before the image: v4, on which its floor stands, and v3.
    Older,
}

const OLDER: &[u8] = b"the image before, which was well too";

/// A repository with one key for everything, that lists the anchors and one image.
fn repository(now: Timestamp, beside: Beside) -> Answers {
    let public = hex::encode(signer().verifying_key().as_bytes());
    let keys = json!({ "k": {
        "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public }
    } });
    let role = json!({ "keyids": ["k"], "threshold": 1 });
    let root = json!({
        "consistent_snapshot": true,
        "keys": keys,
        "roles": { "root": role, "timestamp": role, "snapshot": role, "targets": role },
    });
    let order_key = PublicKey::Ed25519(signer().verifying_key().as_bytes().to_vec());
    let anchors = json!({
        "version": 1, "order_keys": [order_key], "server_cas": [], "device_cas": [],
        "responders": [Recipient([9; 32]).to_string()],
    });
    let anchors = canonical::to_bytes(&anchors).unwrap();
    let targets = json!({
        "targets": { "trust/anchors": entry(&anchors, json!({})) },
        "delegations": { "keys": keys, "roles": [
            delegation("emergency", "emergency/*/*"),
            delegation("rel-gw1", "gw1/*/image"),
            delegation("rel-gw2", "gw2/*/image"),
        ] },
    });
    let early = beside == Beside::Emergency;
    let opens = if early { now.plus_ms(9 * DAY_MS).as_ms() } else { 0 };
    let custom = json!({
        "counter": 5, "floor": 4, "model": "gw2",
        "schedule": { "salt": "s", "steps": [{ "permille": 1000, "not_before": opens }] },
    });
    let mut release = json!({ "targets": { "gw2/v5/image": entry(IMAGE, custom) } });
    if beside == Beside::Older {
        for (version, counter) in [("v4", 4), ("v3", 3)] {
            let custom = json!({
                "counter": counter, "floor": 3, "model": "gw2",
                "schedule": { "salt": "s", "steps": [{ "permille": 1000, "not_before": 0 }] },
            });
            release["targets"][format!("gw2/{version}/image")] = entry(OLDER, custom);
        }
    }
    let mut listed = json!({
        "targets.json": { "version": 1 }, "rel-gw2.json": { "version": 1 }
    });
    if beside == Beside::Emergency {
        listed["emergency.json"] = json!({ "version": 1 });
    }
    if matches!(beside, Beside::Delegatee(_) | Beside::LapsedDelegatee) {
        listed["rel-gw1.json"] = json!({ "version": 1 });
    }
    let snapshot = signed(json!({ "meta": listed }), "snapshot", now);
    let sha256 = Sha256Digest::of(&snapshot).to_string();
    let listed = json!({ "snapshot.json": {
        "version": 1, "length": snapshot.len(), "hashes": { "sha256": sha256 }
    } });
    let timestamp = signed(json!({ "meta": listed }), "timestamp", now);
    let metadata = [
        ("1.root.json", signed(root, "root", now)),
        ("timestamp.json", timestamp),
        ("1.snapshot.json", snapshot),
        ("1.targets.json", signed(targets, "targets", now)),
        ("1.rel-gw2.json", signed(release, "targets", now)),
    ];
    let mut answers = Answers::default();
    let other = match beside {
        Beside::Delegatee(Some(bytes)) => Some(("1.rel-gw1.json", bytes.to_vec())),
        Beside::LapsedDelegatee => {
            let lapsed = Timestamp::from_ms(now.as_ms() - 1000);
            Some(("1.rel-gw1.json", signed_until(json!({ "targets": {} }), "targets", lapsed)))
        }
        Beside::Emergency => Some(("1.emergency.json", signed(emergency(now), "targets", now))),
        _ => None,
    };
    for (name, bytes) in metadata.into_iter().chain(other) {
        answers.files.insert(format!("/v1/repo/metadata/{name}"), bytes);
    }
    let targets = [
        ("trust/HASH.anchors", anchors.as_slice()),
        ("gw2/v5/HASH.image", IMAGE),
        ("gw2/v4/HASH.image", OLDER),
    ];
    for (name, bytes) in targets {
        let name = name.replace("HASH", &Sha256Digest::of(bytes).to_string());
        answers.files.insert(format!("/v1/repo/targets/{name}"), bytes.to_vec());
    }
    answers
}

fn delegation(role: &str, path: &str) -> Value {
    json!({
        "name": role, "keyids": ["k"], "threshold": 1, "paths": [path], "terminating": false,
    })
}

/// What the incident team signs for the image.
fn emergency(now: Timestamp) -> Value {
    let custom = json!({
        "image_sha256": Sha256Digest::of(IMAGE), "reason": "CVE-2026-1",
        "schedule": { "salt": "s", "steps": [{ "permille": 1000, "not_before": 0 }] },
        "expires": now.plus_ms(DAY_MS),
    });
    json!({ "targets": { "emergency/gw2/v5": entry(b"", custom) } })
}

fn install() -> OrderKind {
    OrderKind::Install {
        rollout: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "v5".parse().unwrap(),
    }
}

fn ordered(sequence: u64, kind: OrderKind, now: Timestamp) -> Envelope {
    let device = "d-1".parse().unwrap();
    let order = Order { device, sequence, issued: now, expires: now.plus_ms(DAY_MS), kind };
    let key = PublicKey::Ed25519(signer().verifying_key().as_bytes().to_vec());
    Envelope::seal::<_, canonical::CanonicalError>(&order, key.key_id(), |bytes| {
        Ok(signer().sign(bytes).to_bytes().to_vec())
    })
    .unwrap()
}

/// A device and its server.
struct World {
    folder: tempfile::TempDir,
    server: Server,
    probe: &'static str,
}

impl World {
    fn new(probe: &'static str) -> Self {
        Self::with_orders(probe, vec![install()])
    }

    /// The last of the orders is number 41.
    fn with_orders(probe: &'static str, orders: Vec<OrderKind>) -> Self {
        Self::beside(probe, orders, Beside::Nothing)
    }

    fn beside(probe: &'static str, orders: Vec<OrderKind>, beside: Beside) -> Self {
        let now = Clock::new(Timestamp::default()).now();
        let mut answers = repository(now, beside);
        let first = 42 - u64::try_from(orders.len()).unwrap();
        let orders = (first..).zip(orders).map(|(sequence, kind)| ordered(sequence, kind, now));
        let orders: Vec<Envelope> = orders.collect();
        let poll = json!({
            "time": now, "tuf_timestamp_version": 1, "orders": orders, "next_poll_ms": 200
        });
        answers.posts.insert("/v1/poll".into(), vec![poll.to_string()]);
        answers.posts.insert("/v1/report".into(), vec![String::new()]);
        Self::with_server(probe, answers)
    }

    fn with_server(probe: &'static str, answers: Answers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = answers.files["/v1/repo/metadata/1.root.json"].clone();
        let durable = Durable::default();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            durable.write(&path, bytes, crate::durable::Access::Folder, "anchors").unwrap();
        };
        put("root.json", &root);
        let state = folder.path().join("state");
        let key = DeviceKey::load_or_make(&state, &durable).unwrap();
        JournalFile::provision(&durable, &state.join("journal")).unwrap();
        let certificate = serde_json::to_vec(&reply(&key)).unwrap();
        put("state/identity/certificate.json", &certificate);
        Self { folder, server: Server::start(answers), probe }
    }

    fn config(&self) -> Config {
        let text = format!(
            "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"root.json\"\n\
             state_dir = \"state\"\nslots_dir = \"slots\"\nmodel = \"gw2\"\nserial = \"s\"\n\
             allow_software_keys = true\nhold_ms = 0\n[[probes]]\nname = \"p\"\nattempts = 1\n\
             kind = \"command\"\ncommand = [\"{}\"]\n",
            self.probe
        );
        Config::parse(&text, self.folder.path()).unwrap()
    }

    fn start(&self, points: Failpoints) -> Result<Drive, Stop> {
        self.start_on(Durable::new(points))
    }

    fn start_on(&self, durable: Durable) -> Result<Drive, Stop> {
        let transport = self.server.transport.clone();
        let connect = move |_: &_, _: &_, _: &_, _: &_| Ok(transport.clone());
        start::start_over(self.config(), durable, start::Network::There(&connect))
    }

    /// The outcomes that the server was told.
    fn reports(&self) -> Vec<Outcome> {
        let answers = self.server.answers.lock().unwrap();
        let reports = answers.posted.iter().filter(|(path, _)| path == "/v1/report");
        let outcomes = reports.map(|(_, body)| {
            let envelope = Envelope::parse(body).unwrap();
            serde_json::from_slice::<Report>(&envelope.payload).unwrap().outcome
        });
        outcomes.collect()
    }

    /// Has the server order this, and nothing else, from its next answer on.
    fn order(&self, sequence: u64, kind: OrderKind) {
        let now = Clock::new(Timestamp::default()).now();
        let poll = json!({
            "time": now, "tuf_timestamp_version": 1, "next_poll_ms": 200,
            "orders": [ordered(sequence, kind, now)],
        });
        let mut answers = self.server.answers.lock().unwrap();
        answers.posts.insert("/v1/poll".into(), vec![poll.to_string()]);
    }

    /// Runs the agent until it stops, or the server has a report that it knows to be acknowledged
    /// on the order `last`.
    fn run_once(&self, points: &Failpoints, last: u64) -> Result<Drive, Stop> {
        self.run_once_on(&Durable::new(points.clone()), last)
    }

    fn run_once_on(&self, durable: &Durable, last: u64) -> Result<Drive, Stop> {
        let mut drive = self.start_on(durable.clone())?;
        loop {
            drive.turn()?;
            let settled = drive.journal.order_sequence == last
                && drive.journal.update == Update::Idle
                && drive.journal.collection == Collection::Idle
                && drive.journal.reports.is_empty();
            if settled {
                return Ok(drive);
            }
        }
    }

    /// Starts the agent again and again, as a supervisor does, until the server has a report that
    /// the device has seen acknowledged.
    fn run(&self, points: &Failpoints) -> Drive {
        self.run_to(points, 41)
    }

    fn run_to(&self, points: &Failpoints, order: u64) -> Drive {
        let mut last = String::new();
        for _ in 0..20 {
            match catch_unwind(AssertUnwindSafe(|| self.run_once(points, order))) {
                Ok(Ok(drive)) => return drive,
                Ok(Err(stop)) => last = format!("{stop:?}"),
                Err(cut) => last = format!("{:?}", cut.downcast_ref::<String>()),
            }
        }
        panic!("the update never ends: {last}");
    }
}

#[test]
fn an_ordered_release_is_fetched_tried_kept_and_reported() {
    let world = World::new("/bin/true");
    let drive = world.run(&Failpoints::default());
    assert_eq!(world.reports(), [Outcome::Done]);
    assert_eq!(drive.slots.booted(), Some(lazaret_agent_core::slot::Slot::A));
    assert_eq!(drive.journal.release_floor, 4);
    assert_eq!(std::fs::read(world.folder.path().join("slots/current/image")).unwrap(), IMAGE);
}

#[test]
fn a_release_that_fails_its_probe_is_left_again_and_reported_with_the_reason() {
    let world = World::new("/bin/false");
    let drive = world.run(&Failpoints::default());
    let reports = world.reports();
    let [Outcome::Failed { code, reason }] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert_eq!(code, "probe-failed");
    assert!(reason.contains("exit code 1"), "{reason}");
    assert_eq!(drive.slots.booted(), None);
    assert_eq!(drive.journal.failed.len(), 1);
}

fn revert(version: &str) -> OrderKind {
    OrderKind::Revert {
        rollout: "r-2".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: version.parse().unwrap(),
    }
}

/// A device that runs v5 over v4.
fn updated() -> World {
    let first = OrderKind::Install {
        rollout: "r-0".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "v4".parse().unwrap(),
    };
    let world = World::beside("/bin/true", vec![first], Beside::Older);
    drop(world.run(&Failpoints::default()));
    world.order(42, install());
    drop(world.run_to(&Failpoints::default(), 42));
    world
}

/// The outcome of the last report, and the bytes that were fetched for it.
fn last_report(world: &World) -> (Outcome, u64) {
    let answers = world.server.answers.lock().unwrap();
    let (_, body) = answers.posted.iter().rfind(|(path, _)| path == "/v1/report").unwrap();
    let report: Report = serde_json::from_slice(&Envelope::parse(body).unwrap().payload).unwrap();
    (report.outcome, report.bytes_fetched)
}

#[test]
fn a_revert_takes_the_kept_slot_without_a_download_and_stops_at_the_floor() {
    let world = updated();
    let said = world.start(Failpoints::default()).unwrap().posture();
    assert_eq!(said.other_release.map(|other| other.counter), Some(4));
    assert_eq!((said.release_floor, said.probes.get("p")), (Some(4), None));
    world.order(43, revert("v3"));
    drop(world.run_to(&Failpoints::default(), 43));
    let (outcome, _) = last_report(&world);
    assert!(matches!(&outcome, Outcome::Refused { code, .. } if code == "below-floor"));
    world.order(44, revert("v4"));
    let drive = world.run_to(&Failpoints::default(), 44);
    assert_eq!(last_report(&world), (Outcome::Done, 0));
    assert_eq!(drive.running().map(|running| running.counter), Some(4));
    assert_eq!(std::fs::read(world.folder.path().join("slots/current/image")).unwrap(), OLDER);
}

#[test]
fn a_kept_slot_that_the_disk_has_spoiled_is_fetched_anew() {
    let world = updated();
    let booted = world.start(Failpoints::default()).unwrap().slots.booted().unwrap();
    let kept = format!("slots/{}/image", booted.other());
    let mut bytes = OLDER.to_vec();
    bytes[3] ^= 1;
    spoil(&world.folder.path().join(kept), &bytes);
    world.order(43, revert("v4"));
    drop(world.run_to(&Failpoints::default(), 43));
    let length = u64::try_from(OLDER.len()).unwrap();
    assert_eq!(last_report(&world), (Outcome::Done, length));
    assert_eq!(says(&world, "kept-image-lost", ""), 1);
    assert_eq!(std::fs::read(world.folder.path().join("slots/current/image")).unwrap(), OLDER);
}

#[test]
fn wherever_the_power_goes_a_revert_ends_on_a_verified_image_with_one_outcome() {
    std::thread::scope(|scope| {
        for first in 0..4 {
            // Every second point: the others are those of an update, which has its own test.
            scope.spawn(move || (first * 2..400).step_by(8).any(|n| !reverted_through_a_cut(n)));
        }
    });
}

/// Whether the power went at the `n`-th point of a revert, which ended well all the same.
fn reverted_through_a_cut(n: u64) -> bool {
    let world = updated();
    world.order(43, revert("v4"));
    let (points, passed) = once_at(n);
    let drive = world.run_to(&points, 43);
    assert_eq!(last_report(&world).0, Outcome::Done, "cut {n}");
    let image = std::fs::read(world.folder.path().join("slots/current/image")).unwrap();
    assert_eq!(image, OLDER, "cut {n}");
    assert_eq!(drive.journal.release_floor, 4, "cut {n}");
    passed.load(Ordering::Relaxed) > n
}

#[test]
fn in_quarantine_evidence_goes_out_and_nothing_is_installed() {
    let quarantine = OrderKind::Quarantine {
        reason: "it calls strangers".into(),
        terms: lazaret_protocol::containment::Terms::default(),
    };
    let collect = OrderKind::Collect { bundle: "b-1".parse().unwrap(), wanted: Wanted::default() };
    let world = World::with_orders("/bin/true", vec![quarantine, collect, install()]);
    let drive = world.run(&Failpoints::default());
    let reports = world.reports();
    assert_eq!(
        reports.iter().filter(|outcome| **outcome == Outcome::Done).count(),
        2,
        "{reports:?}"
    );
    assert_eq!(reports.iter().filter(|outcome| is_refused(outcome)).count(), 1, "{reports:?}");
    assert!(drive.poll_request().quarantined);
    let answers = world.server.answers.lock().unwrap();
    let digest = Sha256Digest::of(&answers.evidence).to_string();
    assert_eq!(answers.evidence_digest, Some(digest));
    drop(answers);
    assert!(!world.folder.path().join("state/bundles/b-1.tar.zst.age").exists());
    drop(drive);
    // It outlives a restart.
    let drive = world.start(Failpoints::default()).unwrap();
    assert!(drive.poll_request().quarantined);
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { code, .. } if code == "quarantined")
}

/// Cuts the power once, at the `n`-th point that is passed; says whether it came to that.
fn once_at(n: u64) -> (Failpoints, Arc<AtomicU64>) {
    let passed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&passed);
    let points = Failpoints::calling(move |side, step| {
        if counter.fetch_add(1, Ordering::Relaxed) == n {
            // Not an error, which the agent could deal with: nothing runs after a power cut.
            std::panic::resume_unwind(Box::new(format!("power cut {side:?} {step}")));
        }
        Ok(())
    });
    (points, passed)
}

#[test]
fn wherever_the_power_goes_the_device_ends_on_a_verified_image_with_one_outcome() {
    // Cuts at every point of a good update and of one that fails its probe, four devices at a time.
    for (probe, outcome) in [("/bin/true", "done"), ("/bin/false", "failed")] {
        let next = Mutex::new(0_u64..400);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let Some(n) = next.lock().unwrap().next() else { return };
                        let world = World::new(probe);
                        let (points, passed) = once_at(n);
                        let drive = world.run(&points);
                        check(&world, &drive, outcome, n);
                        if passed.load(Ordering::Relaxed) <= n {
                            // The whole update passes fewer points than that.
                            *next.lock().unwrap() = 0..0;
                        }
                    }
                });
            }
        });
    }
}

fn check(world: &World, drive: &Drive, outcome: &str, n: u64) {
    let reports = world.reports();
    // The same report may be sent again where the power went before its acknowledgement was kept.
    let mut different = reports.clone();
    different.dedup();
    assert_eq!(different.len(), 1, "cut {n}: {reports:?}");
    check_device(world, drive, outcome, n);
    let said = serde_json::to_value(&different[0]).unwrap();
    assert_eq!(said["outcome"], outcome, "cut {n}: {reports:?}");
}

/// What a device has to be once its update is over.
fn check_device(world: &World, drive: &Drive, outcome: &str, n: u64) {
    if outcome == "done" {
        let image = std::fs::read(world.folder.path().join("slots/current/image")).unwrap();
        assert_eq!(image, IMAGE, "cut {n}");
        assert_eq!(drive.journal.release_floor, 4, "cut {n}");
    } else {
        assert_eq!(drive.slots.booted(), None, "cut {n}");
    }
    check_rest(world, drive, n);
}

/// What holds of every device whose update is over.
fn check_rest(world: &World, drive: &Drive, n: u64) {
    // What was kept needs no further trial, and what was left is not tried again.
    for _ in 0..5 {
        let mut slots = bootloader(&world.config(), &Durable::default()).unwrap();
        assert_eq!(slots.boot().unwrap(), drive.slots.booted(), "cut {n}");
    }
    let damaged = logged(world).iter().filter(|(kind, _)| kind == "log-damaged").count();
    assert_eq!(damaged, 0, "cut {n}");
}

/// Puts other content into a file, as a bad disk would.
fn spoil(path: &std::path::Path, bytes: &[u8]) {
    Durable::default().write(path, bytes, crate::durable::Access::Folder, "anchors").unwrap();
}

const YEAR_2099: Timestamp = Timestamp::from_ms(4_070_908_800_000);

/// The kinds in a device's forensic log, each with what it says.
fn logged(world: &World) -> Vec<(String, String)> {
    let log = crate::forensic_log::kept(&world.folder.path().join("state")).unwrap();
    let said = |detail: &Detail| {
        detail.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    log.iter().map(|(_, r)| (r.kind.to_string(), said(&r.detail))).collect()
}

fn says(world: &World, kind: &str, part: &str) -> usize {
    logged(world).iter().filter(|(k, said)| k == kind && said.contains(part)).count()
}

/// Answers the first polls with this time and nothing else.
fn told_at_first(world: &World, times: &[Timestamp]) {
    let mut answers = world.server.answers.lock().unwrap();
    let polls = answers.posts.get_mut("/v1/poll").unwrap();
    for time in times.iter().rev() {
        let reply = json!({
            "time": time, "tuf_timestamp_version": 1, "orders": [], "next_poll_ms": 200
        });
        polls.insert(0, reply.to_string());
    }
}

#[test]
fn one_poll_with_a_clock_in_2099_changes_nothing_that_lasts() {
    let world = World::new("/bin/true");
    let now = Clock::new(Timestamp::default()).now();
    // Before anything signed is known, and once more in between.
    told_at_first(&world, &[YEAR_2099, now, YEAR_2099]);
    let drive = world.run(&Failpoints::default());
    assert_eq!(world.reports(), [Outcome::Done]);
    assert!(drive.journal.time_floor < now.plus_ms(60_000), "{}", drive.journal.time_floor);
    assert!(drive.clock.now() < now.plus_ms(60_000));
    assert_eq!(says(&world, "clock-doubted", &YEAR_2099.as_ms().to_string()), 2);
}

#[test]
fn a_server_that_stays_in_2099_stops_no_update() {
    let world = World::new("/bin/true");
    let mut answers = world.server.answers.lock().unwrap();
    for polls in answers.posts.get_mut("/v1/poll").unwrap() {
        let mut reply: Value = serde_json::from_str(polls).unwrap();
        reply["time"] = json!(YEAR_2099);
        *polls = reply.to_string();
    }
    drop(answers);
    let drive = world.run(&Failpoints::default());
    assert_eq!(world.reports(), [Outcome::Done]);
    assert!(drive.journal.time_floor < YEAR_2099);
    assert_eq!(says(&world, "clock-doubted", ""), 2, "once for each start");
}

#[test]
fn expired_metadata_stops_updates_and_no_quarantine() {
    let quarantine = OrderKind::Quarantine {
        reason: "it calls strangers".into(),
        terms: lazaret_protocol::containment::Terms::default(),
    };
    let world = World::with_orders("/bin/true", vec![quarantine, install()]);
    let now = Clock::new(Timestamp::default()).now();
    // Fresh at first, so that the keys of orders are known; two days after its end from then on.
    let later = now.plus_ms(32 * DAY_MS);
    let mut answers = world.server.answers.lock().unwrap();
    let polls = answers.posts.get_mut("/v1/poll").unwrap();
    let mut reply: Value = serde_json::from_str(&polls[0]).unwrap();
    reply["time"] = json!(later);
    let sealed = |sequence, kind| serde_json::to_value(ordered(sequence, kind, later)).unwrap();
    let held = OrderKind::Quarantine {
        reason: "it calls strangers".into(),
        terms: lazaret_protocol::containment::Terms::default(),
    };
    reply["orders"] = json!([sealed(40, held), sealed(41, install())]);
    reply["tuf_timestamp_version"] = json!(2);
    *polls = vec![reply.to_string()];
    drop(answers);
    told_at_first(&world, &[now]);
    let drive = world.run(&Failpoints::default());
    assert!(drive.poll_request().quarantined);
    assert_eq!(says(&world, "verification-refused", "tuf-expired"), 1);
    assert!(drive.journal.time_floor <= drive.journal.time_horizon);
}

#[test]
fn a_corrupt_file_is_refused_by_name_and_fetched_again_above_its_floor() {
    for (file, name) in [
        ("tuf/timestamp.json", "timestamp.json"),
        ("tuf/snapshot.json", "snapshot.json"),
        ("tuf/targets.json", "targets.json"),
        ("tuf/root.json", "root.json"),
        ("trust/anchors.json", "trust/anchors.json"),
    ] {
        let world = World::new("/bin/true");
        drop(world.run(&Failpoints::default()));
        let path = world.folder.path().join("state").join(file);
        let good = std::fs::read(&path).unwrap();
        spoil(&path, &good[..good.len() / 2]);
        let mut drive = world.start(Failpoints::default()).unwrap();
        let floors = drive.journal.tuf.clone();
        assert!(drive.refresh().unwrap().is_some(), "{file}");
        assert_eq!(drive.journal.tuf, floors, "{file}");
        let refused = logged(&world).into_iter().any(|(kind, said)| {
            (kind == "verification-refused" || kind == "metadata-notice") && said.contains(name)
        });
        assert!(refused, "{file}: {:?}", logged(&world));
        assert_eq!(std::fs::read(&path).unwrap(), good, "{file}");
    }
}

#[test]
fn a_lost_journal_is_refused_by_name_and_recovered_with_its_floors() {
    let world = World::new("/bin/true");
    let before = world.run(&Failpoints::default()).journal.clone();
    let path = world.folder.path().join("state/journal");
    let lose: [&dyn Fn(); 3] =
        [&|| std::fs::remove_file(&path).unwrap(), &|| spoil(&path, &[0; 8192]), &|| {
            spoil(&path, &[1; 8192])
        }];
    for (round, lose) in lose.iter().enumerate() {
        lose();
        let refused = world.start(Failpoints::default());
        assert!(matches!(refused, Err(Stop::Failed(_))), "{refused:?}");
        assert_eq!(says(&world, "state-refused", "file=journal"), round + 1);
        assert!(recover(&world.config(), true).is_ok(), "rehearsed");
        let recovered = recover(&world.config(), false).unwrap();
        assert_eq!(recovered.release_floor, before.release_floor);
        let drive = world.start(Failpoints::default()).unwrap();
        assert_eq!(drive.journal.tuf, before.tuf);
        assert_eq!(drive.journal.slots, before.slots);
        assert_eq!(drive.journal.order_sequence, before.order_sequence);
        assert!(drive.journal.poll_sequence > before.poll_sequence);
        drop(drive);
        assert_eq!(says(&world, "state-recovered", "file=journal"), round + 1);
    }
    assert!(matches!(recover(&world.config(), false), Err(RecoverError::Whole { .. })));
}

#[test]
fn a_flood_of_refused_orders_is_counted_and_does_not_fill_the_log() {
    let world = World::new("/bin/true");
    let drive = world.run(&Failpoints::default());
    drop(drive);
    let mut drive = world.start(Failpoints::default()).unwrap();
    let now = drive.clock.now();
    let before = logged(&world).len();
    for _ in 0..500 {
        drive.take_orders(&[ordered(7, install(), now), ordered(8, install(), now)]).unwrap();
    }
    let after = logged(&world);
    assert!(after.len() <= before + 17, "{} entries", after.len() - before);
    let begun = |(kind, said): &(String, String)| {
        kind == "repeats-begin" && said.contains("of=order-refused")
    };
    assert!(after.iter().any(begun), "{after:?}");
}

#[test]
fn a_bad_delegatee_stops_only_its_own_targets() {
    for beside in [
        Beside::Delegatee(Some(b"{ this is no metadata")),
        Beside::Delegatee(None),
        Beside::LapsedDelegatee,
        Beside::UnlistedDelegatee,
    ] {
        let world = World::beside("/bin/true", vec![install()], beside);
        drop(world.run(&Failpoints::default()));
        assert_eq!(world.reports(), [Outcome::Done], "{beside:?}");
    }
}

#[test]
fn an_emergency_lets_a_device_in_early_and_is_said_loudly() {
    let world = World::beside("/bin/true", vec![install()], Beside::Emergency);
    drop(world.run(&Failpoints::default()));
    assert_eq!(world.reports(), [Outcome::Done]);
    assert_eq!(says(&world, "emergency-used", "CVE-2026-1"), 1);
    let answers = world.server.answers.lock().unwrap();
    let (_, report) = answers.posted.iter().find(|(path, _)| path == "/v1/report").unwrap();
    let envelope = Envelope::parse(report).unwrap();
    let report: Report = serde_json::from_slice(&envelope.payload).unwrap();
    assert_eq!(report.pace, lazaret_protocol::report::Pace::Emergency);
}

#[test]
fn a_stale_source_is_asked_again_and_is_an_alarm_only_when_it_persists() {
    let world = World::new("/bin/true");
    drop(world.run(&Failpoints::default()));
    let mut drive = world.start(Failpoints::default()).unwrap();
    // The server speaks of a version that it does not serve.
    drive.announced = 7;
    for _ in 0..5 {
        assert!(drive.refresh().unwrap().is_none(), "stale metadata was taken for new");
    }
    assert_eq!(says(&world, "alarm", ""), 0);
    let alarm = |drive: &Drive| drive.posture().attributes.get("alarm").cloned();
    assert_eq!(alarm(&drive), None);
    drive.config.stale_alarm_ms = 0;
    assert!(drive.refresh().unwrap().is_none());
    assert!(drive.refresh().unwrap().is_none());
    assert_eq!(says(&world, "alarm", "stale-mirror"), 1, "once for as long as it lasts");
    assert_eq!(alarm(&drive).as_deref(), Some("stale-mirror"));
    drive.announced = 1;
    assert!(drive.refresh().unwrap().is_some());
    assert_eq!(says(&world, "alarm-over", "stale-mirror"), 1);
    assert_eq!(alarm(&drive), None);
}

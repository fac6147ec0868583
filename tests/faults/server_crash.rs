//! The whole server under load against `kill -9` and against power loss: it always starts again,
//! and has every claim and every poll that it acknowledged. The environment says how long to try:
//! `LAZARET_FAULT_ROUNDS` the lives of each test, `LAZARET_FAULT_SEED` the seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use dice::Dice;
use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::peer::{Peer, claim_request, poll};
use lazaret_tests::programs::Programs;
use lazaret_tests::site::Site;
use power::Unsynced;

mod dice;
mod power;

/// Clients that make claims at the same time, so that commits meet in groups.
const CLAIMERS: usize = 4;

/// Devices that poll at the same time.
const POLLERS: usize = 3;

#[test]
fn a_killed_server_starts_again_with_all_that_it_acknowledged() {
    // Else a crash of the server forgets an enrolled machine, or lets an old poll be played again.
    let folder = tempfile::tempdir().unwrap();
    let (mut site, peers) = populated(folder.path());
    let mut dice = Dice::new(setting("LAZARET_FAULT_SEED").unwrap_or(1));
    let mut told = Told::default();
    for life in 0..setting("LAZARET_FAULT_ROUNDS").unwrap_or(50) {
        let lasts = Duration::from_millis(100 + dice.below(500));
        let fresh = live(&mut site, &peers, &told, (life, lasts));
        site.start_server().unwrap();
        told.check(&site, &peers, &fresh);
        told.add(fresh);
    }
    told.check_all(&site, &peers);
}

#[test]
fn a_server_that_lost_power_starts_again_with_all_that_it_acknowledged() {
    // Else an operator was told of a claim that existed only in the memory of a disk.
    let place = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let folder = tempfile::tempdir_in(place).unwrap();
    let (mut site, peers) = populated(folder.path());
    let (world, shadow) = (site.folder.join("data"), site.folder.join("shadow"));
    let shim = power::shim();
    let variables =
        [("LD_PRELOAD", shim), ("POWERLOSS_WATCH", &world), ("POWERLOSS_SHADOW", &shadow)];
    let mut dice = Dice::new(setting("LAZARET_FAULT_SEED").unwrap_or(1));
    let mut told = Told::default();
    for life in 0..setting("LAZARET_FAULT_ROUNDS").unwrap_or(25) {
        site.kill_server().unwrap();
        let _first = fs::remove_dir_all(&shadow);
        fs::create_dir(&shadow).unwrap();
        power::settle(&world, &shadow);
        let settled = SystemTime::now();
        site.start_server_under(&variables).unwrap();
        let lasts = Duration::from_millis(50 + dice.below(400));
        let fresh = live(&mut site, &peers, &told, (life, lasts));
        assert!(was_synced(&shadow, settled), "the shim saw no sync, so nothing is tested");
        let unsynced = if dice.coin() { Unsynced::Lost } else { Unsynced::Scattered };
        power::lose(&world, &shadow, unsynced, &mut dice);
        site.start_server().unwrap();
        told.check(&site, &peers, &fresh);
        told.add(fresh);
    }
    told.check_all(&site, &peers);
}

/// A site with a running server and enrolled devices.
fn populated(folder: &Path) -> (Site, Vec<Peer>) {
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.join("site")).unwrap();
    site.init().unwrap();
    // What is acknowledged is looked for as fast as it can be.
    let settings = site.folder.join("server.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let door = "[front_door]\npeer_requests_per_second = 1000000\npeer_requests_burst = 1000000\n";
    fs::write(&settings, format!("{text}{door}")).unwrap();
    site.start_server().unwrap();
    let peers = (0..POLLERS).map(|at| Peer::enrol(&site, &format!("d-{at}")).unwrap()).collect();
    (site, peers)
}

/// Whether the shim has copied anything since.
fn was_synced(shadow: &Path, since: SystemTime) -> bool {
    let entries = fs::read_dir(shadow).unwrap().map(Result::unwrap);
    entries.into_iter().any(|entry| entry.metadata().unwrap().modified().unwrap() > since)
}

/// One acknowledgement.
enum Ack {
    Claim(String),
    Poll { device: usize, sequence: u64 },
}

/// What was acknowledged.
#[derive(Debug, Default)]
struct Told {
    claims: BTreeSet<String>,
    /// The highest number of each device.
    polls: BTreeMap<usize, u64>,
}

impl Told {
    fn note(&mut self, ack: Ack) {
        match ack {
            Ack::Claim(serial) => {
                self.claims.insert(serial);
            }
            Ack::Poll { device, sequence } => {
                self.polls.insert(device, sequence);
            }
        }
    }

    fn add(&mut self, mut fresh: Self) {
        self.claims.append(&mut fresh.claims);
        self.polls.append(&mut fresh.polls);
    }

    /// What this life was told, and the last of what the lives before it were told.
    fn check(&self, site: &Site, peers: &[Peer], fresh: &Self) {
        let last = self.claims.iter().next_back();
        check_claims(site, fresh.claims.iter().chain(last));
        for (device, peer) in peers.iter().enumerate() {
            let acknowledged = fresh.polls.get(&device).or_else(|| self.polls.get(&device));
            let Some(sequence) = acknowledged else { continue };
            let answer = peer.connect(site).unwrap();
            let answer = { answer }.tell("POST", "/v1/poll", &poll(*sequence)).unwrap();
            assert_eq!(answer.code(), "replay", "{} poll {sequence}: {answer:?}", peer.id);
        }
    }

    /// Everything, and that the log of events says the same.
    fn check_all(&self, site: &Site, peers: &[Peer]) {
        assert!(self.claims.len() > 100, "only {} claims were made", self.claims.len());
        assert_eq!(self.polls.len(), peers.len(), "a device never polled");
        check_claims(site, self.claims.iter());
        let logged = claims_in_events(site);
        let unlogged: Vec<_> = self.claims.difference(&logged).collect();
        assert!(unlogged.is_empty(), "claims without their event: {unlogged:?}");
    }
}

fn check_claims<'a>(site: &Site, serials: impl Iterator<Item = &'a String>) {
    let mut ana = operator(site).unwrap();
    for serial in serials {
        // A serial number that has a claim gets no other one.
        let again = claim_request(serial, "somebody-else");
        let answer = ana.tell("POST", "/v1/claims", &again).unwrap();
        assert_eq!(answer.code(), "conflict", "the claim of {serial} is lost: {answer:?}");
    }
}

fn claims_in_events(site: &Site) -> BTreeSet<String> {
    let mut ana = operator(site).unwrap();
    let (mut serials, mut after) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = ana.look(&format!("/v1/events?after={after}&limit=1000")).unwrap().json();
        for item in page["items"].as_array().expect("a page of events") {
            let serial = item["event"]["serial"].as_str().unwrap_or_default().to_owned();
            assert!(
                item["event"]["event"] != "claim-made" || serials.insert(serial),
                "a claim was logged twice: {item}"
            );
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return serials,
        }
    }
}

fn operator(site: &Site) -> anyhow::Result<Connection> {
    let ana = tls(site, Some(&Credential::operator(site, "ana")?))?;
    Connection::open(site.operator_port, &ana)
}

/// Loads the server for so long, kills it in the middle of it, and gives what was acknowledged.
fn live(site: &mut Site, peers: &[Peer], before: &Told, (life, lasts): (u64, Duration)) -> Told {
    let (say, said) = mpsc::channel();
    let mut fresh = Told::default();
    std::thread::scope(|scope| {
        for claimer in 0..CLAIMERS {
            let (ana, say) = (operator(site).unwrap(), say.clone());
            scope.spawn(move || make_claims(ana, &format!("c-{life:04}-{claimer}"), &say));
        }
        for (device, peer) in peers.iter().enumerate() {
            let (open, say) = (peer.connect(site).unwrap(), say.clone());
            // The poll after the last acknowledged one may have been committed and not answered.
            let next = before.polls.get(&device).map_or(1, |last| last + 2);
            scope.spawn(move || make_polls(open, device, next, &say));
        }
        drop(say);
        listen(&said, Instant::now() + lasts, &mut fresh);
        site.kill_server().unwrap();
    });
    said.into_iter().for_each(|ack| fresh.note(ack));
    fresh
}

fn listen(said: &Receiver<Ack>, end: Instant, fresh: &mut Told) {
    while let Ok(ack) = said.recv_timeout(end.saturating_duration_since(Instant::now())) {
        fresh.note(ack);
    }
}

/// Until the server is gone. Any other answer than a success is a failure of the test.
fn make_claims(mut ana: Connection, prefix: &str, say: &Sender<Ack>) {
    for number in 0.. {
        let serial = format!("{prefix}-{number:05}");
        let request = claim_request(&serial, &format!("of-{serial}"));
        let Ok(answer) = ana.tell("POST", "/v1/claims", &request) else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        say.send(Ack::Claim(serial)).unwrap();
    }
}

fn make_polls(mut open: Connection, device: usize, next: u64, say: &Sender<Ack>) {
    for sequence in next.. {
        let Ok(answer) = open.tell("POST", "/v1/poll", &poll(sequence)) else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        say.send(Ack::Poll { device, sequence }).unwrap();
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("expected a number in {name}, got {text:?}")))
}

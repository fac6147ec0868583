//! Several servers over one database: whoever is slower decides again, so that what is decided once
//! is decided once. Two servers are two stores over one engine, in two threads that load the same
//! records, wait for each other, and commit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::sync::{Arc, Barrier};

use futures_util::FutureExt as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::poll::{LogHead, PollRequest, SlotHealth};
use lazaret_protocol::signed::DevicePeer;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::Fact;
use lazaret_server_domain::poll::{PollContext, PollView, Polled, RolloutPart, decide};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::rollout::advance::{CordState, advance, halt};
use lazaret_server_domain::rollout::cord::Cord;
use lazaret_server_domain::rollout::policy::Policy;
use lazaret_server_domain::rollout::state::{
    Assigned, Assignment, AssignmentState, Rollout, assignment_name,
};
use lazaret_server_domain::rollout::tally::{Heard, Tally};
use lazaret_server_domain_sim::{Scenario, planned};
use lazaret_server_store::backends::memory::Memory;
use lazaret_server_store::{Store, StoreError};
use serde_json::json;

/// Races of each kind. One is decided by chance; this many are not.
const ROUNDS: usize = 200;

/// Commits in a row that two servers may have to decide again.
const TRIES: usize = 5;

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the engine in memory never waits")
}

/// A rollout of two groups without caps over ten devices, of which one is in the second.
struct World {
    stores: [Store; 2],
    rollout: Rollout,
    devices: Vec<Device>,
}

impl World {
    fn new(state: impl Fn(Timestamp) -> AssignmentState) -> Self {
        let policy: Policy = serde_json::from_value(json!({
            "name": "race", "approvals": 0,
            "group": [{ "name": "one", "permille": 500 }, { "name": "two", "rest": true }],
        }))
        .unwrap();
        let (first, rollout, part) = planned(&Scenario::calm(20, 1), &policy).unwrap();
        let engine = Arc::new(Memory::new());
        let stores = [Store::new(engine.clone()), Store::new(engine)];
        let mut devices = Vec::new();
        for n in 0..10 {
            let id: DeviceId = format!("r-{n}").parse().unwrap();
            let device = Device { id: id.clone(), ..first.clone() };
            // One waits in the second group, so that the rollout is not over at once.
            let (group, state) = match n {
                9 => (1, AssignmentState::Waiting),
                _ => (0, state(rollout.started)),
            };
            let part = Assignment { device: id.clone(), group, state, ..part.clone() };
            let assigned = Assigned { device: id, rollout: rollout.id.clone() };
            let all = Decision::reply(()).put(&device).put(&part).put(&assigned);
            now(stores[0].commit(all)).unwrap().into_reply();
            devices.push(device);
        }
        now(stores[0].commit(Decision::reply(()).put(&rollout))).unwrap().into_reply();
        Self { stores, rollout, devices }
    }

    /// Both servers do the same at the same time; what each came to.
    fn race<T: Send>(&self, act: impl Fn(&Store, &Barrier) -> T + Sync) -> [T; 2] {
        let barrier = Barrier::new(2);
        let (one, two) = (&self.stores[0], &self.stores[1]);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| act(two, &barrier));
            let mine = act(one, &barrier);
            [mine, other.join().unwrap()]
        })
    }

    fn facts(&self) -> Vec<Fact> {
        let events = now(self.stores[0].events(0, 1000)).unwrap();
        events.into_iter().map(|(_, event)| event.fact).collect()
    }

    fn count(&self, is: impl Fn(&Fact) -> bool) -> usize {
        self.facts().iter().filter(|fact| is(fact)).count()
    }
}

/// Decides and commits as the server does, again where another was faster. The first decision waits
/// for the other server's.
fn commit<R>(store: &Store, barrier: &Barrier, decide: impl Fn() -> Decision<R>) -> R {
    for n in 0..TRIES {
        let decision = decide();
        if n == 0 {
            barrier.wait();
        }
        match now(store.commit(decision)) {
            Ok(committed) => return committed.into_reply(),
            Err(StoreError::Changed { .. }) => {}
            Err(err) => panic!("{err:?}"),
        }
    }
    panic!("decided {TRIES} times, and every time another was faster");
}

/// What the reconciler of one server does with a rollout.
fn step(store: &Store, world: &World, at: Timestamp) -> Decision<Vec<u64>> {
    let id = world.rollout.id.as_str();
    let found: Found<Rollout> = now(store.find(id)).unwrap();
    let tally: Found<Tally> = now(store.find(id)).unwrap();
    let parts: Vec<Assignment> = now(store.list_all(&format!("{id}/"))).unwrap();
    let heard = Heard { last_seen: Some(at), sick: false };
    let counted = Tally::count(&world.rollout, parts.iter().map(|part| (part, heard)), at);
    advance(&found, &tally, &counted, (CordState::Free, at))
}

#[test]
fn two_servers_that_open_a_group_open_it_once() {
    // If this failed, a group would be opened, and counted, once by each server.
    for _ in 0..ROUNDS {
        let world = World::new(|at| AssignmentState::Ended { outcome: Outcome::Done, at });
        let later = world.rollout.started.plus_ms(1000);
        world.race(|store, barrier| commit(store, barrier, || step(store, &world, later)));
        assert_eq!(world.count(|fact| matches!(fact, Fact::GroupPassed { group: 0, .. })), 1);
        assert_eq!(world.count(|fact| matches!(fact, Fact::GroupOpened { group: 1, .. })), 1);
        let after: Found<Rollout> = now(world.stores[1].find(world.rollout.id.as_str())).unwrap();
        let states: Vec<GroupState> =
            after.value.unwrap().groups.iter().map(|group| group.state).collect();
        assert_eq!(states, [GroupState::Passed, GroupState::Open]);
    }
}

#[test]
fn a_halt_that_races_an_open_group_always_holds() {
    // If this failed, a person's halt could be undone by a server that was just opening a group.
    for _ in 0..ROUNDS {
        let world = World::new(|at| AssignmentState::Ended { outcome: Outcome::Done, at });
        let later = world.rollout.started.plus_ms(1000);
        let first = std::sync::atomic::AtomicBool::new(true);
        world.race(|store, barrier| {
            let halts = first.swap(false, std::sync::atomic::Ordering::SeqCst);
            if halts {
                commit(store, barrier, || {
                    let found: Found<Rollout> = now(store.find(world.rollout.id.as_str())).unwrap();
                    halt(&found, "ana", "smoke", later).unwrap().with_reply(vec![])
                })
            } else {
                commit(store, barrier, || step(store, &world, later))
            }
        });
        let after: Found<Rollout> = now(world.stores[0].find(world.rollout.id.as_str())).unwrap();
        assert_eq!(after.value.unwrap().state, RolloutState::Halted);
        assert_eq!(world.count(|fact| matches!(fact, Fact::RolloutHalted { .. })), 1);
    }
}

#[test]
fn two_servers_that_answer_the_same_poll_offer_once() {
    // If this failed, a device whose request was repeated by the network would get two orders.
    for round in 0..ROUNDS {
        let world = World::new(|_| AssignmentState::Waiting);
        let device = &world.devices[round % 9];
        let outcomes = world.race(|store, barrier| {
            commit(store, barrier, || match answered(store, &world, device) {
                Polled::Answered(decision) => decision.with_reply("answered"),
                Polled::Recorded(decision) => decision.with_reply("replay"),
            })
        });
        let mut outcomes = outcomes.to_vec();
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["answered", "replay"]);
        assert_eq!(world.count(|fact| matches!(fact, Fact::Ordered { .. })), 1);
        let after: Found<Device> = now(world.stores[0].find(device.id.as_str())).unwrap();
        assert_eq!(after.value.unwrap().open_orders.len(), 1);
    }
}

/// What one server makes of the first poll of a device.
fn answered(store: &Store, world: &World, device: &Device) -> Polled {
    let id = device.id.as_str();
    let rollout = &world.rollout;
    let view = PollView {
        evidence: None,
        device: now(store.find(id)).unwrap(),
        assigned: now(store.find(id)).unwrap(),
        parts: vec![RolloutPart {
            rollout: now(store.find(rollout.id.as_str())).unwrap(),
            assignment: now(store.find(&assignment_name(&rollout.id, &device.id))).unwrap(),
        }],
        cord: now(store.find(Cord::NAME)).unwrap(),
        witnessed: now(store.find(id)).unwrap(),
        numbers: vec![],
    };
    let request = PollRequest {
        sequence: device.poll_sequence + 1,
        model: device.model.clone(),
        running: device.running.clone(),
        update_state: "idle".into(),
        other_slot: SlotHealth::Unknown,
        boot_count: 1,
        tuf_timestamp_version: 1,
        order_sequence: 0,
        log_head: LogHead { size: 1, hash: Sha256Digest::of(b"") },
        quarantined: false,
        containment: None,
        boot: None,
        hold_ms: 0,
        posture: None,
        nonce: None,
        logs: vec![],
    };
    let context = PollContext {
        now: rollout.started.plus_ms(1000),
        tuf_timestamp_version: 1,
        poll_interval_ms: 1000,
        certificate_life_ms: 1000,
        nonce: Sha256Digest::of(b"nonce"),
        shown: None,
        bindings: lazaret_server_domain::number::Bindings::default(),
    };
    let peer = DevicePeer::from_checked_certificate(device.id.clone());
    decide(&view, &peer.vouch(request), context).unwrap()
}

//! What holds for every history, with the power going between any two actions. A small world plays
//! the disk, the bootloader and the server.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use lazaret_protocol::containment::Terms;
use proptest::prelude::*;

use super::*;
use crate::journal::REPORTS_MAX;
use crate::record;

/// The disk, the bootloader and the server's memory of one device.
struct World {
    durable: Journal,
    journal: Journal,
    booted: Slot,
    /// Which slot the next start takes, and how many starts the new one has left.
    next: Slot,
    tries_left: Option<u8>,
    health: [SlotHealth; 2],
    now: Timestamp,
    device: DeviceId,
    model: ModelName,
    /// Reports that the server has, by order.
    reported: BTreeMap<u64, Vec<Outcome>>,
}

/// One stroke of fate.
#[derive(Debug, Clone)]
enum Stroke {
    /// Something happens; the power goes after so many actions, if at all.
    Event { which: usize, counter: u64, power_after: usize },
    /// Reports go out.
    Deliver,
    /// Time passes.
    Wait { ms: u64 },
}

impl World {
    fn new() -> Self {
        let journal = base();
        Self {
            durable: journal.clone(),
            journal,
            booted: Slot::A,
            next: Slot::A,
            tries_left: None,
            health: [SlotHealth::Good, SlotHealth::Unknown],
            now: NOW,
            device: device(),
            model: model(),
            reported: BTreeMap::new(),
        }
    }

    fn health_mut(&mut self, slot: Slot) -> &mut SlotHealth {
        let [a, b] = &mut self.health;
        if slot == Slot::A { a } else { b }
    }

    /// Carries an event out; the power goes after `power_after` actions.
    fn tell(&mut self, event: &Event, power_after: usize) {
        let at = Situation {
            now: self.now,
            device: &self.device,
            model: &self.model,
            booted: Some(self.booted),
            tries: 3,
        };
        let before = self.journal.clone();
        let (journal, actions) = step(&self.journal, event, &at);
        self.journal = journal;
        check_floors(&before, &self.journal);
        for (i, action) in actions.iter().enumerate() {
            if i == power_after || *action == Action::Restart {
                self.start();
                return;
            }
            self.act(action);
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::WriteJournal => {
                // What the power would leave is what is read back from the bytes.
                let bytes = record::encode(&self.journal).expect("the journal fits");
                let mut file = alloc::vec![0; record::JOURNAL_BYTES];
                let at = usize::try_from(record::place(self.journal.generation)).unwrap();
                file[at..at + record::RECORD_BYTES].copy_from_slice(&bytes);
                self.durable = record::decode(&file).expect("a record was written");
                assert_eq!(self.durable, self.journal);
            }
            Action::MarkUnknown { slot } => {
                assert_ne!(slot, self.booted, "the running slot is never forgotten");
                *self.health_mut(slot) = SlotHealth::Unknown;
            }
            Action::Arm { slot, tries } => {
                assert_ne!(slot, self.booted, "the running slot is never armed");
                assert_eq!(*self.health_mut(slot), SlotHealth::Unknown, "an old verdict was left");
                (self.next, self.tries_left) = (slot, Some(tries));
            }
            Action::MarkGood { slot } => {
                assert_eq!(slot, self.booted);
                *self.health_mut(slot) = SlotHealth::Good;
                self.tries_left = None;
            }
            Action::Revert { slot } => {
                *self.health_mut(slot) = SlotHealth::Bad;
                (self.next, self.tries_left) = (slot.other(), None);
            }
            Action::Log(_) | Action::Restart => {}
        }
    }

    /// The bootloader picks a slot, the agent starts from what is on disk.
    fn start(&mut self) {
        match self.tries_left {
            Some(0) => {
                let slot = self.next;
                self.act(&Action::Revert { slot });
            }
            Some(left) => self.tries_left = Some(left - 1),
            None => {}
        }
        self.booted = self.next;
        self.journal = self.durable.clone();
        let [a, b] = self.health;
        self.tell(&Event::Booted { a, b, last_words: String::new() }, usize::MAX);
    }

    fn deliver(&mut self) {
        for report in self.journal.reports.clone() {
            self.reported.entry(report.order).or_default().push(report.outcome);
            self.tell(&Event::Acknowledged { order: report.order }, usize::MAX);
        }
    }

    fn event(&self, which: usize, counter: u64) -> Event {
        let next = self.journal.order_sequence + 1 + counter % 2;
        let install = self.journal.update.install().map_or(counter, |install| install.order);
        let why = Reason::new("why");
        match which {
            0 => Event::Ordered(Order {
                expires: self.now.plus_ms(500),
                ..order(next, install_kind("v2"))
            }),
            1 => Event::Ordered(Order {
                expires: self.now.plus_ms(500),
                ..order(next, OrderKind::Halt { install })
            }),
            2 => Event::Ordered(Order {
                expires: self.now.plus_ms(500),
                ..order(
                    next,
                    OrderKind::Collect {
                        bundle: "b-1".parse().unwrap(),
                        wanted: Wanted::default(),
                    },
                )
            }),
            // A replay, or a lapsed one.
            3 => Event::Ordered(order(counter % 20, install_kind("v2"))),
            4 => Event::Ordered(Order { expires: NOW, ..order(next, install_kind("v2")) }),
            5 => Event::Resolved(offer(counter)),
            6 => Event::Unresolved { code: "unknown-target".into(), reason: why },
            7 => Event::StageAdvanced { offset: counter, fetched: counter },
            8 | 14 => Event::StageEnded { fetched: counter },
            9 => Event::StageFailed { code: "code".into(), reason: why, fetched: counter },
            10 | 15 => Event::ReadyToArm,
            11 | 16 => Event::Healthy,
            12 => Event::Unhealthy { reason: why },
            13 => Event::Collected,
            17 if counter == 0 => Event::Ordered(order(
                next,
                OrderKind::Quarantine { reason: "suspicion".into(), terms: Terms::default() },
            )),
            18 => Event::TufAdvanced {
                floors: Floors {
                    root: counter,
                    timestamp: counter,
                    roles: [("targets".into(), counter)].into(),
                    ..Floors::default()
                },
                expires: Some(Timestamp::from_ms(counter * 300_000)),
            },
            21 => Event::Ordered(Order {
                expires: self.now.plus_ms(500),
                ..order(next, revert_kind("v1"))
            }),
            20 => Event::DeltaDoubted { reason: why, fetched: counter },
            19 => Event::TimeTold { time: Timestamp::from_ms(counter * 100_000) },
            _ => Event::Woke,
        }
    }

    /// Lets everything come to its end, as an agent does that nobody disturbs.
    fn finish(&mut self) {
        for _ in 0..8 {
            self.now = self.now.plus_ms(1000);
            self.tell(&Event::Woke, usize::MAX);
            self.tell(&Event::Healthy, usize::MAX);
            self.deliver();
        }
    }
}

fn check_floors(before: &Journal, after: &Journal) {
    assert!(after.release_floor >= before.release_floor, "the release floor went down");
    assert!(after.time_floor >= before.time_floor, "the time floor went down");
    assert!(after.order_sequence >= before.order_sequence, "the order sequence went down");
    let (tuf, tuf_before) = (&after.tuf, &before.tuf);
    assert!(tuf.root >= tuf_before.root && tuf.timestamp >= tuf_before.timestamp);
    for (role, version) in &tuf_before.roles {
        assert!(tuf.roles.get(role) >= Some(version), "the floor of {role} went down");
    }
    if before.quarantine != Quarantine::Free {
        assert_ne!(after.quarantine, Quarantine::Free, "quarantine ended by itself");
    }
    assert!(after.reports.len() <= REPORTS_MAX);
}

fn strokes() -> impl Strategy<Value = Vec<Stroke>> {
    let power = prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..4];
    let event = (0_usize..22, 0_u64..6, power)
        .prop_map(|(which, counter, power_after)| Stroke::Event { which, counter, power_after });
    let stroke = prop_oneof![
        20 => event,
        2 => Just(Stroke::Deliver),
        1 => (0_u64..700).prop_map(|ms| Stroke::Wait { ms }),
    ];
    prop::collection::vec(stroke, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_accepted_order_ends_in_exactly_one_report_wherever_the_power_goes(
        history in strokes(),
    ) {
        let mut world = World::new();
        let mut accepted = Vec::new();
        for stroke in history {
            let before = world.durable.order_sequence;
            match stroke {
                Stroke::Event { which, counter, power_after } => {
                    let event = world.event(which, counter);
                    world.tell(&event, power_after);
                }
                Stroke::Deliver => world.deliver(),
                Stroke::Wait { ms } => world.now = world.now.plus_ms(ms),
            }
            if world.durable.order_sequence > before {
                accepted.push(world.durable.order_sequence);
            }
            // What runs was kept at or above the floor, or is in its trial.
            let running = world.journal.slots.release(world.booted).map(|r| r.counter);
            if matches!(world.journal.update, Update::Idle) {
                prop_assert!(running >= Some(world.journal.release_floor));
            }
        }
        world.finish();
        prop_assert_eq!(&world.journal.update, &Update::Idle);
        prop_assert_eq!(&world.journal.collection, &Collection::Idle);
        for (order, outcomes) in &world.reported {
            prop_assert_eq!(outcomes.len(), 1, "order {} was reported as {:?}", order, outcomes);
        }
        let reported: Vec<u64> = world.reported.keys().copied().collect();
        prop_assert_eq!(reported, accepted);
    }

    #[test]
    fn an_order_that_is_not_above_the_last_changes_nothing(
        sequence in 0_u64..=10,
        which in 0_usize..5,
    ) {
        let kinds = [
            install_kind("v2"),
            revert_kind("v1"),
            OrderKind::Halt { install: 10 },
            OrderKind::Quarantine { reason: "suspicion".into(), terms: Terms::default() },
            OrderKind::Collect { bundle: "b-1".parse().unwrap(), wanted: Wanted::default() },
        ];
        let (device, model) = (device(), model());
        for state in states() {
            let event = Event::Ordered(order(sequence, kinds[which].clone()));
            let (after, actions) = step(&state, &event, &situation(&device, &model, Slot::A, NOW));
            prop_assert_eq!(&after, &state);
            prop_assert!(actions.iter().all(|action| matches!(action, Action::Log(_))));
        }
    }
}

//! Every rule keeps one contract; suspicions add up, are told within a budget, and contain nobody.

use super::*;
use alloc::vec;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::order::Outcome;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_ms(1_795_428_000_000);

fn device() -> DeviceId {
    "d-1".parse().unwrap()
}

/// What each rule is to see, and an event that looks like it and says nothing.
fn stories() -> Vec<(&'static str, Fact, Fact)> {
    let digest = Sha256Digest::of(b"x");
    let quiet = || Fact::QuarantineConfirmed { device: device() };
    let ended = |code: &str| Fact::OrderEnded {
        device: device(),
        order: 1,
        outcome: Outcome::Failed { code: code.into(), reason: "runs another".into() },
        rollout: None,
        bytes_fetched: 0,
    };
    let forked = Fact::LogForked {
        device: device(),
        ring: lazaret_protocol::poll::LogRing::Security,
        held: "a".into(),
        came: "b".into(),
    };
    let clone = Fact::CloneSuspected {
        device: device(),
        sign: "nonce-broken".into(),
        evidence: "x".into(),
    };
    let changed = Fact::NumberChanged {
        device: device(),
        kind: "imei".into(),
        expected: None,
        got: digest,
        held: false,
    };
    let shared = Fact::NumberShared {
        device: device(),
        with: "d-2".parse().unwrap(),
        kind: "imei".into(),
        got: digest,
    };
    let reused = Fact::ClaimReused { serial: "s-1".parse().unwrap(), device: device() };
    vec![
        ("log-forked", forked, quiet()),
        ("log-regressed", Fact::LogRegressed { device: device(), known: 9, got: 3 }, quiet()),
        ("clone", clone, quiet()),
        ("replay", Fact::PollReplayed { device: device(), expected_above: 4, got: 2 }, quiet()),
        ("number-changed", changed, quiet()),
        ("number-shared", shared, quiet()),
        ("claim-reused", reused, quiet()),
        ("wrong-digest", ended("wrong-digest"), ended("probe-failed")),
        ("not-contained", Fact::NotContained { device: device(), why: "nft".into() }, quiet()),
    ]
}

fn event(fact: Fact, at: Timestamp) -> Event {
    Event { at, fact }
}

#[test]
fn every_rule_speaks_of_its_case_in_words_and_of_nothing_else() {
    let stories = stories();
    for rule in RULES {
        let (_, bad, good) = stories
            .iter()
            .find(|(name, ..)| *name == rule.name)
            .unwrap_or_else(|| panic!("{} has no story", rule.name));
        let (said, of, word) = concerned(&event(bad.clone(), NOW)).unwrap();
        assert_eq!((said.name, of), (rule.name, device()));
        assert!(!word.is_empty() && word.len() < 4096, "{word}");
        assert!((1..=100).contains(&rule.score) && !rule.about.is_empty());
        let again = concerned(&event(bad.clone(), NOW)).unwrap();
        assert_eq!(again.2, word, "the same event says the same");
        assert!(concerned(&event(good.clone(), NOW)).is_none(), "{good:?}");
    }
    assert_eq!(stories.len(), RULES.len());
}

#[derive(Default)]
struct Desk {
    suspicion: Option<Suspicion>,
    watch: Watch,
    facts: Vec<Fact>,
    number: u64,
}

impl Desk {
    fn hear(&mut self, fact: Fact, at: Timestamp, per_day: u64) {
        self.number += 1;
        let number = self.number;
        self.hear_as(number, fact, at, per_day);
    }

    fn hear_as(&mut self, number: u64, fact: Fact, at: Timestamp, per_day: u64) {
        let found =
            Found { key: "suspicion/d-1".into(), version: Some(1), value: self.suspicion.clone() };
        let watch = Found {
            key: "anomaly-watch/all".into(),
            version: Some(1),
            value: Some(self.watch.clone()),
        };
        let event = event(fact, at);
        let (rule, device, word) = concerned(&event).unwrap();
        let decision = take((&found, &watch), (rule, &device, &word), (number, &event), per_day);
        let parts = decision.into_parts().unwrap();
        for (key, bytes) in &parts.put {
            match key.as_str() {
                "suspicion/d-1" => {
                    self.suspicion = Some(crate::record::decode(key, bytes).unwrap());
                }
                "anomaly-watch/all" => self.watch = crate::record::decode(key, bytes).unwrap(),
                other => panic!("{other} was written: an anomaly changes no device"),
            }
        }
        self.facts.extend(parts.events.into_iter().map(|event| event.fact));
    }

    fn told(&self) -> usize {
        let told = |fact: &&Fact| matches!(fact, Fact::AnomalySuspected { .. });
        self.facts.iter().filter(told).count()
    }

    fn score(&self) -> u32 {
        self.suspicion.as_ref().map_or(0, Suspicion::score)
    }
}

fn replay(got: u64) -> Fact {
    Fact::PollReplayed { device: device(), expected_above: 4, got }
}

fn regressed() -> Fact {
    Fact::LogRegressed { device: device(), known: 9, got: 3 }
}

#[test]
fn one_rule_counts_once_and_people_are_told_again_only_of_what_got_twice_as_bad() {
    let mut desk = Desk::default();
    for got in 0..100 {
        desk.hear(replay(got), NOW.plus_ms(got), 10);
    }
    assert_eq!((desk.score(), desk.told()), (20, 1));
    let reason = &desk.suspicion.as_ref().unwrap().reasons[0];
    assert_eq!((reason.count, reason.first), (100, NOW));
    desk.hear(regressed(), NOW.plus_ms(1000), 10);
    assert_eq!((desk.score(), desk.told()), (80, 1), "within the day nobody is told again");
    desk.hear(regressed(), NOW.plus_ms(2 * DAY_MS), 10);
    assert_eq!(desk.told(), 2);
}

#[test]
fn a_day_tells_no_more_than_its_budget_and_says_how_many_it_kept_back() {
    let mut watch = Watch::default();
    let told = (0..7).filter(|_| watch.may_tell(NOW, 3)).count();
    assert_eq!((told, watch.kept_back), (3, 4));
    assert!(watch.may_tell(NOW.plus_ms(DAY_MS), 3), "a day later there are places again");
    assert_eq!((watch.told, watch.kept_back), (1, 0));
    let mut desk = Desk::default();
    desk.hear(replay(1), NOW, 0);
    assert_eq!((desk.told(), desk.score()), (0, 20), "it is kept, and listed");
    desk.hear(replay(2), NOW.plus_ms(DAY_MS), 1);
    assert_eq!(desk.told(), 1, "it is told once there is room");
}

#[test]
fn what_was_dismissed_is_suspected_anew_by_what_comes_later_alone() {
    let mut desk = Desk::default();
    desk.hear(regressed(), NOW, 10);
    let found =
        Found { key: "suspicion/d-1".into(), version: Some(1), value: desk.suspicion.clone() };
    let by = "ana".parse().unwrap();
    let dismissed = dismiss(&found, "restored from a backup", (&by, NOW.plus_ms(10))).unwrap();
    let parts = dismissed.into_parts().unwrap();
    desk.suspicion = Some(crate::record::decode(&parts.put[0].0, &parts.put[0].1).unwrap());
    desk.hear(regressed(), NOW.plus_ms(5), 10);
    assert!(desk.suspicion.as_ref().unwrap().dismissed.is_some(), "that was before");
    desk.hear(replay(1), NOW.plus_ms(20), 10);
    assert_eq!((desk.score(), desk.told()), (20, 2), "old reasons do not count");
    let none = Found { value: None, ..found };
    assert!(dismiss(&none, "x", (&by, NOW)).is_err());
}

proptest! {
    #[test]
    fn events_that_are_looked_at_twice_change_nothing(
        order in proptest::collection::vec(0usize..9, 1..30),
    ) {
        let stories = stories();
        let run = |twice: bool| {
            let mut desk = Desk::default();
            for (number, at) in (1u64..).zip(&order) {
                let fact = &stories[*at].1;
                desk.hear_as(number, fact.clone(), NOW.plus_ms(number), 5);
                if twice {
                    desk.hear_as(number, fact.clone(), NOW.plus_ms(number), 5);
                }
            }
            desk
        };
        let (once, twice) = (run(false), run(true));
        prop_assert_eq!(&once.suspicion, &twice.suspicion);
        prop_assert_eq!(once.told(), twice.told());
        prop_assert!(once.score() <= RULES.iter().map(|rule| rule.score).sum());
        prop_assert_eq!(once.watch.cursor, order.len() as u64);
    }
}

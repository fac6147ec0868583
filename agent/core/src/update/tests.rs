//! The table of every state and every event, and single rules. The properties are in `properties`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::containment::{Level, Terms};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName};
use lazaret_protocol::order::{Order, OrderKind, Outcome, Wanted};
use lazaret_protocol::poll::SlotHealth;
use lazaret_protocol::target::{EmergencyCustom, ImageCustom, Schedule, ScheduleStep};
use lazaret_protocol::time::Timestamp;

use super::*;
use crate::event::Offer;
use crate::journal::{BY_HAND, ByHand, Direction, Overrule, Pace, Quarantine};
use crate::slot::{Release, Slot};

mod properties;

const NOW: Timestamp = Timestamp::from_ms(1_000_000);
const LATER: Timestamp = Timestamp::from_ms(2_000_000);

fn device() -> DeviceId {
    "d-1".parse().unwrap()
}

fn model() -> ModelName {
    "gw2".parse().unwrap()
}

fn release(counter: u64) -> Release {
    Release {
        version: format!("v{counter}").parse().unwrap(),
        counter,
        sha256: Sha256Digest::of(&counter.to_le_bytes()),
        length: 1000,
    }
}

fn order(sequence: u64, kind: OrderKind) -> Order {
    Order { device: device(), sequence, issued: NOW, expires: LATER, kind }
}

fn install_kind(version: &str) -> OrderKind {
    OrderKind::Install {
        rollout: "r-1".parse().unwrap(),
        model: model(),
        version: version.parse().unwrap(),
    }
}

fn revert_kind(version: &str) -> OrderKind {
    OrderKind::Revert {
        rollout: "r-2".parse().unwrap(),
        model: model(),
        version: version.parse().unwrap(),
    }
}

fn offer(counter: u64) -> Offer {
    Offer {
        release: release(counter),
        custom: ImageCustom {
            counter,
            needs: 0,
            floor: counter.saturating_sub(1),
            model: model(),
            schedule: Schedule::everybody_from("salt", NOW),
        },
        emergency: None,
        free_bytes: 5000,
    }
}

fn install() -> Install {
    Install {
        order: 10,
        expires: LATER,
        rollout: "r-1".parse().unwrap(),
        version: "v2".parse().unwrap(),
        direction: Direction::Onwards,
        cure: false,
        by_hand: None,
    }
}

fn target() -> Target {
    let (route, pace) = (Route::Delta, Pace::Ordinary);
    Target { release: release(2), floor: 1, slot: Slot::B, fetched: 400, route, pace }
}

/// A device that runs release 1 in slot A and has accepted orders up to 10.
fn base() -> Journal {
    let mut journal =
        Journal { order_sequence: 10, release_floor: 1, time_horizon: LATER, ..Journal::fresh() };
    journal.slots.set(Slot::A, Content::Holds(release(1)));
    journal
}

fn with(update: Update) -> Journal {
    Journal { update, ..base() }
}

fn states() -> Vec<Journal> {
    let (install, target) = (install(), target());
    let mut quarantined = base();
    quarantined.quarantine = Quarantine::Held {
        order: 9,
        reason: Reason::new("suspicion"),
        level: Level::Restrict,
        pending: false,
    };
    let mut collecting = base();
    collecting.collection = Collection::Collecting {
        order: 9,
        expires: LATER,
        bundle: "b-1".parse().unwrap(),
        wanted: Wanted::default(),
    };
    alloc::vec![
        base(),
        quarantined,
        collecting,
        with(Update::Accepted(install.clone())),
        with(Update::Staging { install: install.clone(), target: target.clone(), offset: 200 }),
        with(Update::Staged { install: install.clone(), target: target.clone() }),
        with(Update::Armed { install: install.clone(), target: target.clone() }),
        with(Update::Trial { install: install.clone(), target: target.clone() }),
        with(Update::RollingBack { install, target, reason: Reason::new("it broke") }),
    ]
}

/// Where an event is met: on the old slot or on the new one, in time or late.
fn situation<'a>(
    device: &'a DeviceId,
    model: &'a ModelName,
    booted: Slot,
    now: Timestamp,
) -> Situation<'a> {
    Situation { now, device, model, booted: Some(booted), tries: 3 }
}

fn events() -> Vec<(&'static str, Event, Slot, Timestamp)> {
    use SlotHealth::{Bad, Good, Unknown};
    let (a, b) = (Slot::A, Slot::B);
    let why = Reason::new("why");
    let code = String::from("code");
    let halt = OrderKind::Halt { install: 10 };
    let enter = OrderKind::Quarantine { reason: "suspicion".into(), terms: Terms::default() };
    let collect = OrderKind::Collect { bundle: "b-2".parse().unwrap(), wanted: Wanted::default() };
    alloc::vec![
        (
            "booted a, b unknown",
            Event::Booted { a: Good, b: Unknown, last_words: String::new() },
            a,
            NOW
        ),
        ("booted a, b bad", Event::Booted { a: Good, b: Bad, last_words: String::new() }, a, NOW),
        (
            "booted b, unknown",
            Event::Booted { a: Good, b: Unknown, last_words: String::new() },
            b,
            NOW
        ),
        ("booted b, good", Event::Booted { a: Good, b: Good, last_words: String::new() }, b, NOW),
        ("poll due", Event::PollDue, a, NOW),
        ("time told", Event::TimeTold { time: NOW }, a, NOW),
        ("install", Event::Ordered(order(11, install_kind("v2"))), a, NOW),
        ("install, late", Event::Ordered(order(11, install_kind("v2"))), a, LATER),
        ("install, replayed", Event::Ordered(order(10, install_kind("v2"))), a, NOW),
        ("halt", Event::Ordered(order(11, halt)), a, NOW),
        ("quarantine", Event::Ordered(order(11, enter)), a, NOW),
        ("collect", Event::Ordered(order(11, collect)), a, NOW),
        ("woke", Event::Woke, a, NOW),
        ("woke, late", Event::Woke, a, LATER),
        ("resolved", Event::Resolved(offer(2)), a, NOW),
        ("unresolved", Event::Unresolved { code: code.clone(), reason: why.clone() }, a, NOW),
        ("stage advanced", Event::StageAdvanced { offset: 300, fetched: 500 }, a, NOW),
        ("delta doubted", Event::DeltaDoubted { reason: why.clone(), fetched: 500 }, a, NOW),
        ("stage ended", Event::StageEnded { fetched: 500 }, a, NOW),
        (
            "stage failed",
            Event::StageFailed { code: code.clone(), reason: why.clone(), fetched: 500 },
            a,
            NOW,
        ),
        ("ready to arm", Event::ReadyToArm, a, NOW),
        ("ready to arm, late", Event::ReadyToArm, a, LATER),
        ("healthy", Event::Healthy, b, NOW),
        ("unhealthy", Event::Unhealthy { reason: why.clone() }, b, NOW),
        ("collected", Event::Collected, a, NOW),
        ("collection failed", Event::CollectionFailed { code, reason: why }, a, NOW),
        ("applied by hand", by_hand("v2", Vec::new()), a, NOW),
    ]
}

fn by_hand(version: &str, overrules: Vec<Overrule>) -> Event {
    Event::AppliedByHand { model: model(), version: version.parse().unwrap(), overrules }
}

fn line(before: &Journal, name: &str, after: &Journal, actions: &[Action]) -> String {
    let mut text = format!("  {name:<20} -> ");
    if after == before && actions.is_empty() {
        return text + "nothing";
    }
    text += after.update.name();
    if after.quarantine != before.quarantine {
        text += " +quarantine";
    }
    if after.collection != before.collection {
        text += if after.collection == Collection::Idle { " -collecting" } else { " +collecting" };
    }
    if after.release_floor != before.release_floor {
        text += &format!(" floor {}", after.release_floor);
    }
    for report in after.reports.iter().skip(before.reports.len()) {
        let outcome = match &report.outcome {
            Outcome::Done => "done".to_string(),
            Outcome::Refused { code, .. } => format!("refused {code}"),
            Outcome::Failed { code, .. } => format!("failed {code}"),
            other => format!("{other:?}").to_lowercase(),
        };
        text += &format!(" [{} {outcome}]", report.order);
    }
    let words: Vec<String> = actions.iter().map(word).collect();
    text + " : " + &words.join(", ")
}

fn word(action: &Action) -> String {
    match action {
        Action::Log(event) => {
            let event = serde_json::to_value(event).unwrap();
            format!("log {}", event["event"].as_str().unwrap())
        }
        Action::WriteJournal => "journal".into(),
        Action::MarkUnknown { slot } => format!("forget {slot}"),
        Action::Arm { slot, tries } => format!("arm {slot} for {tries}"),
        Action::MarkGood { slot } => format!("mark {slot} good"),
        Action::Revert { slot } => format!("revert from {slot}"),
        Action::Restart => "restart".into(),
    }
}

#[test]
fn every_state_and_event() {
    let (device, model) = (device(), model());
    let mut table = String::new();
    for state in states() {
        table += state.update.name();
        if state.quarantine != Quarantine::Free {
            table += ", in quarantine";
        }
        if state.collection != Collection::Idle {
            table += ", collecting";
        }
        table += "\n";
        for (name, event, booted, now) in events() {
            let at = situation(&device, &model, booted, now);
            let (after, actions) = step(&state, &event, &at);
            table += &line(&state, name, &after, &actions);
            table += "\n";
        }
    }
    insta::assert_snapshot!(table);
}

/// The outcome with which an accepted install ends when TUF offers `offer`, none where staging
/// begins.
fn weighed(journal: &Journal, offer: Offer) -> Option<Outcome> {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let journal = Journal { update: Update::Accepted(install()), ..journal.clone() };
    let (after, _) = step(&journal, &Event::Resolved(offer), &at);
    after.reports.last().map(|report| report.outcome.clone())
}

fn code(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Refused { code, .. }) => code,
        other => format!("{other:?}"),
    }
}

#[test]
fn an_image_for_other_hardware_is_refused() {
    let mut other = offer(2);
    other.custom.model = "gw3".parse().unwrap();
    assert_eq!(code(weighed(&base(), other)), "wrong-model");
}

#[test]
fn an_image_below_the_floor_or_not_newer_is_refused() {
    assert_eq!(code(weighed(&base(), offer(0))), "below-floor");
    let floor = Journal { release_floor: 5, ..base() };
    assert_eq!(code(weighed(&floor, offer(4))), "below-floor");
    assert_eq!(weighed(&floor, offer(5)), None);
    let mut same_counter = offer(1);
    same_counter.release.sha256 = Sha256Digest::of(b"rebuilt");
    assert_eq!(code(weighed(&base(), same_counter)), "not-newer");
}

#[test]
fn an_image_that_needs_another_first_is_refused_until_that_runs() {
    let mut far = offer(5);
    far.custom.needs = 2;
    assert_eq!(code(weighed(&base(), far.clone())), "needs-step");
    far.custom.needs = 1;
    assert_eq!(weighed(&base(), far), None, "it runs counter 1");
}

#[test]
fn an_image_that_runs_already_is_done() {
    assert_eq!(weighed(&base(), offer(1)), Some(Outcome::Done));
}

#[test]
fn an_image_that_failed_here_is_refused_until_a_newer_one_is_kept() {
    let mut journal = base();
    let failed = release(2);
    journal.failed.push(FailedRelease { counter: failed.counter, sha256: failed.sha256 });
    assert_eq!(code(weighed(&journal, offer(2))), "failed-before");
    assert_eq!(weighed(&journal, offer(3)), None);
    let target = Target { release: release(3), ..target() };
    let trial = Journal { update: Update::Trial { install: install(), target }, ..journal };
    let (device, model) = (device(), model());
    let (kept, _) = step(&trial, &Event::Healthy, &situation(&device, &model, Slot::B, NOW));
    assert_eq!(kept.failed, []);
}

#[test]
fn the_signed_schedule_is_never_outrun() {
    let mut early = offer(2);
    early.custom.schedule = Schedule::everybody_from("salt", NOW.plus_ms(1));
    assert_eq!(code(weighed(&base(), early)), "schedule-not-reached");
    let mut never = offer(2);
    let place = never.custom.schedule.place(&device());
    never.custom.schedule.steps = alloc::vec![ScheduleStep { permille: place, not_before: NOW }];
    assert_eq!(code(weighed(&base(), never.clone())), "schedule-not-reached");
    never.custom.schedule.steps =
        alloc::vec![ScheduleStep { permille: place + 1, not_before: NOW }];
    assert_eq!(weighed(&base(), never.clone()), None);
    never.custom.schedule.steps.clear();
    assert_eq!(code(weighed(&base(), never)), "bad-release");
}

#[test]
fn a_full_disk_is_said_with_numbers() {
    let full = Offer { free_bytes: 999, ..offer(2) };
    let reason = "expected 1000 bytes free for the slot, got 999".to_string();
    assert_eq!(weighed(&base(), full), Some(Outcome::Refused { code: "no-space".into(), reason }));
}

#[test]
fn an_order_waits_while_there_is_no_room_for_its_report() {
    let mut journal = base();
    for order in 1..=u64::try_from(crate::journal::REPORTS_MAX).unwrap() {
        journal.settle(order, Outcome::Done, 0);
    }
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let event = Event::Ordered(order(11, install_kind("v2")));
    assert_eq!(step(&journal, &event, &at), (journal.clone(), Vec::new()));
    let (journal, _) = step(&journal, &Event::Acknowledged { order: 1 }, &at);
    let (after, _) = step(&journal, &event, &at);
    assert_eq!(after.order_sequence, 11);
}

#[test]
fn tuf_floors_fall_only_with_a_newer_root() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let floors = |root, timestamp| Floors { root, timestamp, ..Floors::default() };
    let tell = |journal: &Journal, floors| {
        step(journal, &Event::TufAdvanced { floors, expires: None }, &at)
    };
    let (high, _) = tell(&base(), floors(1, 900));
    let (same, actions) = tell(&high, floors(1, 5));
    assert_eq!((same.tuf.timestamp, actions), (900, Vec::new()));
    let (rotated, actions) = tell(&high, floors(2, 5));
    assert_eq!((rotated.tuf.timestamp, actions), (5, alloc::vec![Action::WriteJournal]));
    let (older, _) = tell(&rotated, floors(1, 900));
    assert_eq!(older.tuf.root, 2);
}

#[test]
fn roles_of_other_models_are_not_remembered() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let roles =
        (0..1000).map(|n| (format!("rel-m{n}"), 1)).chain([("rel-gw2".into(), 7)]).collect();
    let floors = Floors { roles, ..Floors::default() };
    let event = Event::TufAdvanced { floors, expires: None };
    let (journal, _) = step(&base(), &event, &at);
    assert_eq!(journal.tuf.roles, [("rel-gw2".to_string(), 7)].into());
}

fn emergency(image: &Release) -> EmergencyCustom {
    EmergencyCustom {
        image_sha256: image.sha256,
        schedule: Schedule::everybody_from("salt", NOW),
        reason: "CVE-2026-1".into(),
        expires: LATER,
    }
}

/// An offer that the image's own schedule does not let in yet.
fn early(emergency: Option<EmergencyCustom>) -> Offer {
    let mut offer = offer(2);
    offer.custom.schedule = Schedule::everybody_from("salt", LATER);
    Offer { emergency, ..offer }
}

#[test]
fn an_emergency_lets_in_exactly_its_image_before_its_own_schedule_and_says_so() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let offer = early(Some(emergency(&release(2))));
    let (next, actions) = step(&with(Update::Accepted(install())), &Event::Resolved(offer), &at);
    let Update::Staging { target, .. } = &next.update else { panic!("{:?}", next.update) };
    assert_eq!(target.pace, Pace::Emergency);
    let said = LogEvent::EmergencyUsed {
        order: 10,
        sha256: release(2).sha256,
        reason: Reason::new("CVE-2026-1"),
    };
    assert_eq!(actions.first(), Some(&Action::Log(said)));
    let (ended, _) = step(
        &next,
        &Event::StageFailed { code: "c".into(), reason: Reason::new("w"), fetched: 1 },
        &at,
    );
    assert_eq!(ended.reports.last().map(|report| report.pace), Some(Pace::Emergency));
}

#[test]
fn an_emergency_that_is_of_another_image_lapsed_or_malformed_opens_nothing() {
    let none = early(None);
    let foreign = early(Some(emergency(&release(3))));
    let lapsed = early(Some(EmergencyCustom { expires: NOW, ..emergency(&release(2)) }));
    let unfounded = early(Some(EmergencyCustom { reason: " ".into(), ..emergency(&release(2)) }));
    let later = EmergencyCustom {
        schedule: Schedule::everybody_from("salt", NOW.plus_ms(1)),
        ..emergency(&release(2))
    };
    for offer in [none, foreign, lapsed, unfounded, early(Some(later))] {
        let Some(Outcome::Refused { code, .. }) = weighed(&base(), offer.clone()) else {
            panic!("{offer:?}");
        };
        assert_eq!(code, "schedule-not-reached");
    }
}

#[test]
fn an_emergency_shuffles_nobody_and_lifts_no_other_rule() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let place = early(None).custom.schedule.place(&device);
    for (permille, open) in [(place, false), (place + 1, true)] {
        // Another salt would give the device another place; the image's own counts.
        let steps = alloc::vec![ScheduleStep { permille, not_before: NOW }];
        let schedule = Schedule { salt: "another".into(), steps };
        let emergency = EmergencyCustom { schedule, ..emergency(&release(2)) };
        let offer = early(Some(emergency));
        assert_eq!(crate::offer::judge(&base(), &install(), &offer, &at).is_ok(), open);
    }
    let old = Offer { emergency: Some(emergency(&release(1))), ..offer(0) };
    let refused = crate::offer::judge(&base(), &install(), &old, &at);
    assert_eq!(refused.map_err(|(code, _)| code), Err("below-floor"));
}

#[test]
fn by_hand_the_schedule_and_a_failed_trial_may_be_overruled_and_nothing_else() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let judged = |journal: &Journal, offer: &Offer, overrules: &[Overrule]| {
        let by_hand = Some(ByHand { overrules: overrules.to_vec() });
        let install = Install { by_hand, ..install() };
        crate::offer::judge(journal, &install, offer, &at).map_err(|(code, _)| code)
    };
    assert_eq!(judged(&base(), &early(None), &[]), Err("schedule-not-reached"));
    assert_eq!(judged(&base(), &early(None), &[Overrule::Schedule]), Ok(Pace::Ordinary));
    let mut failed = base();
    failed.failed.push(FailedRelease { counter: 2, sha256: release(2).sha256 });
    assert_eq!(judged(&failed, &offer(2), &[Overrule::Schedule]), Err("failed-before"));
    assert_eq!(judged(&failed, &offer(2), &[Overrule::FailedBefore]), Ok(Pace::Ordinary));
    let all = Overrule::ALL;
    assert_eq!(judged(&base(), &offer(0), &all), Err("below-floor"));
    assert_eq!(judged(&base(), &offer(1), &all), Err("not-newer"));
    let mut foreign = offer(2);
    foreign.custom.model = "gw3".parse().unwrap();
    assert_eq!(judged(&base(), &foreign, &all), Err("wrong-model"));
    assert_eq!(judged(&base(), &Offer { free_bytes: 999, ..offer(2) }, &all), Err("no-space"));
}

#[test]
fn of_installs_by_hand_the_last_is_reported_and_there_is_always_room_for_it() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let mut journal = base();
    for version in ["v2", "v3", "v4", "v5", "v6", "v7"] {
        let (accepted, actions) = step(&journal, &by_hand(version, Vec::new()), &at);
        assert_eq!(accepted.update.install().map(|install| install.order), Some(BY_HAND));
        assert!(actions.contains(&Action::WriteJournal));
        let unknown = Event::Unresolved { code: version.into(), reason: Reason::new("none") };
        journal = step(&accepted, &unknown, &at).0;
    }
    let [report] = journal.reports.as_slice() else { panic!("{:?}", journal.reports) };
    let Outcome::Refused { code, .. } = &report.outcome else { panic!("{report:?}") };
    assert_eq!((report.order, code.as_str()), (BY_HAND, "v7"));
}

#[test]
fn the_time_floor_falls_only_with_a_root_that_rotates_the_online_keys() {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::A, NOW);
    let keys = |seed: &[u8]| Some(Sha256Digest::of(seed));
    let floors = |root, online_keys| Floors { root, online_keys, ..Floors::default() };
    let tell = |journal: &Journal, floors, expires| {
        step(journal, &Event::TufAdvanced { floors, expires }, &at)
    };
    let (known, _) = tell(&base(), floors(1, keys(b"old")), Some(LATER));
    assert_eq!(known.time_horizon, LATER);
    let known = Journal { time_floor: NOW, ..known };
    for still in [floors(2, keys(b"old")), floors(1, keys(b"new"))] {
        let (after, _) = tell(&known, still, None);
        assert_eq!((after.time_floor, after.time_horizon), (NOW, LATER));
    }
    let (after, actions) = tell(&known, floors(2, keys(b"new")), None);
    assert_eq!((after.time_floor, after.time_horizon), Default::default());
    let fell = LogEvent::TimeFloorFell { root: 2, from: NOW.as_ms() };
    assert_eq!(actions, [Action::Log(fell), Action::WriteJournal]);
}

/// A device that runs release 3 in slot B over release 2 in slot A, and may not go below 2.
fn updated() -> Journal {
    let mut journal = Journal { release_floor: 2, ..base() };
    journal.slots.set(Slot::A, Content::Holds(release(2)));
    journal.slots.set(Slot::B, Content::Holds(release(3)));
    journal
}

/// What a revert comes to when TUF offers `offer` for it.
fn reverted(journal: &Journal, offer: Offer) -> (Journal, Vec<Action>) {
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::B, NOW);
    let (accepted, _) = step(journal, &Event::Ordered(order(11, revert_kind("v2"))), &at);
    assert_eq!(accepted.update.install().map(|install| install.direction), Some(Direction::Back));
    step(&accepted, &Event::Resolved(offer), &at)
}

#[test]
fn a_revert_to_the_kept_slot_fetches_nothing_and_stays_known_until_it_is_tried() {
    let (staging, actions) = reverted(&updated(), offer(2));
    let Update::Staging { install, target, offset } = staging.update.clone() else {
        panic!("{:?}", staging.update);
    };
    assert_eq!((target.route, target.slot, offset), (Route::Kept, Slot::A, 1000));
    assert_eq!(staging.slots.release(Slot::A), Some(&release(2)));
    assert!(!actions.contains(&Action::MarkUnknown { slot: Slot::A }));
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::B, NOW);
    let halt = Event::Ordered(order(12, OrderKind::Halt { install: install.order }));
    let (halted, _) = step(&staging, &halt, &at);
    assert_eq!(halted.slots.release(Slot::A), Some(&release(2)));
    // It goes through its trial like any other image, and its floor holds from then on.
    let (staged, _) = step(&staging, &Event::StageEnded { fetched: 0 }, &at);
    let (armed, actions) = step(&staged, &Event::ReadyToArm, &at);
    assert!(actions.contains(&Action::Arm { slot: Slot::A, tries: 3 }));
    let on_a = situation(&device, &model, Slot::A, NOW);
    let last_words = String::new();
    let booted = Event::Booted { a: SlotHealth::Unknown, b: SlotHealth::Good, last_words };
    let (trial, _) = step(&armed, &booted, &on_a);
    let (kept, _) = step(&trial, &Event::Healthy, &on_a);
    assert_eq!(kept.release_floor, 2);
    assert_eq!(kept.reports.last().map(|report| &report.outcome), Some(&Outcome::Done));
}

#[test]
fn a_kept_slot_that_turns_out_to_be_another_image_is_written_over_as_unknown() {
    let (staging, _) = reverted(&updated(), offer(2));
    let (device, model) = (device(), model());
    let at = situation(&device, &model, Slot::B, NOW);
    let (anew, actions) = step(&staging, &Event::StageAdvanced { offset: 0, fetched: 0 }, &at);
    assert_eq!(anew.slots.release(Slot::A), None);
    assert_eq!(actions, [Action::WriteJournal, Action::MarkUnknown { slot: Slot::A }]);
    let Update::Staging { target, offset, .. } = anew.update else { panic!() };
    assert_eq!((target.route, offset), (Route::Image, 0));
}

#[test]
fn a_revert_goes_back_as_far_as_the_floor_and_never_onwards() {
    let refused = |journal: &Journal, offer: Offer| {
        code(reverted(journal, offer).0.reports.last().map(|report| report.outcome.clone()))
    };
    assert_eq!(refused(&updated(), offer(1)), "below-floor");
    assert_eq!(refused(&updated(), offer(4)), "not-older");
    let mut rebuilt = offer(3);
    rebuilt.release.sha256 = Sha256Digest::of(b"rebuilt");
    assert_eq!(refused(&updated(), rebuilt), "not-older");
    let mut failed = updated();
    failed.failed.push(FailedRelease { counter: 2, sha256: release(2).sha256 });
    assert_eq!(refused(&failed, offer(2)), "failed-before");
    // What the other slot does not hold is fetched.
    let mut emptied = updated();
    emptied.slots.set(Slot::A, Content::Unknown);
    let (fetching, _) = reverted(&emptied, offer(2));
    let Update::Staging { target, offset, .. } = fetching.update else { panic!() };
    assert_eq!((target.route, offset), (Route::Delta, 0));
}

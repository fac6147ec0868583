//! Two copies of one device show, whoever polls first; one device alone never does.

use lazaret_protocol::key::PublicKey;
use proptest::prelude::*;

use super::*;
use crate::enroll::{Entry, Issued, entered};

fn nonce(number: u64) -> Sha256Digest {
    Sha256Digest::of(&number.to_be_bytes())
}

fn device() -> Device {
    let entry = Entry {
        device: "d-1".parse().unwrap(),
        serial: "sn-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
    };
    let issued = Issued {
        key: PublicKey::EcdsaP256(alloc::vec![4; 65]),
        certificate: Sha256Digest::of(b"c"),
        ends: Timestamp::from_ms(1),
    };
    entered(entry, issued, Timestamp::from_ms(0))
}

/// A device that polls: whether its answer arrives is up to the test.
fn poll(server: &mut Watch, device: &mut Option<Sha256Digest>, number: u64, arrives: bool) -> bool {
    let sign = server.ratchet(*device, nonce(number));
    if arrives {
        *device = server.nonce;
    }
    sign.is_some()
}

proptest! {
    #[test]
    fn one_device_is_never_suspected_however_many_answers_are_lost(
        arrivals in proptest::collection::vec(any::<bool>(), 1..200)
    ) {
        let (mut server, mut device) = (Watch::default(), None);
        for (number, arrives) in (0..).zip(arrivals) {
            prop_assert!(!poll(&mut server, &mut device, number, arrives));
        }
    }

    #[test]
    fn two_copies_show_within_one_poll_of_either(
        before in 1_u64..20,
        original_polls in 1_u64..5,
        copy_polls in 1_u64..5
    ) {
        let (mut server, mut original) = (Watch::default(), None);
        let mut number = 0;
        let mut polls = |server: &mut Watch, device: &mut Option<Sha256Digest>, times: u64| {
            let mut seen = false;
            for _ in 0..times {
                number += 1;
                seen |= poll(server, device, number, true);
            }
            seen
        };
        prop_assert!(!polls(&mut server, &mut original, before));
        let mut copy = original;
        prop_assert!(!polls(&mut server, &mut original, original_polls));
        let seen = polls(&mut server, &mut copy, copy_polls);
        prop_assert!(seen || polls(&mut server, &mut original, 1));
    }
}

#[test]
fn the_copy_that_polls_after_the_other_is_seen() {
    let (mut server, mut original) = (Watch::default(), None);
    for number in 0..3 {
        assert!(!poll(&mut server, &mut original, number, true));
    }
    let mut copy = original;
    // The copy's first poll may be the original with a lost answer; the original's next is neither.
    assert!(!poll(&mut server, &mut original, 3, true));
    assert!(!poll(&mut server, &mut copy, 4, true));
    assert!(poll(&mut server, &mut original, 5, true));
    assert!(poll(&mut server, &mut copy, 6, true));
}

#[test]
fn a_device_of_an_older_program_is_left_alone_until_it_has_shown_a_nonce() {
    let mut server = Watch::default();
    for number in 0..3 {
        assert_eq!(server.ratchet(None, nonce(number)), None);
    }
    assert_eq!(server.ratchet(Some(nonce(2)), nonce(3)), None);
    assert!(server.ratchet(None, nonce(4)).is_some());
}

#[test]
fn a_sign_is_told_once_an_hour_and_counted_in_between() {
    let mut device = device();
    let mut see = |at: u64| {
        let at = Timestamp::from_ms(at);
        suspect(&mut device, Sign::BootCountFell, "evidence".into(), at).is_some()
    };
    assert!(see(1));
    assert!(!see(2));
    assert!(!see(TOLD_AGAIN_MS));
    assert!(see(TOLD_AGAIN_MS + 1));
    assert_eq!(device.watch.suspicions[&Sign::BootCountFell].count, 4);
}

#[test]
fn fewer_starts_than_before_are_a_sign() {
    let mut watch = Watch::default();
    assert_eq!(watch.booted(3), None);
    assert_eq!(watch.booted(3), None);
    assert_eq!(watch.booted(2).as_deref(), Some("expected at least 3 starts, got 2"));
    assert_eq!(watch.booted(4), None);
}

fn boot(id: &str, uptime_ms: u64, agent: &str) -> Boot {
    let long = |text: &str| format!("{text:0>16}-rest");
    Boot { id: long(id), uptime_ms, agent: long(agent) }
}

fn signs(watch: &mut Watch, boot: &Boot) -> Vec<Sign> {
    watch.started(boot).into_iter().map(|(sign, _)| sign).collect()
}

#[test]
fn starts_that_follow_one_another_are_no_sign_and_one_that_comes_back_is() {
    let mut watch = Watch::default();
    for (id, uptime, agent) in [("a", 10, "1"), ("a", 5000, "1"), ("a", 6000, "2"), ("b", 0, "3")] {
        assert_eq!(signs(&mut watch, &boot(id, uptime, agent)), []);
    }
    // The machine as it was before, with the agent that ran on it.
    assert_eq!(signs(&mut watch, &boot("a", 9000, "2")), [Sign::BootIdReused, Sign::TwoLive]);
    // And the other one once more.
    assert_eq!(signs(&mut watch, &boot("b", 9000, "3")), [Sign::BootIdReused, Sign::TwoLive]);
    // A restart of both at once: the same start of the machine for less long.
    assert_eq!(signs(&mut watch, &boot("b", 2000, "4")), [Sign::UptimeFell]);
    assert_eq!(signs(&mut watch, &boot("b", 1500, "4")), [], "clocks are let off a second");
}

#[test]
fn names_of_starts_that_make_no_sense_are_passed_over() {
    let mut watch = Watch::default();
    for id in ["", "short", "0123456789abcde\u{e9}", "0123456789abcd\n0"] {
        let odd = Boot { id: id.into(), uptime_ms: 0, agent: "0".repeat(16) };
        assert_eq!(watch.started(&odd), []);
    }
    assert_eq!(watch, Watch::default());
    for number in 0..100 {
        signs(&mut watch, &boot(&format!("{number}"), 0, &format!("{number}")));
    }
    assert_eq!((watch.boots.len(), watch.agents.len()), (STARTS_MAX, STARTS_MAX));
}

proptest::proptest! {
    #[test]
    fn an_honest_device_shows_no_sign_however_often_it_starts(
        starts in proptest::collection::vec((0_u64..3, 1_u64..100_000), 0..40),
    ) {
        let (mut watch, mut machine, mut agent, mut uptime) = (Watch::default(), 0, 0, 0);
        for (kind, ran) in starts {
            uptime += ran;
            match kind {
                0 => (machine, agent, uptime) = (machine + 1, agent + 1, 0),
                1 => agent += 1,
                _ => {}
            }
            let boot = boot(&format!("{machine}"), uptime, &format!("{agent}"));
            proptest::prop_assert_eq!(signs(&mut watch, &boot), alloc::vec::Vec::<Sign>::new());
        }
    }
}

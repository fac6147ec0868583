//! Windows are open when people on the spot would say so.

use super::*;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn windows(texts: &[&str]) -> Vec<Window> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_window_is_open_in_the_devices_own_hours() {
    // 2026-11-23 is a Monday.
    let nightly = windows(&["mon-fri 22:00-05:00"]);
    for (offset_min, now, expected) in [
        (0, "2026-11-23T21:59:59Z", Opening::At(at("2026-11-23T22:00:00Z"))),
        (0, "2026-11-23T22:00:00Z", Opening::Open),
        (0, "2026-11-24T04:59:59Z", Opening::Open),
        (0, "2026-11-24T05:00:00Z", Opening::At(at("2026-11-24T22:00:00Z"))),
        // Friday's window runs into Saturday, and then there is none before Monday.
        (0, "2026-11-28T04:00:00Z", Opening::Open),
        (0, "2026-11-28T05:00:00Z", Opening::At(at("2026-11-30T22:00:00Z"))),
        // 22:00 in Kolkata is 16:30 in UTC.
        (330, "2026-11-23T16:29:00Z", Opening::At(at("2026-11-23T16:30:00Z"))),
        (330, "2026-11-23T16:30:00Z", Opening::Open),
        (-300, "2026-11-24T02:59:00Z", Opening::At(at("2026-11-24T03:00:00Z"))),
    ] {
        assert_eq!(opening(&nightly, offset_min, at(now)), expected, "{now} at {offset_min}");
    }
}

#[test]
fn no_window_is_always_open_and_of_several_one_is_enough() {
    let now = at("2026-11-23T12:00:00Z");
    assert_eq!(opening(&[], 0, now), Opening::Open);
    let both = windows(&["sun 02:00-04:00", "mon 11:00-13:00"]);
    assert_eq!(opening(&both, 0, now), Opening::Open);
    assert_eq!(opening(&windows(&["daily 00:00-24:00"]), 0, now), Opening::Open);
}

#[test]
fn texts_that_are_no_window_are_refused() {
    for bad in [
        "",
        "mon",
        "mon 1:00-2:00",
        "mon 24:00-02:00",
        "mon 02:60-03:00",
        "mon 02:00-24:01",
        "xyz 02:00-03:00",
        "mon-xyz 02:00-03:00",
        "mon 02:00",
        "mon 02:00-03:00 x",
        "mon, 02:00-03:00",
    ] {
        assert!(bad.parse::<Window>().is_err(), "{bad:?} was accepted");
    }
}

fn window() -> impl Strategy<Value = Window> {
    (1u8..0x80, 0u16..1440, 0u16..=1440).prop_map(|(days, from_min, to_min)| Window {
        days,
        from_min,
        to_min,
    })
}

proptest! {
    #[test]
    fn a_window_is_read_back_as_written(window in window()) {
        prop_assert_eq!(window.to_string().parse(), Ok(window));
    }

    #[test]
    fn at_the_moment_that_is_named_it_is_open(
        window in window(), offset_min in -840i16..=840, now in 0u64..4_000_000_000_000,
    ) {
        let now = Timestamp::from_ms(now);
        if let Opening::At(then) = opening(&[window], offset_min, now) {
            prop_assert!(then > now);
            prop_assert_eq!(opening(&[window], offset_min, then), Opening::Open);
        }
    }

    #[test]
    fn any_text_is_a_window_or_an_error(text in "\\PC{0,40}") {
        let _ = text.parse::<Window>();
    }
}

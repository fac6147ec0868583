//! Which texts are kinds.

use super::*;
use alloc::string::ToString as _;

#[test]
fn texts_that_are_no_kind_are_refused() {
    for good in ["a", "order-accepted", "a1-2", &"x".repeat(64)] {
        assert!(Kind::try_from(good.to_string()).is_ok(), "{good:?} was refused");
    }
    for bad in ["", "A", "1a", "-a", "a b", "a_b", "é", &"x".repeat(65)] {
        assert!(Kind::try_from(bad.to_string()).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn texts_are_made_plain_and_cut() {
    let detail = Detail::none().text("why", "two\nlines").number("n", -1i64).number("m", 2u64);
    let said: Vec<String> =
        detail.iter().map(|(key, value)| alloc::format!("{key}={value}")).collect();
    assert_eq!(said, ["m=2", "n=-1", "why=two\u{240a}lines"]);
}

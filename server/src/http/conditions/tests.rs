//! Preconditions, ranges and encodings, case by case.

use super::*;
use http::HeaderValue;

fn asked(headers: &[(http::header::HeaderName, &'static str)]) -> Conditions {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.clone(), HeaderValue::from_static(value));
    }
    Conditions::of(&map)
}

#[test]
fn one_range_within_the_file_is_a_part_and_what_is_no_range_is_the_whole() {
    let part = |range| asked(&[(RANGE, range)]).part("t", 100);
    let range = |offset, length| Part::Range { offset, length };
    for (text, wanted) in [
        ("bytes=0-", range(0, 100)),
        ("bytes=90-99", range(90, 10)),
        ("bytes=90-1000", range(90, 10)),
        ("bytes=-5", range(95, 5)),
        ("bytes=-500", range(0, 100)),
        ("bytes=100-", Part::Unsatisfiable),
        ("bytes=-0", Part::Unsatisfiable),
        ("bytes=5-4", Part::Whole),
        ("bytes=0-1,3-4", Part::Whole),
        ("bytes=+1-", Part::Whole),
        ("bytes=-", Part::Whole),
        ("bytes=99999999999999999999-", Part::Whole),
        ("0-5", Part::Whole),
        ("bytes=a-b", Part::Whole),
        ("", Part::Whole),
    ] {
        assert_eq!(part(text), wanted, "{text:?}");
    }
    assert_eq!(asked(&[(RANGE, "bytes=0-")]).part("t", 0), Part::Unsatisfiable);
}

#[test]
fn a_part_of_another_file_is_not_sent() {
    let part = |tag| asked(&[(RANGE, "bytes=1-"), (IF_RANGE, tag)]).part("\"a\"", 3);
    assert_eq!(part("\"a\""), Part::Range { offset: 1, length: 2 });
    for other in ["\"b\"", "W/\"a\"", "Sat, 21 Nov 2026 00:00:00 GMT", ""] {
        assert_eq!(part(other), Part::Whole, "{other:?}");
    }
}

#[test]
fn a_copy_that_is_still_good_is_known_by_its_tag() {
    let has = |tags| asked(&[(IF_NONE_MATCH, tags)]).has(&["\"a\"", "\"a-gzip\""]);
    for good in ["\"a\"", "W/\"a\"", "\"x\", \"a-gzip\"", "*"] {
        assert!(has(good), "{good}");
    }
    for other in ["\"b\"", "a", "", "\"a"] {
        assert!(!has(other), "{other}");
    }
    let lines = [(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a\"")];
    assert!(asked(&lines).has(&["\"a\""]));
}

#[test]
fn gzip_is_sent_to_who_takes_it() {
    let takes = |accept| asked(&[(ACCEPT_ENCODING, accept)]).takes_gzip();
    for yes in ["gzip", "br, GZIP;q=0.5", "*", "*;q=0, gzip", "x-gzip"] {
        assert!(takes(yes), "{yes}");
    }
    for no in ["", "br", "gzip;q=0", "gzip; q=0.0", "*;q=0", "identity", "gzipp"] {
        assert!(!takes(no), "{no}");
    }
    assert!(!asked(&[(ACCEPT_ENCODING, "gzip"), (RANGE, "bytes=0-")]).takes_gzip());
    assert!(!Conditions::default().takes_gzip());
}

//! What the log keeps, and what it must find.

use super::*;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

fn device() -> DeviceId {
    "d-1".parse().unwrap()
}

const STARTED: Kind = Kind::known("started");

fn entry(at: u64, detail: Detail) -> Entry {
    Entry { at: Timestamp::from_ms(at), clock: Clock::System, boot: 3, kind: STARTED, detail }
}

fn log_of(entries: Vec<Entry>) -> (Vec<u8>, LogHead) {
    let mut chain = Chain::new(&device());
    let mut bytes = Vec::new();
    for entry in entries {
        let appended = chain.append(entry).unwrap();
        chain.advance(&appended);
        bytes.extend_from_slice(&appended.line);
    }
    (bytes, chain.head().clone())
}

fn three() -> (Vec<u8>, LogHead) {
    let detail = Detail::none().text("why", "a \"quoted\"\nline\u{7f}").number("exit", -1i64);
    log_of(vec![entry(1, Detail::none()), entry(2, detail), entry(3, Detail::none())])
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_line_is_spelt_as_documented() {
    let (bytes, head) = log_of(vec![entry(7, Detail::none().text("a", "b").number("n", 5u64))]);
    let text = String::from_utf8(bytes).unwrap();
    let record =
        r#"{"at":7,"boot":3,"clock":"system","detail":{"a":"b","n":5},"kind":"started","seq":1}"#;
    assert_eq!(text, format!("{{\"hash\":\"{}\",\"record\":{record}}}\n", head.hash));
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(b"d-1");
    let zero = hash.finalize();
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(zero);
    hash.update(record.as_bytes());
    assert_eq!(head.hash, Sha256Digest::from_bytes(hash.finalize().into()));
}

#[test]
fn a_log_is_read_back_as_written() {
    let (bytes, head) = three();
    let log = verify_log(&device(), &bytes).unwrap();
    assert_eq!(log.head, head);
    assert_eq!(log.records.len(), 3);
    let detail: Vec<_> = log.records[1].detail.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(detail, ["exit=-1", "why=a \"quoted\"\u{240a}line\u{2421}"]);
}

#[test]
fn an_empty_log_is_whole() {
    let log = verify_log(&device(), b"").unwrap();
    assert_eq!(log.head, *Chain::new(&device()).head());
}

#[test]
fn a_log_of_another_device_breaks_at_its_first_line() {
    let (bytes, _) = three();
    let other: DeviceId = "d-2".parse().unwrap();
    assert!(matches!(
        verify_log(&other, &bytes),
        Err(LogError::Line { line: 1, fault: LineFault::Chain { .. } })
    ));
}

#[test]
fn a_record_left_out_is_a_gap_in_the_sequence() {
    let (bytes, _) = three();
    let mut lines = lines(&bytes);
    lines.remove(1);
    assert_eq!(
        verify_log(&device(), &lines.concat()),
        Err(LogError::Line { line: 2, fault: LineFault::Sequence { expected: 2, got: 3 } })
    );
}

#[test]
fn a_record_changed_with_its_own_hash_redone_breaks_the_next_line() {
    let (bytes, _) = three();
    let (forged, _) = log_of(vec![entry(1, Detail::none()), entry(9, Detail::none())]);
    let (mut original, forged) = (lines(&bytes), lines(&forged));
    original[1] = forged[1].clone();
    assert!(matches!(
        verify_log(&device(), &original.concat()),
        Err(LogError::Line { line: 3, fault: LineFault::Chain { .. } })
    ));
}

#[test]
fn another_spelling_of_the_same_record_is_refused() {
    let (bytes, _) = three();
    let text = String::from_utf8(bytes).unwrap().replacen("\"at\":1", "\"at\": 1", 1);
    assert_eq!(
        verify_log(&device(), text.as_bytes()),
        Err(LogError::Line { line: 1, fault: LineFault::NotCanonical })
    );
}

#[test]
fn every_cut_is_recovered_to_the_last_whole_line() {
    let (bytes, _) = three();
    let ends: Vec<usize> = (1..=bytes.len()).filter(|&i| bytes[i - 1] == b'\n').collect();
    for cut in 0..=bytes.len() {
        let good = ends.iter().copied().filter(|&end| end <= cut).max().unwrap_or(0);
        let recovered = recover(&device(), &bytes[..cut]).unwrap();
        assert_eq!(recovered.good_length, good);
        assert_eq!(recovered.torn.as_ref().map_or(0, |torn| torn.length), cut - good);
        let kept = verify_log(&device(), &bytes[..good]).unwrap();
        assert_eq!(recovered.head, kept.head);
        let refused = verify_log(&device(), &bytes[..cut]);
        assert_eq!(refused.is_ok(), cut == good, "cut at {cut}");
    }
}

#[test]
fn a_last_line_with_a_hole_of_zeros_is_a_torn_tail_and_any_other_is_damage() {
    let (mut bytes, _) = three();
    let good = bytes.len();
    bytes.extend_from_slice(b"\0\0\0\"}}\n");
    let recovered = recover(&device(), &bytes).unwrap();
    assert_eq!(recovered.good_length, good);
    assert_eq!(recovered.torn.map(|torn| torn.length), Some(bytes.len() - good));
    assert!(matches!(verify_log(&device(), &bytes), Err(LogError::Torn(_))));
    bytes.extend_from_slice(b"\n");
    assert!(matches!(
        recover(&device(), &bytes),
        Err(LogError::Line { line: 4, fault: LineFault::Malformed { .. } })
    ));
}

#[test]
fn a_log_goes_on_after_recovery() {
    let (mut bytes, _) = three();
    bytes.extend_from_slice(b"{\"hash\":\"0");
    let recovered = recover(&device(), &bytes).unwrap();
    bytes.truncate(recovered.good_length);
    let appended = Chain::resume(recovered.head).append(entry(4, Detail::none())).unwrap();
    bytes.extend_from_slice(&appended.line);
    assert_eq!(verify_log(&device(), &bytes).unwrap().head, appended.head);
}

#[test]
fn entries_beyond_the_limits_are_refused() {
    let chain = Chain::new(&device());
    let crowded = (0..17).fold(Detail::none(), |d, i| d.number(&format!("k{i}"), i as u64));
    let refused = chain.append(entry(1, crowded)).unwrap_err();
    assert_eq!(refused, AppendError::TooManyDetails { got: 17 });
    let refused = chain.append(entry(1, Detail::none().text("a\nb", ""))).unwrap_err();
    assert_eq!(refused, AppendError::BadKey { got: "a\nb".into() });
    let full = Chain::resume(LogHead { size: u64::MAX, hash: Sha256Digest::of(b"") });
    assert_eq!(full.append(entry(1, Detail::none())).unwrap_err(), AppendError::Full);
}

#[test]
fn the_largest_entry_within_the_limits_fits_in_a_line() {
    let text = "\"".repeat(5000);
    let key = |i: usize| format!("{i:a>64}");
    let detail = (0..DETAILS_MAX).fold(Detail::none(), |d, i| d.text(&key(i), &text));
    let (bytes, _) = log_of(vec![entry(u64::MAX, detail)]);
    let log = verify_log(&device(), &bytes).unwrap();
    let (_, kept) = log.records[0].detail.iter().next().unwrap();
    assert_eq!(format!("{kept}"), format!("{} [cut: 5000 bytes in all]", "\"".repeat(984)));
}

#[test]
fn a_line_and_a_log_beyond_the_limits_are_refused_unread() {
    let mut long = vec![b'x'; LINE_BYTES_MAX];
    long.push(b'\n');
    let fault = LineFault::TooLong { got: LINE_BYTES_MAX };
    assert_eq!(recover(&device(), &long), Err(LogError::Line { line: 1, fault }));
    let vast = vec![b'x'; LOG_BYTES_MAX + 1];
    assert_eq!(recover(&device(), &vast), Err(LogError::TooLarge { got: LOG_BYTES_MAX + 1 }));
}

#[test]
fn texts_that_are_no_kind_are_refused() {
    for bad in ["", "A", "a_b", "1a", "a b", "a\n", &"a".repeat(65)] {
        assert!(Kind::try_from(String::from(bad)).is_err(), "{bad:?} was accepted");
    }
    assert_eq!(Kind::try_from(String::from("order-2")).unwrap().as_str(), "order-2");
}

proptest! {
    #[test]
    fn any_details_survive_the_log(
        texts in proptest::collection::btree_map("[a-z]{1,8}", any::<String>(), 0..8),
        numbers in proptest::collection::btree_map("[A-Z]{1,8}", any::<i64>(), 0..8),
    ) {
        let detail = texts.iter().fold(Detail::none(), |d, (k, v)| d.text(k, v));
        let detail = numbers.iter().fold(detail, |d, (k, v)| d.number(k, *v));
        let (bytes, head) = log_of(vec![entry(1, detail.clone())]);
        let log = verify_log(&device(), &bytes).unwrap();
        prop_assert_eq!(log.head, head);
        prop_assert_eq!(&log.records[0].detail, &detail);
    }

    #[test]
    fn any_changed_byte_is_found(place in any::<proptest::sample::Index>(), by in 1u8..=255) {
        let (mut bytes, head) = three();
        let place = place.index(bytes.len());
        bytes[place] ^= by;
        let verdict = verify_log(&device(), &bytes);
        prop_assert!(verdict.map_or(true, |log| log.head != head));
    }

    #[test]
    fn any_bytes_are_read_without_a_crash(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = recover(&device(), &bytes);
    }
}

//! Layouts there and back, their sums, and where a cut one goes on.

use super::*;
use proptest::prelude::*;

const fn packed(packed: u32, unpacked: u32) -> Segment {
    Segment::Packed { codec: 3, parameter: 19, packed, unpacked }
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        (0u64..1 << 40).prop_map(|length| Segment::Plain { length }),
        (any::<u8>(), any::<u32>(), 1u32.., 1u32..).prop_map(
            |(codec, parameter, packed, unpacked)| Segment::Packed {
                codec,
                parameter,
                packed,
                unpacked
            }
        ),
    ]
}

#[test]
fn a_layout_without_packed_parts_is_the_plain_one() {
    let layout = Layout::new([Segment::Plain { length: 7 }, Segment::Plain { length: 9 }]).unwrap();
    assert!(layout.is_plain());
    assert_eq!(layout.expanded_length(16), Some(16));
    assert_eq!(layout.resume(5), (5, 5));
}

#[test]
fn a_cut_image_goes_on_where_its_last_whole_segment_ends() {
    let plain = |length| Segment::Plain { length };
    let layout = Layout::new([plain(10), packed(5, 50), packed(6, 60), plain(3)]).unwrap();
    assert_eq!(layout.expanded_length(24), Some(123));
    assert_eq!(layout.expanded_length(25), None);
    let expected =
        [(0, (0, 0)), (9, (9, 9)), (14, (10, 10)), (15, (15, 60)), (20, (15, 60)), (21, (21, 120))];
    for (durable, resumed) in expected {
        assert_eq!(layout.resume(durable), resumed, "{durable}");
    }
    assert_eq!(layout.resume(23), (23, 122));
    assert_eq!(layout.resume(99), (24, 123));
}

#[test]
fn empty_packed_segments_and_sums_that_overflow_are_refused() {
    assert_eq!(Layout::new([packed(0, 5)]), None);
    assert_eq!(Layout::new([packed(5, 0)]), None);
    assert_eq!(Layout::new([Segment::Plain { length: u64::MAX }, packed(1, 1)]), None);
}

proptest! {
    #[test]
    fn layouts_come_back_from_their_bytes(segments in prop::collection::vec(segment(), 0..9)) {
        let layout = Layout::new(segments).unwrap();
        let mut bytes = Vec::new();
        layout.push_bytes(&mut bytes);
        let mut numbers = Numbers(&bytes);
        prop_assert_eq!(Layout::parse(&mut numbers), Some(layout));
        prop_assert!(numbers.0.is_empty());
    }

    #[test]
    fn any_bytes_are_a_layout_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(layout) = Layout::parse(&mut Numbers(&bytes)) {
            prop_assert!(layout.len() <= bytes.len());
        }
    }
}

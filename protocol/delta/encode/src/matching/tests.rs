//! The matcher against a plain search, and what its steps make.

use super::*;
use proptest::prelude::*;

/// The longest match by looking everywhere.
fn longest_plainly(window: &[u8], piece: &[u8]) -> usize {
    (0..window.len()).map(|at| index::agreement(&window[at..], piece)).max().unwrap_or(0)
}

/// What the steps make; where they add, only what differs from the window is taken from the piece.
fn made(window: &[u8], piece: &[u8], steps: &Steps) -> (Vec<u8>, usize) {
    let (mut made, mut agreeing) = (Vec::new(), 0);
    for step in steps.iter() {
        let old = &window[step.position..step.position + step.add];
        let new = &piece[made.len()..made.len() + step.add];
        agreeing += old.iter().zip(new).filter(|(old, new)| old == new).count();
        made.extend(new);
        made.extend(&piece[made.len()..made.len() + step.insert]);
    }
    (made, agreeing)
}

fn bytes(letters: u8, length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..letters, 0..length)
}

proptest! {
    #[test]
    fn longest_match_is_found(window in bytes(3, 200), piece in bytes(3, 40)) {
        let index = Index::new(window.clone()).unwrap();
        let (place, length) = index.longest(&piece);
        let expected = longest_plainly(&window, &piece);
        if expected >= 2 {
            prop_assert_eq!(length, expected);
            prop_assert_eq!(&window[place..place + length], &piece[..length]);
        } else {
            prop_assert_eq!(length, 0);
        }
    }

    #[test]
    fn steps_stay_in_the_window_and_make_the_piece(
        window in bytes(5, 900), cut in any::<prop::sample::Index>(), more in bytes(255, 90),
        before in prop::option::of(0usize..1000), after in prop::option::of(0usize..1000),
    ) {
        let mut piece = window.clone();
        piece.extend(&more);
        let middle = cut.index(piece.len() + 1);
        piece.rotate_left(middle);
        piece.extend(&window);
        let index = Index::new(window.clone()).unwrap();
        let inside = |place: Option<usize>| place.filter(|place| *place < window.len());
        let around = Around { before: inside(before), after: inside(after) };
        let steps = scan(&index, &piece, around);
        let (made, agreeing) = made(&window, &piece, &steps);
        prop_assert_eq!(&made, &piece);
        prop_assert!(agreeing * 2 + 40 >= window.len(), "{} of {}", agreeing, window.len());
    }
}

#[test]
fn match_in_repetitions_is_extended_past_what_the_search_compares() {
    let index = Index::new(vec![0; 1 << 20]).unwrap();
    let (place, length) = index.longest(&vec![0; 700_000]);
    assert_eq!(length, 700_000.min((1 << 20) - place));
    assert!(length > 1024);
}

/// A translation of the sorter to Rust failed on some texts of five bytes: so every short text.
#[test]
fn every_short_text_of_three_letters_is_sorted() {
    for length in 0..=9u32 {
        for number in 0..3usize.pow(length) {
            let text: Vec<u8> = (0..length)
                .map(|place| u8::try_from(number / 3usize.pow(place) % 3).unwrap())
                .collect();
            let mut expected: Vec<usize> = (0..text.len()).collect();
            expected.sort_by_key(|place| &text[*place..]);
            let index = Index::new(text.clone()).unwrap();
            assert_eq!(index.sorted().collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}

//! The matcher against a plain search, and the steps against the crate's own patches.

use super::*;
use proptest::prelude::*;

/// The longest match by looking everywhere.
fn longest_plainly(window: &[u8], piece: &[u8]) -> usize {
    (0..window.len()).map(|at| index::agreement(&window[at..], piece)).max().unwrap_or(0)
}

/// What the steps make, by the crate's own patch.
fn patched(window: &[u8], piece: &[u8], steps: &Steps) -> Vec<u8> {
    let instructions = steps.instructions(0).unwrap();
    let stream = crate::streams::bsdiff(window, piece, &instructions).unwrap();
    let mut made = Vec::new();
    bsdiff::patch(window, &mut stream.as_slice(), &mut made).unwrap();
    made
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
    fn steps_make_the_piece_by_the_crates_own_patch(
        window in bytes(5, 900), cut in any::<prop::sample::Index>(), more in bytes(255, 90),
        displacement in 0usize..1000
    ) {
        let mut piece = window.clone();
        piece.extend(&more);
        let middle = cut.index(piece.len() + 1);
        piece.rotate_left(middle);
        piece.extend(&window);
        let index = Index::new(window.clone()).unwrap();
        let steps = scan(&index, &piece, displacement);
        prop_assert_eq!(patched(&window, &piece, &steps), piece);
    }

    #[test]
    fn cut_steps_make_both_parts(window in bytes(9, 400), at in any::<prop::sample::Index>()) {
        let mut piece = window.clone();
        piece.reverse();
        piece.extend(&window);
        let index = Index::new(window.clone()).unwrap();
        let mut rest = scan(&index, &piece, 0);
        let at = at.index(piece.len() + 1);
        let first = rest.cut(at);
        prop_assert_eq!(patched(&window, &piece[..at], &first), &piece[..at]);
        prop_assert_eq!(patched(&window, &piece[at..], &rest), &piece[at..]);
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

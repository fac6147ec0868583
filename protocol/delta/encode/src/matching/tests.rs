//! The matchers against the crate's own patches.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn streams_of_the_crate_are_read_and_written_back_alike(
        window in prop::collection::vec(any::<u8>(), 1..600), cut in any::<prop::sample::Index>()
    ) {
        let mut piece = window.clone();
        piece.rotate_left(cut.index(window.len()));
        let mut theirs = Vec::new();
        bsdiff::diff(&window, &piece, &mut theirs).unwrap();
        let instructions = reference(&window, &piece).unwrap();
        let ours = crate::streams::bsdiff(&window, &piece, &instructions).unwrap();
        let mut made = Vec::new();
        bsdiff::patch(&window, &mut ours.as_slice(), &mut made).unwrap();
        prop_assert_eq!(made, piece);
    }
}

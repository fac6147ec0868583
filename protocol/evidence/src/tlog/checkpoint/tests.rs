//! Checkpoints as the specification shows them, and what is refused.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use proptest::prelude::*;

const SHOWN: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_specifications_example_is_read_and_written() {
    let checkpoint: Checkpoint = SHOWN.parse().unwrap();
    assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(checkpoint.to_string(), SHOWN);
    let extended = alloc::format!("{SHOWN}extension\n");
    let checkpoint: Checkpoint = extended.parse().unwrap();
    assert_eq!(checkpoint.to_string(), extended);
}

#[test]
fn other_forms_are_refused() {
    for (text, what) in [
        (SHOWN.trim_end().to_string(), "it does not end with a line feed"),
        (SHOWN.replace("example.com/behind-the-sofa", ""), "the origin has not 1 to 255 bytes"),
        (SHOWN.replace("208", "0208"), "the size is no plain number"),
        (SHOWN.replace("208", "-208"), "the size is no plain number"),
        (SHOWN.replace("20852163", "18446744073709551616"), "the size is no plain number"),
        (SHOWN.replace("CsUY", "CsU"), "the root is no hash in base64"),
        (SHOWN.replace("q2I=", "q2J="), "the root is no hash in base64"),
        (alloc::format!("{SHOWN}\n"), "more than eight extension lines, or an empty one"),
        (SHOWN.to_string() + &"x\n".repeat(9), "more than eight extension lines, or an empty one"),
    ] {
        assert_eq!(text.parse::<Checkpoint>(), Err(CheckpointError { what }), "{text}");
    }
}

proptest! {
    #[test]
    fn any_checkpoint_is_read_as_it_was_written(
        size: u64, root: [u8; 32], origin in "[!-~]{1,40}"
    ) {
        let root = Sha256Digest::from_bytes(root);
        let checkpoint = Checkpoint { origin, size, root, extensions: Vec::new() };
        prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
    }
}

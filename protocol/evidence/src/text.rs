//! Texts as evidence carries them: one line, bounded, and the same bytes for every reader.

use alloc::format;
use alloc::string::String;

/// Room for the note that a text was cut, in bytes: its words and a length of up to 20 digits.
const CUT_NOTE_BYTES_MAX: usize = 40;

/// `text` in at most `bytes_max` bytes. Control characters are shown by their Unicode pictures (a
/// line feed by U+240A): canonical JSON would carry them raw, and no JSON reader takes that. A
/// longer text is cut and says at its end how many bytes it had.
#[must_use]
pub fn plain(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return String::from(text);
    }
    let mut kept = String::new();
    // How much stays if the text turns out to be too long.
    let mut cut_at = 0;
    for shown in text.chars().map(picture) {
        let length = kept.len().saturating_add(shown.len_utf8());
        if length > bytes_max {
            kept.truncate(cut_at);
            return format!("{kept} [cut: {} bytes in all]", text.len());
        }
        kept.push(shown);
        if length.saturating_add(CUT_NOTE_BYTES_MAX) <= bytes_max {
            cut_at = length;
        }
    }
    kept
}

/// The picture of a control character, any other character itself.
const fn picture(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => match char::from_u32((c as u32).saturating_add(0x2400)) {
            Some(shown) => shown,
            None => char::REPLACEMENT_CHARACTER,
        },
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_shown_by_their_pictures() {
        assert_eq!(plain("a\n\u{1b}[31m\u{7f}\u{9b}é", 100), "a␊␛[31m␡\u{fffd}é");
    }

    #[test]
    fn a_cut_text_says_how_long_it_was() {
        assert_eq!(plain(&"x".repeat(50), 50), "x".repeat(50));
        assert_eq!(plain(&"x".repeat(51), 50), "xxxxxxxxxx [cut: 51 bytes in all]");
    }

    proptest! {
        #[test]
        fn any_text_becomes_short_and_plain(text in any::<String>(), bytes_max in 40usize..200) {
            let plain = plain(&text, bytes_max);
            prop_assert!(plain.len() <= bytes_max);
            prop_assert!(!plain.chars().any(char::is_control));
        }
    }
}

//! Passphrases that are guessed first, whatever their length: words that everybody takes, with
//! digits around them, runs over the keyboard or the alphabet, and one piece over and over.

/// Words that stand in every list of stolen passwords, or that anybody would try here. A passphrase
/// of nothing but these and digits is refused.
const WORDS: &[&str] = &[
    "passphrase",
    "password",
    "passwort",
    "passwd",
    "motdepasse",
    "contrasena",
    "parola",
    "geheim",
    "secret",
    "lazaret",
    "lazarett",
    "quarantine",
    "admin",
    "administrator",
    "root",
    "superuser",
    "operator",
    "user",
    "guest",
    "test",
    "testing",
    "demo",
    "default",
    "changeme",
    "change",
    "letmein",
    "welcome",
    "willkommen",
    "bienvenue",
    "hello",
    "hallo",
    "iloveyou",
    "love",
    "login",
    "master",
    "dragon",
    "monkey",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "batman",
    "shadow",
    "trustno",
    "trustno1",
    "access",
    "server",
    "device",
    "update",
    "firmware",
    "release",
    "signing",
    "holder",
    "please",
    "whatever",
    "computer",
    "internet",
    "samsung",
    "google",
    "correct",
    "horse",
    "battery",
    "staple",
    "summer",
    "winter",
    "spring",
    "autumn",
    "monday",
    "january",
    "december",
    "qwerty",
    "qwertz",
    "azerty",
    "abc",
    "xyz",
    "me",
    "my",
    "the",
    "is",
    "this",
    "a",
    "i",
    "no",
    "one",
    "key",
    "pass",
    "word",
    "you",
];

/// Rows along which people type without thinking.
const RUNS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujm",
];

/// Different characters that a passphrase has at least.
const DIFFERENT_MIN: usize = 5;

/// Longest piece that is looked for as one that repeats, in characters.
const PIECE_CHARS_MAX: usize = 8;

/// Shortest stretch that counts as a run along a row.
const RUN_CHARS_MIN: usize = 4;

/// The words that a phrase of four needs in order not to be refused for being of common ones.
const COMMON_WORDS_MAX: usize = 3;

/// Whether a passphrase is among those that are guessed first.
pub(super) fn is_common(text: &str) -> bool {
    let plain: String = text.to_lowercase().chars().filter_map(plain).collect();
    let chars: Vec<char> = plain.chars().collect();
    let mut different = chars.clone();
    different.sort_unstable();
    different.dedup();
    different.len() < DIFFERENT_MIN
        || repeats(&chars)
        || (plain == "correcthorsebatterystaple")
        || is_of_runs(&chars)
        || is_of_few_words(&plain)
}

/// A character as those who guess see it: signs that stand for letters are letters, what stands
/// between words is nothing.
fn plain(c: char) -> Option<char> {
    Some(match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        c if c.is_alphanumeric() => c,
        _ => return None,
    })
}

/// One piece over and over.
fn repeats(chars: &[char]) -> bool {
    (1..=PIECE_CHARS_MAX.min(chars.len() / 2)).any(|length| {
        let (piece, _) = chars.split_at(length);
        chars.chunks(length).all(|chunk| piece.starts_with(chunk))
    })
}

/// Nothing but runs along rows, forwards or backwards.
fn is_of_runs(chars: &[char]) -> bool {
    let mut rest = chars;
    while !rest.is_empty() {
        let longest = (RUN_CHARS_MIN..=rest.len()).rev().find(|length| {
            let (start, _) = rest.split_at(*length);
            let forwards: String = start.iter().collect();
            let backwards: String = start.iter().rev().collect();
            let rows = RUNS.iter().map(|row| row.chars().filter_map(plain).collect::<String>());
            let mut rows = rows;
            rows.any(|row| row.contains(&forwards) || row.contains(&backwards))
        });
        match longest {
            Some(length) => rest = rest.split_at(length).1,
            None => return false,
        }
    }
    !chars.is_empty()
}

/// Nothing but at most three common words, with digits around them.
fn is_of_few_words(plain: &str) -> bool {
    let words: Vec<String> =
        WORDS.iter().map(|word| word.chars().filter_map(self::plain).collect()).collect();
    fits(plain, &words, COMMON_WORDS_MAX)
}

fn fits(rest: &str, words: &[String], left: usize) -> bool {
    // Digits and the letters that stand for them are what people put around a word.
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || "aeiost".contains(c));
    if rest.is_empty() {
        return true;
    }
    left > 0
        && words.iter().any(|word| {
            let bare = word.trim_start_matches(|c: char| "aeiost".contains(c));
            let taken = [word.as_str(), bare].into_iter().filter(|word| !word.is_empty());
            taken.filter_map(|word| rest.strip_prefix(word)).any(|rest| fits(rest, words, left - 1))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guessed_first_is_common_whatever_its_length() {
        for text in [
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabc",
            "password1234",
            "P@ssw0rd2026!!",
            "passwordpassword",
            "qwertyuiop123456",
            "123456789012",
            "changeme-changeme",
            "Administrator1",
            "letmein letmein 1",
            "correct horse battery staple",
            "1q2w3e4r5t6y",
            "abcdefghijklm",
            "zyxwvutsrqponm",
            "lazaret admin 2026",
            "my passphrase 1",
        ] {
            assert!(is_common(text), "{text:?} was taken");
        }
    }

    #[test]
    fn phrases_of_ones_own_are_not() {
        for text in [
            "a passphrase for this site only",
            "seven geese over lake Ladoga",
            "ohm7 vault-Kepler",
            "Gr8t-Urmel_aus dem Eis",
            "correct mule battery fork",
            "xk2!9fPqz0Lw",
            "une valise de brume",
        ] {
            assert!(!is_common(text), "{text:?} was refused");
        }
    }
}

//! GRUB's environment block: 1024 bytes that `load_env`, `save_env` and `grub-editenv` read and
//! write. A signature, one variable a line, and `#` to the end; a backslash stands before a
//! backslash or a line's end within a value (GRUB manual, "The GRUB environment block").
//!
//! Lazaret's variables are those that RAUC documents for its GRUB script, with a number of tries:
//! `ORDER` of the slots that may be started, and for each of them `OK` (1 or 0), `TRY` (starts so
//! far that were counted) and `MAX` (starts that a trial gets, empty for a slot that is kept).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::marks::{Mark, Marks, letter, of_order, order_of, order_text};
use crate::slot::Slot;

/// Length of the block, in bytes. GRUB reads and writes no other.
pub const BLOCK_BYTES: usize = 1024;

/// Variables end before this byte, so that all of them lie in one sector of the disk, which it
/// writes whole or not at all. What follows is `#` before and after every change.
pub const USED_BYTES_MAX: usize = 512;

const SIGNATURE: &[u8] = b"# GRUB Environment Block\n";

/// The block cannot be read, or a change does not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrubError {
    /// It is of another length.
    #[error("expected a block of {BLOCK_BYTES} bytes, got {got}")]
    Length {
        /// Its length in bytes.
        got: usize,
    },
    /// It does not begin as one.
    #[error("expected the signature of a GRUB environment block")]
    Signature,
    /// A line is no variable.
    #[error("expected NAME=VALUE lines and then only #, got something else at byte {at}")]
    Line {
        /// Where.
        at: usize,
    },
    /// A variable of ours says what it cannot.
    #[error("expected {expected} in {variable}, got {got:?}")]
    Variable {
        /// Which.
        variable: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is, cut to 32 characters.
        got: String,
    },
    /// There are too many variables of others.
    #[error("expected variables within the first {USED_BYTES_MAX} bytes, they would take {got}")]
    Crowded {
        /// Bytes that they take.
        got: usize,
    },
}

/// The variables of a block, in their order. Values are bytes: other programs keep theirs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrubEnv {
    /// Comments between the signature and the first variable, as they are.
    preamble: Vec<u8>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
}

impl GrubEnv {
    /// A block without variables.
    #[must_use]
    pub const fn empty() -> Self {
        Self { preamble: Vec::new(), variables: Vec::new() }
    }

    /// Reads a block.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(block: &[u8]) -> Result<Self, GrubError> {
        if block.len() != BLOCK_BYTES {
            return Err(GrubError::Length { got: block.len() });
        }
        let rest = block.strip_prefix(SIGNATURE).ok_or(GrubError::Signature)?;
        let mut env = Self::empty();
        let mut bytes = rest;
        while let Some((&head, _)) = bytes.split_first() {
            let at = BLOCK_BYTES.saturating_sub(bytes.len());
            if head == b'#' && bytes.iter().all(|byte| *byte == b'#') {
                break;
            }
            let (line, after) = line_of(bytes).ok_or(GrubError::Line { at })?;
            if head == b'#' {
                env.preamble.extend_from_slice(bytes.get(..line.raw).unwrap_or_default());
            } else {
                let split = line.text.iter().position(|byte| *byte == b'=');
                let split = split.filter(|split| *split > 0).ok_or(GrubError::Line { at })?;
                let (name, value) = line.text.split_at(split);
                let value = value.get(1..).unwrap_or_default();
                env.variables.push((name.to_vec(), value.to_vec()));
            }
            bytes = after;
        }
        Ok(env)
    }

    /// The block's bytes.
    ///
    /// # Errors
    /// The variables take more than [`USED_BYTES_MAX`].
    pub fn to_block(&self) -> Result<[u8; BLOCK_BYTES], GrubError> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&self.preamble);
        for (name, value) in &self.variables {
            bytes.extend_from_slice(name);
            bytes.push(b'=');
            for byte in value {
                if matches!(byte, b'\\' | b'\n') {
                    bytes.push(b'\\');
                }
                bytes.push(*byte);
            }
            bytes.push(b'\n');
        }
        let mut block = [b'#'; BLOCK_BYTES];
        match block.get_mut(..bytes.len()) {
            Some(place) if bytes.len() <= USED_BYTES_MAX => place.copy_from_slice(&bytes),
            _ => return Err(GrubError::Crowded { got: bytes.len() }),
        }
        Ok(block)
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let found = self.variables.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = value.as_bytes().to_vec();
        match self.variables.iter_mut().find(|(known, _)| known == name.as_bytes()) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.as_bytes().to_vec(), value)),
        }
    }

    /// What the block says of the slots.
    ///
    /// # Errors
    /// A variable of ours says what it cannot.
    pub fn marks(&self) -> Result<Marks, GrubError> {
        let order = self.text("ORDER");
        let order = order_of(&order).map_err(|expected| wrong("ORDER", expected, &order))?;
        let mut read = Vec::new();
        for slot in Slot::ALL {
            read.push((slot, self.mark(slot)?));
        }
        let mark = |slot| read.iter().find(|(known, _)| *known == slot).map(|(_, mark)| *mark);
        Ok(of_order(&order, |slot| mark(slot).unwrap_or_default()))
    }

    fn mark(&self, slot: Slot) -> Result<Mark, GrubError> {
        let named = |what: &str| alloc::format!("{}_{what}", letter(slot));
        let number = |what: &str, default: u8| {
            let (name, text) = (named(what), self.text(&named(what)));
            if text.is_empty() {
                return Ok(default);
            }
            text.parse().map_err(|_| wrong(&name, "a number from 0 to 255", &text))
        };
        let ok = number("OK", 0)?;
        let (tried, most) = (number("TRY", 0)?, number("MAX", 0)?);
        Ok(match (ok, most) {
            (0, _) => Mark::Bad,
            (_, 0) => Mark::Good,
            (_, most) => Mark::Trial { left: most.saturating_sub(tried) },
        })
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.variable(name).unwrap_or_default()).into_owned()
    }

    /// Says of the slots what `marks` say, and leaves the variables of others as they are.
    pub fn put(&mut self, marks: &Marks) {
        self.set("ORDER", &order_text(marks));
        for slot in Slot::ALL {
            let (ok, tried, most) = match marks.mark(slot) {
                Mark::Unknown | Mark::Bad => ("0", "0", String::new()),
                Mark::Good => ("1", "0", String::new()),
                // A trial that is over has to stay one, so that it is told from a kept slot.
                Mark::Trial { left: 0 } => ("1", "1", String::from("1")),
                Mark::Trial { left } => ("1", "0", left.to_string()),
            };
            let letter = letter(slot);
            self.set(&alloc::format!("{letter}_OK"), ok);
            self.set(&alloc::format!("{letter}_TRY"), tried);
            self.set(&alloc::format!("{letter}_MAX"), &most);
        }
    }
}

/// One line, without its escapes.
struct Line {
    text: Vec<u8>,
    /// Bytes that it takes in the block, its end included.
    raw: usize,
}

fn line_of(bytes: &[u8]) -> Option<(Line, &[u8])> {
    let mut text = Vec::new();
    let mut raw = 0_usize;
    let mut each = bytes.iter();
    loop {
        raw = raw.saturating_add(1);
        match each.next()? {
            b'\n' => return Some((Line { text, raw }, each.as_slice())),
            b'\\' => {
                raw = raw.saturating_add(1);
                text.push(*each.next()?);
            }
            byte => text.push(*byte),
        }
    }
}

fn wrong(variable: &str, expected: &'static str, got: &str) -> GrubError {
    let got = got.chars().take(32).collect();
    GrubError::Variable { variable: variable.into(), expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn block(lines: &str) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(lines.as_bytes());
        bytes.resize(BLOCK_BYTES, b'#');
        bytes
    }

    #[test]
    fn marks_are_read_as_they_were_put_and_others_variables_stay() {
        let mut env = GrubEnv::parse(&block("saved_entry=1\nnext_entry=a\\\\b\\\nc\n")).unwrap();
        for first in Slot::ALL {
            for a in [Mark::Good, Mark::Bad, Mark::Trial { left: 16 }] {
                for b in [Mark::Good, Mark::Trial { left: 0 }, Mark::Trial { left: 1 }] {
                    let marks = Marks { first, a, b };
                    env.put(&marks);
                    let read = GrubEnv::parse(&env.to_block().unwrap()).unwrap();
                    assert_eq!(read.marks(), Ok(marks));
                    assert_eq!(read.variable("saved_entry"), Some(b"1".as_slice()));
                    assert_eq!(read.variable("next_entry"), Some(b"a\\b\nc".as_slice()));
                }
            }
        }
        env.put(&Marks { first: Slot::B, a: Mark::Unknown, b: Mark::Good });
        assert_eq!(env.text("ORDER"), "B");
        assert_eq!(env.marks().unwrap().a, Mark::Unknown);
    }

    #[test]
    fn starts_that_grub_counted_are_taken_from_the_trial() {
        let text = "ORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=2\nB_MAX=3\n";
        let marks = GrubEnv::parse(&block(text)).unwrap().marks().unwrap();
        assert_eq!(marks, Marks { first: Slot::B, a: Mark::Good, b: Mark::Trial { left: 1 } });
    }

    #[test]
    fn what_is_no_block_is_refused_by_name() {
        assert_eq!(GrubEnv::parse(&[b'#'; 512]), Err(GrubError::Length { got: 512 }));
        assert_eq!(GrubEnv::parse(&[b'#'; BLOCK_BYTES]), Err(GrubError::Signature));
        for bad in ["=x\n", "no variable\n", "\n"] {
            let refused = GrubEnv::parse(&block(bad));
            assert_eq!(refused, Err(GrubError::Line { at: SIGNATURE.len() }), "{bad:?}");
        }
        let unended = [block("").as_slice().get(..1000).unwrap(), &[b'a'; 24]].concat();
        assert!(matches!(GrubEnv::parse(&unended), Err(GrubError::Line { .. })));
        for (bad, variable) in [
            ("ORDER=A C\n", "ORDER"),
            ("ORDER=A A\n", "ORDER"),
            ("ORDER=A\nA_OK=1\nA_TRY=300\n", "A_TRY"),
            ("ORDER=A\nA_OK=yes\n", "A_OK"),
        ] {
            let refused = GrubEnv::parse(&block(bad)).unwrap().marks();
            assert!(
                matches!(refused, Err(GrubError::Variable { variable: got, .. })
                if got == variable),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_block_that_would_not_fit_one_sector_is_not_written() {
        let mut env = GrubEnv::empty();
        env.variables.push((b"other".to_vec(), vec![b'x'; 480]));
        env.put(&Marks { first: Slot::A, a: Mark::Good, b: Mark::Good });
        assert!(matches!(env.to_block(), Err(GrubError::Crowded { got: 513.. })));
    }

    #[test]
    fn the_second_sector_is_the_same_before_and_after_every_change() {
        let mut env = GrubEnv::empty();
        env.put(&Marks { first: Slot::A, a: Mark::Good, b: Mark::Trial { left: 16 } });
        let block = env.to_block().unwrap();
        assert!(block.iter().skip(USED_BYTES_MAX).all(|byte| *byte == b'#'));
    }
}

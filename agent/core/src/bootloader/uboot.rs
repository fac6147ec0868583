//! U-Boot's environment as it lies on a device: a CRC-32 over what follows it, a flag byte where
//! there are two copies, and then `NAME=VALUE` texts that end with a zero each, and one more zero
//! behind the last (U-Boot `env/common.c`, libubootenv).
//!
//! Lazaret's variables are those that RAUC documents for its boot script, and one of its own:
//! `BOOT_ORDER` of the slots that may be started, for each of them `BOOT_A_LEFT`, the starts that
//! it still gets, in hexadecimal as `setexpr` has it, and `BOOT_A_OK`, 1 for a slot that is kept
//! and not counted.

use alloc::string::String;
use alloc::vec::Vec;

use crc::{CRC_32_ISO_HDLC, Crc};

use super::marks::{Mark, Marks, letter, of_order, order_of, order_text};
use crate::slot::Slot;

/// Largest copy, in bytes. Boards have 8 to 256 KiB.
pub const COPY_BYTES_MAX: usize = 1 << 20;

/// Smallest copy, in bytes: room for our own variables.
pub const COPY_BYTES_MIN: usize = 256;

/// What `BOOT_x_LEFT` is for a slot that is kept. Our script does not look at it; one that counts
/// every start does, and has three then.
const LEFT_WHEN_KEPT: u8 = 3;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The environment cannot be read, or a change does not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UbootError {
    /// A copy is of a length that no board has.
    #[error("expected copies of {COPY_BYTES_MIN} to {COPY_BYTES_MAX} bytes, got {got}")]
    Length {
        /// Its length in bytes.
        got: usize,
    },
    /// Two copies are of different lengths.
    #[error("expected two copies of one length, got {first} and {second}")]
    Lengths {
        /// The first, in bytes.
        first: usize,
        /// The second, in bytes.
        second: usize,
    },
    /// No copy has a good checksum.
    #[error("expected a copy with a good checksum, got none")]
    Checksum,
    /// A text is no variable.
    #[error("expected NAME=VALUE texts, got something else at byte {at} of copy {copy}")]
    Text {
        /// Which copy: 0 or 1.
        copy: usize,
        /// Where in its data.
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
    #[error("expected variables of at most {room} bytes, they would take {got}")]
    Full {
        /// Bytes that a copy has for them.
        room: usize,
        /// Bytes that they take.
        got: usize,
    },
}

/// How the newer of two copies is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    /// The flag byte counts up with each write, and goes from 255 to 0.
    Counting,
    /// The flag byte is 1 in the copy that holds, and 0 in the other: NOR flash, where a byte can
    /// be cleared without erasing its sector.
    Active,
}

/// Names and values, in their order.
type Variables = Vec<(Vec<u8>, Vec<u8>)>;

/// One or two copies of an environment, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UbootEnv {
    variables: Variables,
    length: usize,
    holds: Holds,
}

/// Which copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Alone,
    OfTwo { copy: usize, flag: u8, flags: Flags },
}

/// What has to be written, in this order, each made durable before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The copy that is written: 0 or 1.
    pub copy: usize,
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// Whether the flag byte of the other copy, its fifth, is set to 0 after that.
    pub clear_other: bool,
}

impl UbootEnv {
    /// Reads the only copy.
    ///
    /// # Errors
    /// It is no environment.
    pub fn parse(copy: &[u8]) -> Result<Self, UbootError> {
        fits(copy)?;
        let data = checked(copy, 4).ok_or(UbootError::Checksum)?;
        Ok(Self { variables: texts(data, 0)?, length: copy.len(), holds: Holds::Alone })
    }

    /// Reads two copies and takes the newer of those whose checksum holds, as U-Boot does.
    ///
    /// # Errors
    /// None of them is an environment.
    pub fn parse_two(copies: [&[u8]; 2], flags: Flags) -> Result<Self, UbootError> {
        let [first, second] = copies;
        fits(first)?;
        if first.len() != second.len() {
            let (first, second) = (first.len(), second.len());
            return Err(UbootError::Lengths { first, second });
        }
        let flag = |copy: &[u8]| copy.get(4).copied().unwrap_or_default();
        let copy = match (checked(first, 5), checked(second, 5)) {
            (None, None) => return Err(UbootError::Checksum),
            (Some(_), None) => 0,
            (None, Some(_)) => 1,
            (Some(_), Some(_)) => newer(flag(first), flag(second), flags),
        };
        let held = if copy == 0 { first } else { second };
        let data = held.get(5..).unwrap_or_default();
        let holds = Holds::OfTwo { copy, flag: flag(held), flags };
        Ok(Self { variables: texts(data, copy)?, length: held.len(), holds })
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

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.variable(name).unwrap_or_default()).into_owned()
    }

    /// What the environment says of the slots.
    ///
    /// # Errors
    /// A variable of ours says what it cannot.
    pub fn marks(&self) -> Result<Marks, UbootError> {
        let text = self.text("BOOT_ORDER");
        let order = order_of(&text).map_err(|expected| wrong("BOOT_ORDER", expected, &text))?;
        let (a, b) = (self.mark(Slot::A)?, self.mark(Slot::B)?);
        Ok(of_order(&order, |slot| if slot == Slot::A { a } else { b }))
    }

    fn mark(&self, slot: Slot) -> Result<Mark, UbootError> {
        let name = alloc::format!("BOOT_{}_OK", letter(slot));
        let text = self.text(&name);
        match text.as_str() {
            "1" => return Ok(Mark::Good),
            "" | "0" => {}
            _ => return Err(wrong(&name, "0 or 1", &text)),
        }
        let name = alloc::format!("BOOT_{}_LEFT", letter(slot));
        let text = self.text(&name);
        if text.is_empty() {
            return Ok(Mark::Bad);
        }
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let left = u8::from_str_radix(digits, 16)
            .map_err(|_| wrong(&name, "a hexadecimal number from 0 to ff", &text))?;
        Ok(Mark::Trial { left })
    }

    /// Says of the slots what `marks` say, and leaves the variables of others as they are.
    pub fn put(&mut self, marks: &Marks) {
        self.set("BOOT_ORDER", &order_text(marks));
        for slot in Slot::ALL {
            let (ok, left) = match marks.mark(slot) {
                Mark::Unknown | Mark::Bad => ("0", 0),
                Mark::Good => ("1", LEFT_WHEN_KEPT),
                Mark::Trial { left } => ("0", left),
            };
            let letter = letter(slot);
            self.set(&alloc::format!("BOOT_{letter}_OK"), ok);
            self.set(&alloc::format!("BOOT_{letter}_LEFT"), &alloc::format!("{left:x}"));
        }
    }

    /// What has to be written for this to hold. The copy that holds is not touched before the other
    /// one is whole, which its checksum says: so a write that is torn anywhere changes nothing.
    ///
    /// # Errors
    /// The variables do not fit.
    pub fn written(&self) -> Result<Written, UbootError> {
        let (copy, head, flag, clear_other) = match self.holds {
            Holds::Alone => (0, 4, 0, false),
            Holds::OfTwo { copy, flag, flags: Flags::Counting } => {
                (other(copy), 5, flag.wrapping_add(1), false)
            }
            Holds::OfTwo { copy, flags: Flags::Active, .. } => (other(copy), 5, 1, true),
        };
        let mut data = Vec::new();
        for (name, value) in &self.variables {
            data.extend_from_slice(name);
            data.push(b'=');
            data.extend_from_slice(value);
            data.push(0);
        }
        data.push(0);
        let room = self.length.saturating_sub(head);
        if data.len() > room {
            return Err(UbootError::Full { room, got: data.len() });
        }
        data.resize(room, 0);
        let mut bytes = CRC.checksum(&data).to_le_bytes().to_vec();
        if head == 5 {
            bytes.push(flag);
        }
        bytes.extend_from_slice(&data);
        Ok(Written { copy, bytes, clear_other })
    }
}

const fn other(copy: usize) -> usize {
    if copy == 0 { 1 } else { 0 }
}

/// The newer of two copies whose checksums hold.
const fn newer(first: u8, second: u8, flags: Flags) -> usize {
    match (flags, first, second) {
        (Flags::Counting, u8::MAX, 0) | (Flags::Active, _, u8::MAX) => 1,
        (Flags::Counting, 0, u8::MAX) | (Flags::Active, u8::MAX, _) => 0,
        _ if second > first => 1,
        _ => 0,
    }
}

fn fits(copy: &[u8]) -> Result<(), UbootError> {
    if (COPY_BYTES_MIN..=COPY_BYTES_MAX).contains(&copy.len()) {
        return Ok(());
    }
    Err(UbootError::Length { got: copy.len() })
}

/// The data behind a head of so many bytes, where its checksum holds. Boards of either byte order
/// exist; all that this agent runs on write the checksum's low byte first.
fn checked(copy: &[u8], head: usize) -> Option<&[u8]> {
    let (sum, _) = copy.split_first_chunk::<4>()?;
    let data = copy.get(head..)?;
    (CRC.checksum(data) == u32::from_le_bytes(*sum)).then_some(data)
}

fn texts(data: &[u8], copy: usize) -> Result<Variables, UbootError> {
    let mut variables = Variables::new();
    let mut at = 0_usize;
    for text in data.split(|byte| *byte == 0) {
        if text.is_empty() {
            return Ok(variables);
        }
        let split = text.iter().position(|byte| *byte == b'=').filter(|split| *split > 0);
        let (name, value) = text.split_at(split.ok_or(UbootError::Text { copy, at })?);
        variables.push((name.to_vec(), value.get(1..).unwrap_or_default().to_vec()));
        at = at.saturating_add(text.len()).saturating_add(1);
    }
    // The data ended within a text: `split` gives an empty one behind a last zero.
    Err(UbootError::Text { copy, at })
}

fn wrong(variable: &str, expected: &'static str, got: &str) -> UbootError {
    let got = got.chars().take(32).collect();
    UbootError::Variable { variable: variable.into(), expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn copy(flag: Option<u8>, text: &[u8]) -> Vec<u8> {
        let head = 4 + usize::from(flag.is_some());
        let mut data = text.to_vec();
        data.resize(512 - head, 0);
        let mut bytes = CRC.checksum(&data).to_le_bytes().to_vec();
        bytes.extend(flag);
        bytes.extend(data);
        bytes
    }

    fn env() -> UbootEnv {
        UbootEnv::parse_two([&copy(Some(1), b"x=1\0"), &copy(Some(0), b"")], Flags::Counting)
            .unwrap()
    }

    #[test]
    fn marks_are_read_as_they_were_put_and_others_variables_stay() {
        let mut env = env();
        for a in [Mark::Good, Mark::Trial { left: 16 }, Mark::Trial { left: 0 }] {
            for b in [Mark::Good, Mark::Unknown, Mark::Trial { left: 1 }] {
                let marks = Marks { first: Slot::A, a, b };
                env.put(&marks);
                let Written { copy, bytes, clear_other: false } = env.written().unwrap() else {
                    panic!("a counting flag clears no other");
                };
                assert_eq!(copy, 1);
                let read = UbootEnv::parse_two([&vec![0; 512], &bytes], Flags::Counting).unwrap();
                assert_eq!(read.marks(), Ok(marks));
                assert_eq!(read.variable("x"), Some(b"1".as_slice()));
            }
        }
    }

    #[test]
    fn the_newer_of_two_good_copies_holds_over_the_end_of_the_count() {
        let of = |flags, first, second| {
            let env = UbootEnv::parse_two(
                [&copy(Some(first), b"c=0\0"), &copy(Some(second), b"c=1\0")],
                flags,
            );
            env.unwrap().variable("c").unwrap().to_vec()
        };
        for (flags, first, second, holds) in [
            (Flags::Counting, 1, 2, b"1"),
            (Flags::Counting, 2, 1, b"0"),
            (Flags::Counting, 255, 0, b"1"),
            (Flags::Counting, 0, 255, b"0"),
            (Flags::Counting, 7, 7, b"0"),
            (Flags::Active, 1, 0, b"0"),
            (Flags::Active, 0, 1, b"1"),
            (Flags::Active, 1, 1, b"0"),
            (Flags::Active, 0, 255, b"1"),
        ] {
            assert_eq!(of(flags, first, second), holds, "{flags:?} {first} {second}");
        }
    }

    #[test]
    fn a_copy_torn_at_any_byte_leaves_the_other_one() {
        let mut env = env();
        env.put(&Marks { first: Slot::B, a: Mark::Good, b: Mark::Trial { left: 3 } });
        let old = copy(Some(0), b"old=1\0");
        let new = env.written().unwrap().bytes;
        for torn in 0..new.len() {
            let half = [&new[..torn], &old[torn..]].concat();
            let first = copy(Some(1), b"x=1\0");
            let read = UbootEnv::parse_two([&first, &half], Flags::Counting).unwrap();
            let whole = half == new;
            assert_eq!(read.variable("BOOT_ORDER").is_some(), whole, "torn at {torn}");
        }
    }

    #[test]
    fn what_is_no_environment_is_refused_by_name() {
        assert_eq!(UbootEnv::parse(&[0; 16]), Err(UbootError::Length { got: 16 }));
        assert_eq!(UbootEnv::parse(&[0xff; 512]), Err(UbootError::Checksum));
        let two = [[0xff; 512].as_slice(), &[0; 256]];
        let refused = UbootEnv::parse_two(two, Flags::Counting);
        assert_eq!(refused, Err(UbootError::Lengths { first: 512, second: 256 }));
        let refused = UbootEnv::parse(&copy(None, b"no variable\0"));
        assert_eq!(refused, Err(UbootError::Text { copy: 0, at: 0 }));
        let unended = UbootEnv::parse(&copy(None, &[b'a'; 508]));
        assert_eq!(unended, Err(UbootError::Text { copy: 0, at: 0 }));
        for (text, name) in [
            (b"BOOT_ORDER=A C\0".as_slice(), "BOOT_ORDER"),
            (b"BOOT_ORDER=A\0BOOT_A_OK=2\0", "BOOT_A_OK"),
            (b"BOOT_ORDER=A\0BOOT_A_LEFT=xyz\0", "BOOT_A_LEFT"),
        ] {
            let refused = UbootEnv::parse(&copy(None, text)).unwrap().marks();
            assert!(
                matches!(refused, Err(UbootError::Variable { variable, .. }) if variable == name)
            );
        }
        let mut full =
            UbootEnv::parse(&copy(None, &[&[b'a'; 400], b"=1\0".as_slice()].concat())).unwrap();
        full.put(&Marks { first: Slot::A, a: Mark::Good, b: Mark::Good });
        full.set("more", &"x".repeat(100));
        assert!(matches!(full.written(), Err(UbootError::Full { room: 508, .. })));
    }
}

//! `fw_env.config`: where U-Boot's environment lies, one line for each copy with a device or file,
//! an offset (`0x` for hexadecimal, negative from the end), a length (hexadecimal), and more that
//! matters to raw flash alone (libubootenv, `docs/fw_env_config.md`).

use alloc::string::String;
use alloc::vec::Vec;

use super::uboot::{COPY_BYTES_MAX, COPY_BYTES_MIN};

/// Largest file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// The file does not say where the environment lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FwEnvError {
    /// A line is none of the form.
    #[error("expected DEVICE OFFSET LENGTH in line {line}, got {got:?}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line, cut to 64 characters.
        got: String,
    },
    /// A length that no board has.
    #[error(
        "expected a length of {COPY_BYTES_MIN} to {COPY_BYTES_MAX} bytes in line {line}, got {got}"
    )]
    Length {
        /// The line's number, from 1.
        line: usize,
        /// The length in bytes.
        got: usize,
    },
    /// There are no copies, or more than U-Boot knows.
    #[error("expected one or two copies, got {got}")]
    Count {
        /// How many.
        got: usize,
    },
    /// Both copies are at one place, or overlap.
    #[error("expected two copies that do not overlap")]
    Overlap,
}

/// Where one copy lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPlace {
    /// The device or file.
    pub path: String,
    /// From its beginning, or from its end where it is negative, in bytes.
    pub offset: i64,
    /// In bytes.
    pub length: usize,
}

/// Where the environment lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copies {
    /// In one place.
    One(CopyPlace),
    /// In two.
    Two([CopyPlace; 2]),
}

impl Copies {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[CopyPlace] {
        match self {
            Self::One(place) => core::slice::from_ref(place),
            Self::Two(both) => both,
        }
    }
}

/// Reads the file.
///
/// # Errors
/// It says nothing that can be used.
pub fn parse(text: &str) -> Result<Copies, FwEnvError> {
    let mut places = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let number = index.saturating_add(1);
        let got = || bare.chars().take(64).collect();
        let place = place(bare).ok_or_else(|| FwEnvError::Line { line: number, got: got() })?;
        if !(COPY_BYTES_MIN..=COPY_BYTES_MAX).contains(&place.length) {
            return Err(FwEnvError::Length { line: number, got: place.length });
        }
        places.push(place);
    }
    let got = places.len();
    match <[CopyPlace; 2]>::try_from(places) {
        Ok([first, second]) if overlap(&first, &second) => Err(FwEnvError::Overlap),
        Ok(both) => Ok(Copies::Two(both)),
        Err(mut places) => match (places.pop(), places.is_empty()) {
            (Some(place), true) => Ok(Copies::One(place)),
            _ => Err(FwEnvError::Count { got }),
        },
    }
}

fn place(line: &str) -> Option<CopyPlace> {
    let mut words = line.split_ascii_whitespace();
    let path = words.next()?.into();
    let offset = offset(words.next()?)?;
    let length = words.next()?;
    let length = length.strip_prefix("0x").or_else(|| length.strip_prefix("0X")).unwrap_or(length);
    Some(CopyPlace { path, offset, length: usize::from_str_radix(length, 16).ok()? })
}

fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.ok().filter(|number| *number >= 0)?.checked_mul(sign)
}

fn overlap(first: &CopyPlace, second: &CopyPlace) -> bool {
    let same_end = (first.offset < 0) == (second.offset < 0);
    let length = u64::try_from(first.length.max(second.length)).unwrap_or(u64::MAX);
    first.path == second.path && same_end && first.offset.abs_diff(second.offset) < length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_fw_printenv_reads_them() {
        let text = "# a board\n\n/dev/mmcblk0 0x60000 0x4000\n/dev/mmcblk0 458752 4000 0x200 1\n";
        let of = |offset| CopyPlace { path: "/dev/mmcblk0".into(), offset, length: 0x4000 };
        assert_eq!(parse(text), Ok(Copies::Two([of(0x60000), of(458_752)])));
        let one = parse("/boot/uboot.env 0 0x20000");
        assert!(matches!(one, Ok(Copies::One(CopyPlace { offset: 0, length: 0x20000, .. }))));
        let end = parse("/dev/mmcblk0 -0x8000 0x4000\n/dev/mmcblk0 -0x4000 0x4000").unwrap();
        assert_eq!(end.all().first().unwrap().offset, -0x8000);
    }

    #[test]
    fn what_says_no_place_is_refused_by_name() {
        assert_eq!(parse("# nothing\n"), Err(FwEnvError::Count { got: 0 }));
        let three = "/a 0 0x4000\n/b 0 0x4000\n/c 0 0x4000\n";
        assert_eq!(parse(three), Err(FwEnvError::Count { got: 3 }));
        assert_eq!(parse("/a 0 0x10"), Err(FwEnvError::Length { line: 1, got: 16 }));
        for bad in ["/a", "/a 0", "/a x 0x4000", "/a 0 zz", "/a --1 0x4000", "/a -0x-1 0x4000"] {
            assert!(matches!(parse(bad), Err(FwEnvError::Line { line: 1, .. })), "{bad:?}");
        }
        assert_eq!(parse("/a 0 0x4000\n/a 0x2000 0x4000"), Err(FwEnvError::Overlap));
    }
}

//! Boot entries whose starts the boot loader counts in the file's name:
//! `NAME+LEFT-DONE.conf` (systemd, "Automatic Boot Assessment"; UAPI Boot Loader Specification).
//! systemd-boot renames the file before each start. A name without a counter is never counted; one
//! with none left comes last in its list.
//!
//! The slot's entry is `PREFIX-a` or `PREFIX-b`. `+0` without starts done is a slot of which
//! nothing is known, `+0-N` one that failed.

use alloc::string::{String, ToString as _};

use super::marks::{Mark, Marks};
use crate::slot::Slot;

/// What the names of the slots' entries begin with.
pub const PREFIX: &str = "lazaret-";

/// Largest entry file, in bytes.
pub const ENTRY_BYTES_MAX: u64 = 64 * 1024;

/// The name of an entry's file, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryName {
    /// Whose entry it is.
    pub slot: Slot,
    /// The counter, none where it is not counted.
    pub counter: Option<Counter>,
}

/// The counter in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Starts left.
    pub left: u8,
    /// Starts done.
    pub done: u8,
}

impl EntryName {
    /// Reads a name; none where it is not the name of a slot's entry.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix(PREFIX)?.strip_suffix(".conf")?;
        let (slot, counter) = match stem.split_once('+') {
            None => (stem, None),
            Some((slot, counter)) => (slot, Some(counter_of(counter)?)),
        };
        let slot = Slot::ALL.into_iter().find(|known| known.as_str() == slot)?;
        Some(Self { slot, counter })
    }

    /// What the name says of the slot.
    #[must_use]
    pub const fn mark_of_name(&self) -> Mark {
        match self.counter {
            None => Mark::Good,
            Some(Counter { left: 0, done: 0 }) => Mark::Unknown,
            Some(Counter { left, .. }) => Mark::Trial { left },
        }
    }

    /// The name that says of the slot what `mark` says.
    #[must_use]
    pub const fn of(slot: Slot, mark: Mark) -> Self {
        let counter = match mark {
            Mark::Good => None,
            Mark::Unknown => Some(Counter { left: 0, done: 0 }),
            Mark::Bad => Some(Counter { left: 0, done: 1 }),
            // One that has no start left has had one.
            Mark::Trial { left: 0 } => Some(Counter { left: 0, done: 1 }),
            Mark::Trial { left } => Some(Counter { left, done: 0 }),
        };
        Self { slot, counter }
    }
}

impl core::fmt::Display for EntryName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{PREFIX}{}", self.slot)?;
        match self.counter {
            None => {}
            Some(Counter { left, done: 0 }) => write!(f, "+{left}")?,
            Some(Counter { left, done }) => write!(f, "+{left}-{done}")?,
        }
        f.write_str(".conf")
    }
}

fn counter_of(text: &str) -> Option<Counter> {
    let (left, done) = text.split_once('-').unwrap_or((text, "0"));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| digits)
    };
    Some(Counter { left: number(left)?, done: number(done)? })
}

/// The number in the line `version` of an entry: our count of trials, by which the newer of two
/// entries is picked. 0 where there is none.
#[must_use]
pub fn version_of(entry: &str) -> u64 {
    let of_line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|key| *key == "version")?;
        words.next()?.parse().ok()
    };
    entry.lines().find_map(of_line).unwrap_or(0)
}

/// The entry with another `version`, and the same `sort-key` for both slots: entries are ordered by
/// version only among those of one key.
#[must_use]
pub fn with_version(entry: &str, version: u64) -> String {
    let mut out = String::new();
    let ours = |line: &&str| {
        let key = line.split_ascii_whitespace().next();
        !matches!(key, Some("version" | "sort-key"))
    };
    // By line feeds alone, so that whatever else ends a line stays as it is.
    for line in entry.strip_suffix('\n').unwrap_or(entry).split('\n').filter(ours) {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("sort-key lazaret\nversion ");
    out.push_str(&version.to_string());
    out.push('\n');
    out
}

/// The marks of both entries, the higher version first.
#[must_use]
pub fn marks_of((a, a_version): (Mark, u64), (b, b_version): (Mark, u64)) -> Marks {
    let first = if b_version > a_version { Slot::B } else { Slot::A };
    Marks { first, a, b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for slot in Slot::ALL {
            for mark in [Mark::Good, Mark::Unknown, Mark::Trial { left: 3 }] {
                let name = EntryName::of(slot, mark);
                assert_eq!(EntryName::parse(&name.to_string()), Some(name));
                assert_eq!(name.mark_of_name(), mark);
            }
        }
        let spent = EntryName::parse("lazaret-b+0-3.conf").unwrap();
        assert_eq!(spent.mark_of_name(), Mark::Trial { left: 0 });
        assert_eq!(EntryName::of(Slot::B, Mark::Bad).to_string(), "lazaret-b+0-1.conf");
        assert_eq!(
            EntryName::parse("lazaret-b+2-1.conf").unwrap().mark_of_name(),
            Mark::Trial { left: 2 }
        );
    }

    #[test]
    fn names_of_others_are_none_of_ours() {
        for name in [
            "lazaret-c.conf",
            "lazaret-a.conf.new",
            "debian-a.conf",
            "lazaret-a+.conf",
            "lazaret-a+3-.conf",
            "lazaret-a+-1.conf",
            "lazaret-a++3.conf",
            "lazaret-a+3-1-1.conf",
            "lazaret-a+99999.conf",
            "lazaret-a+ 3.conf",
            "",
        ] {
            assert_eq!(EntryName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn the_version_is_ours_and_all_else_stays() {
        let entry = "title A\nversion 1.2\nsort-key debian\noptions root=/dev/sda2 version=3\n";
        assert_eq!(version_of(entry), 0);
        let new = with_version(entry, 7);
        assert_eq!(new, "title A\noptions root=/dev/sda2 version=3\nsort-key lazaret\nversion 7\n");
        assert_eq!(version_of(&new), 7);
        assert_eq!(version_of("versions 9\nversion9\n"), 0);
        assert_eq!(with_version(&new, 8), new.replace("version 7", "version 8"));
        assert!(with_version("title A\r", 7).starts_with("title A\r\n"));
    }
}

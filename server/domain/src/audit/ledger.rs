//! How many refusals get an entry of their own. The first of each minute do; what comes on top of
//! that is counted by who and what, and entered as one entry each when the minute is over, so that
//! a flood of refusals cannot fill the disk and is still told.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::operator::{AuditAct, AuditWho, AuditWhoKind};
use lazaret_protocol::time::Timestamp;

/// A window, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// Refusals of one person within a window that get an entry each.
pub const OWN_OF_PERSON_MAX: u32 = 30;

/// Refusals of strangers and devices, together, within a window that get an entry each.
pub const OWN_OF_STRANGERS_MAX: u32 = 6;

/// Kinds of refusals that are counted apart within a window; more are counted together.
pub const COUNTED_MAX: usize = 8;

/// Persons who are told apart within a window.
const PERSONS_MAX: usize = 256;

/// What becomes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It gets its own.
    Own,
    /// It is counted.
    Counted,
}

/// What is known of the present window. Kept in memory: a crash loses the counts of a minute.
#[derive(Debug, Default)]
pub struct Ledger {
    ends: Timestamp,
    strangers: u32,
    persons: BTreeMap<String, u32>,
    counted: BTreeMap<(AuditWho, String, String), AuditAct>,
    others: Option<AuditAct>,
}

impl Ledger {
    /// Takes a refusal in. Counts of a window that is over are still there for [`Self::due`].
    pub fn refused(&mut self, act: &AuditAct) -> Entry {
        if act.at >= self.ends {
            self.ends = act.at.plus_ms(WINDOW_MS);
            self.strangers = 0;
            self.persons.clear();
        }
        if self.has_own(&act.who) {
            return Entry::Own;
        }
        // The certificate or port does not tell two floods apart.
        let who = AuditWho { credential: String::new(), ..act.who.clone() };
        let key = (who, act.what.clone(), act.outcome.clone());
        let room = self.counted.len() < COUNTED_MAX;
        if let Some(known) = self.counted.get_mut(&key) {
            known.count = known.count.saturating_add(act.count);
        } else if room {
            self.counted.insert(key, act.clone());
        } else {
            let others = self.others.get_or_insert_with(|| others(act));
            others.count = others.count.saturating_add(act.count);
        }
        Entry::Counted
    }

    /// The counts of a window that is over at `now`, each as one act.
    pub fn due(&mut self, now: Timestamp) -> Vec<AuditAct> {
        if now < self.ends {
            return Vec::new();
        }
        self.all()
    }

    /// All counts, because the server stops.
    pub fn all(&mut self) -> Vec<AuditAct> {
        let counted = core::mem::take(&mut self.counted).into_values();
        counted.chain(self.others.take()).collect()
    }

    fn has_own(&mut self, who: &AuditWho) -> bool {
        let (had, max) = match who.kind {
            AuditWhoKind::Operator | AuditWhoKind::Token => {
                if !self.persons.contains_key(&who.name) && self.persons.len() >= PERSONS_MAX {
                    return false;
                }
                (self.persons.entry(who.name.clone()).or_default(), OWN_OF_PERSON_MAX)
            }
            _ => (&mut self.strangers, OWN_OF_STRANGERS_MAX),
        };
        let own = *had < max;
        *had = had.saturating_add(1);
        own
    }
}

/// The act under which all that has no room of its own is counted.
fn others(act: &AuditAct) -> AuditAct {
    let who = AuditWho {
        kind: AuditWhoKind::Stranger,
        name: "others".to_string(),
        credential: String::new(),
        address: String::new(),
    };
    AuditAct {
        at: act.at,
        who,
        what: "refusals of many kinds".to_string(),
        target: String::new(),
        reason: String::new(),
        request: None,
        outcome: "refused".to_string(),
        detail: String::new(),
        count: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn refusal(name: &str, kind: AuditWhoKind, at: u64) -> AuditAct {
        let mut act = others(&AuditAct { at: Timestamp::from_ms(at), ..blank() });
        act.who = AuditWho {
            kind,
            name: name.to_string(),
            credential: format!("{at}"),
            address: "192.0.2.1".to_string(),
        };
        act.count = 1;
        act
    }

    fn blank() -> AuditAct {
        AuditAct {
            at: Timestamp::from_ms(0),
            who: AuditWho {
                kind: AuditWhoKind::Stranger,
                name: String::new(),
                credential: String::new(),
                address: String::new(),
            },
            what: String::new(),
            target: String::new(),
            reason: String::new(),
            request: None,
            outcome: String::new(),
            detail: String::new(),
            count: 1,
        }
    }

    #[test]
    fn a_flood_of_strangers_becomes_few_entries_and_every_refusal_is_counted() {
        let mut ledger = Ledger::default();
        let mut own = 0_u64;
        for number in 0..10_000_u64 {
            let name = format!("s{}", number % 50);
            let act = refusal(&name, AuditWhoKind::Stranger, 1000 + number % 1000);
            own += u64::from(ledger.refused(&act) == Entry::Own);
        }
        assert_eq!(own, u64::from(OWN_OF_STRANGERS_MAX));
        assert!(ledger.due(Timestamp::from_ms(2000)).is_empty(), "the window is not over");
        let due = ledger.due(Timestamp::from_ms(1000 + WINDOW_MS));
        assert!(due.len() <= COUNTED_MAX + 1, "{due:?}");
        assert_eq!(own + due.iter().map(|act| act.count).sum::<u64>(), 10_000);
        assert!(ledger.due(Timestamp::from_ms(1000 + WINDOW_MS)).is_empty(), "told once");
    }

    #[test]
    fn a_flood_of_strangers_hides_no_refusal_of_a_person() {
        let mut ledger = Ledger::default();
        for _ in 0..1000 {
            ledger.refused(&refusal("-", AuditWhoKind::Stranger, 1000));
        }
        let vera = refusal("vera", AuditWhoKind::Operator, 1001);
        for _ in 0..OWN_OF_PERSON_MAX {
            assert_eq!(ledger.refused(&vera), Entry::Own);
        }
        assert_eq!(ledger.refused(&vera), Entry::Counted);
        let next = refusal("vera", AuditWhoKind::Operator, 1000 + WINDOW_MS);
        assert_eq!(ledger.refused(&next), Entry::Own, "another minute");
    }
}

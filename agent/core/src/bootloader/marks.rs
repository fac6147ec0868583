//! The marks of both slots, the same for every boot loader that counts starts itself.

use alloc::vec::Vec;

use lazaret_protocol::poll::SlotHealth;

use crate::slot::Slot;

/// What the boot loader is told of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// Nothing: its content may be half written, and it is never picked.
    #[default]
    Unknown,
    /// It passed its trial: it is started without being counted.
    Good,
    /// It is on trial. The boot loader takes one of these away with each start, before it starts
    /// it.
    Trial {
        /// Starts that it still gets.
        left: u8,
    },
    /// It failed its trial.
    Bad,
}

/// What the boot loader is told of both slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The slot that is looked at first.
    pub first: Slot,
    /// The first slot's mark.
    pub a: Mark,
    /// The second slot's mark.
    pub b: Mark,
}

/// A change that the core asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The content of the slot is to change: nothing is known of it.
    Forget(Slot),
    /// The slot is tried from the next start on.
    Try {
        /// Which.
        slot: Slot,
        /// Starts that it gets.
        tries: u8,
    },
    /// The slot is good.
    Keep(Slot),
    /// The slot is bad, and the other one is started next.
    GiveUp(Slot),
}

impl Marks {
    /// The mark of `slot`.
    #[must_use]
    pub const fn mark(&self, slot: Slot) -> Mark {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }

    /// The marks once `change` is made.
    #[must_use]
    pub const fn after(self, change: Change) -> Self {
        match change {
            Change::Forget(slot) => self.with(slot, Mark::Unknown).looking_first_at(slot.other()),
            Change::Try { slot, tries } => {
                self.with(slot, Mark::Trial { left: tries }).looking_first_at(slot)
            }
            Change::Keep(slot) => self.with(slot, Mark::Good).looking_first_at(slot),
            Change::GiveUp(slot) => self.with(slot, Mark::Bad).looking_first_at(slot.other()),
        }
    }

    const fn with(mut self, slot: Slot, mark: Mark) -> Self {
        match slot {
            Slot::A => self.a = mark,
            Slot::B => self.b = mark,
        }
        self
    }

    const fn looking_first_at(mut self, slot: Slot) -> Self {
        self.first = slot;
        self
    }

    /// What is known of `slot` while `booted` runs. A trial without starts left is over, unless it
    /// is the last of them that runs.
    #[must_use]
    pub fn health(&self, slot: Slot, booted: Option<Slot>) -> SlotHealth {
        match self.mark(slot) {
            Mark::Good => SlotHealth::Good,
            Mark::Bad => SlotHealth::Bad,
            Mark::Trial { left: 0 } if booted != Some(slot) => SlotHealth::Bad,
            Mark::Trial { .. } | Mark::Unknown => SlotHealth::Unknown,
        }
    }

    /// The slots that the boot loader may pick, in its order: all but those of which nothing is
    /// known.
    #[must_use]
    pub fn order(&self) -> Vec<Slot> {
        let mut order = alloc::vec![self.first, self.first.other()];
        order.retain(|slot| self.mark(*slot) != Mark::Unknown);
        order
    }

    /// What a boot loader does at a start: the slot that it picks, and the marks that it leaves.
    /// The boot scripts in `agent/boot` and systemd-boot do this; here it stands for them in
    /// tests, and says what they have to do.
    ///
    /// Where no slot is left that may be started, the first of the order is all the same: a machine
    /// that runs something can be cured.
    #[must_use]
    pub fn start(self) -> (Option<Slot>, Self) {
        let order = self.order();
        for &slot in &order {
            match self.mark(slot) {
                Mark::Good => return (Some(slot), self),
                Mark::Trial { left } if left > 0 => {
                    let left = left.saturating_sub(1);
                    return (Some(slot), self.with(slot, Mark::Trial { left }));
                }
                _ => {}
            }
        }
        (order.first().copied(), self)
    }
}

/// Reads `ORDER="B A"`: the slot that is looked at first, and which slots may be picked at all.
/// What is no slot's name is an error, an empty order is none.
pub(super) fn order_of(text: &str) -> Result<Vec<Slot>, &'static str> {
    let mut order = Vec::new();
    for name in text.split_ascii_whitespace() {
        let slot = Slot::ALL
            .into_iter()
            .find(|slot| slot.as_str().eq_ignore_ascii_case(name))
            .ok_or("an order of A and B")?;
        if order.contains(&slot) {
            return Err("an order that names no slot twice");
        }
        order.push(slot);
    }
    Ok(order)
}

/// The marks of an order and of what is said of each slot in it.
pub(super) fn of_order(order: &[Slot], mark: impl Fn(Slot) -> Mark) -> Marks {
    let of = |slot| if order.contains(&slot) { mark(slot) } else { Mark::Unknown };
    let first = match order {
        [first, ..] => *first,
        [] => Slot::A,
    };
    Marks { first, a: of(Slot::A), b: of(Slot::B) }
}

/// `A` or `B`, as variables of boot loaders have it.
pub(super) const fn letter(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "A",
        Slot::B => "B",
    }
}

/// `B A`, without the slots of which nothing is known.
pub(super) fn order_text(marks: &Marks) -> alloc::string::String {
    let letters: Vec<&str> = marks.order().into_iter().map(letter).collect();
    letters.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD_A: Marks = Marks { first: Slot::A, a: Mark::Good, b: Mark::Unknown };

    #[test]
    fn a_trial_gets_its_starts_and_then_the_other_slot_is_picked() {
        let mut marks = GOOD_A.after(Change::Try { slot: Slot::B, tries: 2 });
        let mut picked = Vec::new();
        for _ in 0..4 {
            let (slot, left) = marks.start();
            picked.push(slot);
            marks = left;
        }
        assert_eq!(picked, [Some(Slot::B), Some(Slot::B), Some(Slot::A), Some(Slot::A)]);
        assert_eq!(marks.health(Slot::B, Some(Slot::B)), SlotHealth::Unknown);
        assert_eq!(marks.health(Slot::B, Some(Slot::A)), SlotHealth::Bad);
    }

    #[test]
    fn where_no_slot_is_good_something_is_started_all_the_same() {
        let marks = Marks { first: Slot::B, a: Mark::Bad, b: Mark::Trial { left: 0 } };
        assert_eq!(marks.start(), (Some(Slot::B), marks));
        let nothing = Marks { first: Slot::A, a: Mark::Unknown, b: Mark::Unknown };
        assert_eq!(nothing.start(), (None, nothing));
    }

    proptest! {
        #[test]
        fn a_good_slot_is_never_left_without_a_change(
            changes in prop::collection::vec((0..4_u8, any::<bool>(), 1..16_u8), 0..12),
        ) {
            let mut marks = GOOD_A;
            for (kind, b, tries) in changes {
                let slot = if b { Slot::B } else { Slot::A };
                marks = marks.after(match kind {
                    0 => Change::Forget(slot),
                    1 => Change::Try { slot, tries },
                    2 => Change::Keep(slot),
                    _ => Change::GiveUp(slot),
                });
            }
            // However many starts: the boot loader ends on a good slot where there is one.
            let mut left = marks;
            let mut last = None;
            for _ in 0..40 {
                let (slot, next) = left.start();
                last = slot;
                left = next;
            }
            let good = Slot::ALL.iter().any(|slot| marks.mark(*slot) == Mark::Good);
            prop_assert!(!good || last.is_some_and(|slot| marks.mark(slot) == Mark::Good));
        }
    }
}

//! What a collection has cost so far, held against its profile: an artifact asks how much it may
//! still take, and says what it leaves out.

use std::cell::{Cell, RefCell};

use super::profile::Limits;
use crate::clock::{Clock, cpu_ms};

/// The cost of one collection.
#[derive(Debug)]
pub struct Budget {
    clock: Clock,
    limits: Limits,
    /// What is free on the disk, where that is less than the limit.
    room: Option<u64>,
    begun_ms: u64,
    cpu_begun_ms: u64,
    taken: Cell<u64>,
    lacks: RefCell<Vec<String>>,
}

impl Budget {
    /// A budget that nothing was taken of. `room` is what may be written to the disk at all.
    #[must_use]
    pub fn begin(clock: Clock, limits: Limits, room: Option<u64>) -> Self {
        let (begun_ms, cpu_begun_ms) = (clock.monotonic_ms(), cpu_ms());
        let room = room.filter(|room| *room < limits.bytes_max);
        let (taken, lacks) = (Cell::default(), RefCell::default());
        Self { clock, limits, room, begun_ms, cpu_begun_ms, taken, lacks }
    }

    /// Which limit is reached, in words.
    #[must_use]
    pub fn spent(&self) -> Option<String> {
        let Limits { time_ms_max, cpu_ms_max, .. } = self.limits;
        if self.clock.monotonic_ms().saturating_sub(self.begun_ms) >= time_ms_max {
            return Some(format!("the collection's time of {} s is used up", time_ms_max / 1000));
        }
        if cpu_ms().saturating_sub(self.cpu_begun_ms) >= cpu_ms_max {
            return Some(format!(
                "the collection's CPU time of {} s is used up",
                cpu_ms_max / 1000
            ));
        }
        (self.left() == 0).then(|| self.bytes_in_words())
    }

    fn bytes_in_words(&self) -> String {
        match self.room {
            Some(room) => format!("the disk has room for {room} bytes of artifacts, and no more"),
            None => format!("the collection's {} bytes are used up", self.limits.bytes_max),
        }
    }

    /// Bytes that are left for all artifacts.
    fn left(&self) -> u64 {
        self.room.unwrap_or(self.limits.bytes_max).saturating_sub(self.taken.get())
    }

    /// Bytes that the artifact at hand may have.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.left().min(self.limits.artifact_bytes_max)
    }

    /// Milliseconds that are left.
    #[must_use]
    pub fn time_ms_left(&self) -> u64 {
        let used = self.clock.monotonic_ms().saturating_sub(self.begun_ms);
        self.limits.time_ms_max.saturating_sub(used)
    }

    /// Why an artifact is cut at [`Self::bytes_max`], in words.
    pub(super) fn why_cut(&self) -> String {
        if self.left() < self.limits.artifact_bytes_max {
            return self.bytes_in_words();
        }
        format!("cut after {} bytes, its limit", self.limits.artifact_bytes_max)
    }

    /// Says what the artifact at hand leaves out, and why; it is partial then.
    pub fn lacks(&self, why: impl Into<String>) {
        self.lacks.borrow_mut().push(why.into());
    }

    /// Takes what was said of the artifact at hand.
    pub(super) fn take_lacks(&self) -> Option<String> {
        let said = self.lacks.take();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Enters bytes of an artifact.
    pub(super) fn took(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.taken.set(self.taken.get().saturating_add(bytes));
    }
}

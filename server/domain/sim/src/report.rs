//! What a simulated rollout came to.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::fleet::since_beginning;

/// Points of the curve that a report keeps.
const POINTS_MAX: usize = 240;

/// What a simulated rollout came to. Times are milliseconds since it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose rules: the policy's name, or `hawkbit`.
    pub rules: String,
    /// Devices of the plan.
    pub devices: u64,
    /// How it ended: `finished`, `halted`, `running`.
    pub state: String,
    /// Why it halted.
    pub halt_reason: Option<String>,
    /// When it halted.
    pub halted_ms: Option<u64>,
    /// Devices that ran a bad image.
    pub harmed: u64,
    /// Devices that confirmed the image and are well.
    pub done: u64,
    /// Devices that failed, at once or later.
    pub failed: u64,
    /// Devices that have the image or the offer and are silent at the end.
    pub unknown: u64,
    /// Devices that were never offered it, or whose offer was taken back.
    pub untouched: u64,
    /// When half, nine tenths and 99 % of the devices had confirmed.
    pub half_ms: Option<u64>,
    /// See `half_ms`.
    pub ninety_ms: Option<u64>,
    /// See `half_ms`.
    pub ninety_nine_ms: Option<u64>,
    /// When each group opened.
    pub opened_ms: Vec<Option<u64>>,
    /// Devices confirmed over time.
    pub curve: Vec<Point>,
    /// Times that the gate of a device was asked.
    pub decisions: u64,
}

/// A point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Milliseconds since the beginning.
    pub ms: u64,
    /// Devices that have confirmed and are well.
    pub done: u64,
}

/// A curve while it is being drawn.
#[derive(Debug, Default)]
pub(crate) struct Curve {
    points: Vec<Point>,
}

impl Curve {
    pub(crate) fn at(&mut self, t: u64, done: u64) {
        let ms = since_beginning(t);
        if self.points.last().is_none_or(|last| last.done != done) {
            self.points.push(Point { ms, done });
        }
    }

    /// When `permille` of `devices` were reached first.
    pub(crate) fn reached(&self, permille: u64, devices: u64) -> Option<u64> {
        let wanted = (devices * permille).div_ceil(1000);
        self.points.iter().find(|point| point.done >= wanted).map(|point| point.ms)
    }

    /// At most [`POINTS_MAX`] of its points, the last among them.
    pub(crate) fn thinned(self) -> Vec<Point> {
        let every = self.points.len().div_ceil(POINTS_MAX).max(1);
        let last = self.points.last().copied();
        let mut thinned: Vec<Point> = self.points.into_iter().step_by(every).collect();
        if thinned.last() != last.as_ref() {
            thinned.extend(last);
        }
        thinned
    }
}

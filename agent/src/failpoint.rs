//! Where the power may go: one point before and one after every durable step. Tests cut there; a
//! program started with `--danger-crash-at NAME` aborts there, so that a harness can kill it at
//! every step.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A durable step. Its points are `before-STEP` and `after-STEP`.
pub type Step = &'static str;

/// Every durable step there is.
pub const STEPS: &[Step] = &[
    "provision-journal",
    "identity-key",
    "identity-certificate",
    "identity-nonce",
    "journal-idle",
    "journal-settled",
    "journal-accepted",
    "journal-staging",
    "journal-staged",
    "journal-armed",
    "journal-trial",
    "journal-rolling-back",
    "journal-copy",
    "journal-aside",
    "boot-count",
    "boot-forget",
    "boot-arm",
    "boot-keep",
    "boot-revert",
    "boot-link",
    "tuf-write",
    "tuf-delete",
    "anchors",
    "forensic-append",
    "forensic-cut",
    "forensic-aside",
    "forensic-epoch",
    "forensic-erase",
    "forensic-promote",
    "forensic-seal",
    "forensic-base",
    "forensic-prune",
    "forensic-witnessed",
    "stage-sync",
    "stage-cut",
    "stage-read-back",
    "bundle-write",
    "bundle-delete",
    "tree-clear",
    "tree-swap",
    "by-hand",
    "containment-order",
    "containment-rules",
    "containment-units",
];

/// All points by name, in the order of [`STEPS`].
pub fn names() -> impl Iterator<Item = String> {
    STEPS.iter().flat_map(|step| [format!("before-{step}"), format!("after-{step}")])
}

/// On which side of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nothing of it is done.
    Before,
    /// It is on disk.
    After,
}

type Hook = dyn Fn(Side, Step) -> io::Result<()> + Send + Sync;

/// What happens at the points: nothing, unless somebody asked for it.
#[derive(Clone, Default)]
pub struct Failpoints {
    hook: Option<Arc<Hook>>,
}

impl Failpoints {
    /// Calls `hook` at every point. An error of the hook ends the step there, as a power cut would.
    pub fn calling(hook: impl Fn(Side, Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    /// Aborts the process at the point of this name; none where there is no such point.
    #[must_use]
    pub fn danger_crash_at(name: &str) -> Option<Self> {
        names().find(|known| known == name)?;
        let name = name.to_owned();
        Some(Self::calling(move |side, step| {
            let here = match side {
                Side::Before => name.strip_prefix("before-"),
                Side::After => name.strip_prefix("after-"),
            };
            if here == Some(step) {
                std::process::abort();
            }
            Ok(())
        }))
    }

    /// Passes the point before `step`.
    ///
    /// # Errors
    /// What the hook returns.
    pub fn before(&self, step: Step) -> io::Result<()> {
        self.pass(Side::Before, step)
    }

    /// Passes the point after `step`.
    ///
    /// # Errors
    /// What the hook returns.
    pub fn after(&self, step: Step) -> io::Result<()> {
        self.pass(Side::After, step)
    }

    fn pass(&self, side: Side, step: Step) -> io::Result<()> {
        debug_assert!(STEPS.contains(&step), "{step} is missing in STEPS");
        self.hook.as_ref().map_or(Ok(()), |hook| hook(side, step))
    }
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failpoints").field("set", &self.hook.is_some()).finish()
    }
}

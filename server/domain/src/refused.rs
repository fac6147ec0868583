//! A rule said no: what the domain answers instead of a decision.

use alloc::string::String;

use lazaret_protocol::refusal::{Refusal, RefusalCode};

/// A refusal with the code that travels and the words that explain it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// Which rule.
    pub code: RefusalCode,
    /// What was expected and what came.
    pub detail: String,
}

impl Refused {
    /// A refusal.
    pub fn because(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// As it travels.
    #[must_use]
    pub fn to_wire(&self) -> Refusal {
        self.code.because(self.detail.clone())
    }
}

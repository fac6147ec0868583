//! What is asked, and what a release answers.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;

use super::version::Known;
use super::{Advisory, Bill, Wanted};

/// What makes a device affected: something in the release that runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Any release: whoever the filter leaves is affected.
    Anything,
    /// It has one of these components.
    Components(Vec<Wanted>),
    /// It has a file with this SHA-256, or is the image that has it.
    File(Sha256Digest),
}

impl Question {
    /// What an advisory asks.
    #[must_use]
    pub fn of(advisory: &Advisory) -> Self {
        Self::Components(advisory.affected.clone())
    }
}

/// What is known of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is affected.
    pub affected: Known,
    /// By what, at most a few; or why nobody knows.
    pub why: Vec<String>,
}

/// Components named in a verdict.
const WHY_MAX: usize = 8;

impl Question {
    /// What this asks of an image, whose bill there may be.
    #[must_use]
    pub fn ask(&self, image: &Sha256Digest, bill: Option<&Bill>) -> Verdict {
        let unknown =
            |why: &str| Verdict { affected: Known::Unknown, why: alloc::vec![why.into()] };
        match self {
            Self::Anything => Verdict { affected: Known::Yes, why: Vec::new() },
            Self::File(wanted) if wanted == image => {
                Verdict { affected: Known::Yes, why: alloc::vec!["the image itself".into()] }
            }
            _ => match bill {
                Some(bill) => self.of_bill(bill),
                None => unknown("no bill of materials"),
            },
        }
    }

    fn of_bill(&self, bill: &Bill) -> Verdict {
        let mut verdict = Verdict { affected: Known::No, why: Vec::new() };
        for component in &bill.components {
            let known = match self {
                Self::Components(wanted) => {
                    let one = |wanted: &Wanted| wanted.matches(component);
                    wanted.iter().map(one).fold(Known::No, Known::or)
                }
                Self::File(wanted) if component.sha256.as_ref() == Some(wanted) => Known::Yes,
                _ => Known::No,
            };
            if known == Known::No {
                continue;
            }
            verdict.affected = verdict.affected.or(known);
            let version = component.version.as_deref().unwrap_or("of no version");
            let doubt = if known == Known::Unknown { " (its order is not known)" } else { "" };
            if verdict.why.len() < WHY_MAX {
                verdict.why.push(alloc::format!("{} {version}{doubt}", component.package));
            }
        }
        if self.needs_hashes() && verdict.affected == Known::No {
            let hashed = bill.components.iter().any(|one| one.sha256.is_some());
            if !hashed {
                verdict.affected = Known::Unknown;
                verdict.why.push("its bill of materials has no hashes".into());
            }
        }
        verdict
    }

    const fn needs_hashes(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

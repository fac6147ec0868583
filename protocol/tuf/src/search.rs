//! The second half of the client workflow (TUF 5.6.7): finding what is said of a target, lazily,
//! role by role.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;

use crate::error::TufError;
use crate::machine::{Machine, Supplied, Want};
use crate::name::TARGETS;
use crate::refresh::{bytes_of, wanted_role};
use crate::stored::{Change, Floors, Notice};
use crate::target::Target;
use crate::targets::{Matching, TargetsMetadata, Visit};
use crate::trust::Trust;

/// Top-level metadata that is up to date. Delegated roles are loaded as searches need them, and
/// stay for the next search.
#[derive(Debug)]
pub struct Trusted {
    trust: Trust,
    targets: TargetsMetadata,
}

impl Trusted {
    pub(crate) const fn new(trust: Trust, targets: TargetsMetadata) -> Self {
        Self { trust, targets }
    }

    /// Begins to search for a target.
    pub fn find(&mut self, name: &str) -> Search<'_> {
        Search::begin(self, name)
    }

    /// The versions that are trusted.
    #[must_use]
    pub fn floors(&self) -> Floors {
        self.trust.floors()
    }

    /// When the first of the top-level roles expires: without a newer one, nothing is trusted
    /// after.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.trust.expires().min(self.targets.expires())
    }
}

/// A pre-order depth-first search for one target (TUF 5.6.7). Only roles are visited whose
/// delegations match the target, at every step of the way; so one bad role stops only targets that
/// were delegated to it, and a target that a role lists outside its delegation is never seen.
#[derive(Debug)]
pub struct Search<'t> {
    trusted: &'t mut Trusted,
    name: String,
    /// Roles still to ask, the next one last.
    visits: Vec<Visit>,
    visited: BTreeSet<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Wants(Visit),
    Done(Result<Target, TufError>),
}

/// What one role has to say of the target.
enum Answer {
    Target(Box<Target>),
    Delegates(String, Matching),
}

impl<'t> Search<'t> {
    fn begin(trusted: &'t mut Trusted, name: &str) -> Self {
        let mut search = Self {
            trusted,
            name: name.into(),
            visits: Vec::new(),
            visited: BTreeSet::new(),
            state: State::Done(Err(TufError::TargetNotFound { name: name.into() })),
        };
        let answer = search.ask(TARGETS, &search.trusted.targets);
        search.state = search.go_on(answer).unwrap_or_else(|err| State::Done(Err(err)));
        search
    }

    /// What the search found.
    ///
    /// # Errors
    /// - [`TufError::TargetNotFound`]: no role that may speak of the target lists it.
    /// - [`TufError::RoleUnverified`]: a role that may speak of it cannot be trusted. The search
    ///   ends there (TUF 5.6.7), or a less trusted role could speak in its place.
    /// - [`TufError::SearchLimit`], [`TufError::BadTarget`], [`TufError::NotFinished`].
    pub fn finish(self) -> Result<Target, TufError> {
        if let Want::File(wanted) = self.next() {
            return Err(TufError::NotFinished { file: wanted.name });
        }
        match self.state {
            State::Done(outcome) => outcome,
            State::Wants(_) => Err(TufError::NotWanted),
        }
    }

    /// Looks into one role for the target, or for whom it delegates to.
    fn ask(&self, role: &str, targets: &TargetsMetadata) -> Result<Answer, TufError> {
        // 5.6.7.1: this role has metadata about the target.
        let consistent = self.trusted.trust.root.consistent_snapshot;
        match targets.target(role, &self.name, consistent) {
            Some(target) => Ok(Answer::Target(Box::new(target?))),
            None => Ok(Answer::Delegates(role.into(), targets.delegations_for(&self.name))),
        }
    }

    /// Notes whom a role delegates to (TUF 5.6.7.2), in order of appearance, before what was noted
    /// earlier.
    fn note(&mut self, role: String, mut matching: Matching) {
        self.visited.insert(role);
        if matching.terminating {
            // 5.6.7.2.1: after a terminating delegation nobody else is asked.
            self.visits.clear();
        }
        matching.visits.reverse();
        self.visits.append(&mut matching.visits);
    }

    /// Goes from role to role until one must be fetched, or the search is over.
    fn go_on(&mut self, answer: Result<Answer, TufError>) -> Result<State, TufError> {
        let mut answer = answer?;
        loop {
            match answer {
                Answer::Target(target) => return Ok(State::Done(Ok(*target))),
                Answer::Delegates(role, matching) => self.note(role, matching),
            }
            let Some(visit) = self.next_visit()? else {
                let name = self.name.clone();
                return Ok(State::Done(Err(TufError::TargetNotFound { name })));
            };
            let stored = self.trusted.trust.stored_role(&visit.role, &visit.keys);
            match stored.map_err(|err| unverified(&visit.role, err))? {
                Some(targets) => answer = self.ask(&visit.role, &targets)?,
                None => return Ok(State::Wants(visit)),
            }
        }
    }

    /// The next role to ask (TUF 5.6.7.1): cycles are avoided, and the number of roles is limited.
    fn next_visit(&mut self) -> Result<Option<Visit>, TufError> {
        while let Some(visit) = self.visits.pop() {
            if self.visited.contains(&visit.role) {
                continue;
            }
            // The top-level role is among the visited and is no delegation.
            let roles_max = self.trusted.trust.limits.delegations_max;
            if self.visited.len() > roles_max {
                return Err(TufError::SearchLimit { name: self.name.clone(), roles_max });
            }
            return Ok(Some(visit));
        }
        Ok(None)
    }

    /// Takes the metadata of a role that was wanted.
    fn take(&mut self, visit: &Visit, supplied: Supplied) -> Result<TargetsMetadata, TufError> {
        let Want::File(wanted) = self.next() else { return Err(TufError::NotWanted) };
        let bytes = bytes_of(supplied, &wanted)?;
        self.trusted.trust.accept_role(&visit.role, &visit.keys, bytes)
    }

    fn advance(&mut self, visit: &Visit, supplied: Supplied) -> Result<State, TufError> {
        let taken = self.take(visit, supplied);
        let targets = taken.map_err(|err| unverified(&visit.role, err))?;
        let answer = self.ask(&visit.role, &targets);
        self.go_on(answer)
    }
}

impl Machine for Search<'_> {
    fn next(&self) -> Want {
        let State::Wants(visit) = &self.state else { return Want::Nothing };
        let trust = &self.trusted.trust;
        let wanted = trust
            .listed_role(&visit.role)
            .map(|listed| wanted_role(trust, &visit.role, listed, trust.limits.targets_bytes_max));
        wanted.map_or(Want::Nothing, Want::File)
    }

    /// An error is also the search's outcome; a target that is not there is one too, but is told by
    /// [`Search::finish`] only.
    fn supply(&mut self, supplied: Supplied) -> Result<(), TufError> {
        let State::Wants(visit) = &self.state else { return Err(TufError::NotWanted) };
        let visit = visit.clone();
        match self.advance(&visit, supplied) {
            Ok(state) => {
                self.state = state;
                Ok(())
            }
            Err(err) => {
                self.state = State::Done(Err(err.clone()));
                Err(err)
            }
        }
    }

    fn keep(&mut self) -> Vec<Change> {
        self.trusted.trust.take_changes()
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.trusted.trust.take_notices()
    }

    fn floors(&self) -> Floors {
        self.trusted.trust.floors()
    }
}

fn unverified(role: &str, source: TufError) -> TufError {
    TufError::RoleUnverified { role: role.into(), source: Box::new(source) }
}

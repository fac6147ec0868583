//! Use cases, one file each: load what is needed, let the domain decide, commit, answer. No rule of
//! the domain and no word of HTTP lives here.

pub(crate) mod anchors;
pub(crate) mod approver;
pub(crate) mod attestation;
pub(crate) mod audit;
pub(crate) mod claim;
pub(crate) mod clone;
pub(crate) mod context;
pub(crate) mod deltas;
pub(crate) mod endorsement;
pub(crate) mod enroll;
pub(crate) mod error;
pub(crate) mod evidence;
pub(crate) mod expiry;
pub(crate) mod fleet;
pub(crate) mod follow;
pub(crate) mod held;
pub(crate) mod inventory;
pub(crate) mod issue;
pub(crate) mod leave;
pub(crate) mod listing;
pub(crate) mod news;
pub(crate) mod operators;
pub(crate) mod plan;
pub(crate) mod poll;
pub(crate) mod publish;
pub(crate) mod quarantine;
pub(crate) mod records;
pub(crate) mod release;
pub(crate) mod report;
pub(crate) mod repository;
pub(crate) mod rollout;
pub(crate) mod tokens;
pub(crate) mod uploads;
pub(crate) mod webhooks;
pub(crate) mod within;

//! A device's log as a transparency log: its records (`record`), what is left of them after the
//! power went (`recovery`), the tree over them (`grown`), what stays of those that were pruned
//! (`base`), the keys that seal it from one boot to the next (`epoch`), and what a
//! stranger concludes from all of it (`verify`). What is worth a record, and where it is kept, is
//! the agent's business.

pub mod base;
pub mod epoch;
pub mod grown;
pub mod record;
pub mod recovery;
pub mod verify;

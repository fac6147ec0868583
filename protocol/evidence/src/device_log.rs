//! A device's log as a transparency log: its records (`record`), what is left of them after the
//! power went (`recovery`), the keys that seal it from one boot to the next (`epoch`), and what a
//! stranger concludes from all of it (`verify`). What is worth a record, and where it is kept, is
//! the agent's business.

pub mod epoch;
pub mod record;
pub mod recovery;
pub mod verify;

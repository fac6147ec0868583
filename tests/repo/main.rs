//! The repository that the real server publishes: read by clients that share no code with us,
//! followed through every change of keys from the first root on, and served so that caches between
//! it and a fleet work.

mod ceremonies;
mod emergency;
mod expiry;
mod readers;
mod serving;

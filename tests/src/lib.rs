//! The harness: a whole site (keys, server, operator, devices) as real processes on loopback, in
//! one folder. Stories use it in `e2e/`, the demo in `demo/`; what is asserted stands there and not
//! here.

pub mod fleet;
pub mod hardware;
pub mod http;
pub mod image;
pub mod mirror;
pub mod peer;
pub mod programs;
pub mod python_case;
pub mod python_tuf;
pub mod site;
pub mod wait;

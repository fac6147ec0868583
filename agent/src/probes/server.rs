//! The probe `server`: an image that cannot reach its server can never be repaired from there.

use super::{Probe, ProbeFailure, Surroundings};
use crate::config::Reader;

#[derive(Debug)]
struct ServerProbe;

pub(super) fn make(_: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    Some(Box::new(ServerProbe))
}

impl Probe for ServerProbe {
    fn look(&self, around: &Surroundings<'_>, timeout_ms: u64) -> Result<(), ProbeFailure> {
        around.transport.health(timeout_ms).map_err(|err| {
            ProbeFailure::because(format!(
                "the server does not answer: {}",
                crate::cli::chain(&err)
            ))
        })
    }
}

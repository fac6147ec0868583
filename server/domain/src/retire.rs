//! Taking a device out of service for good. Nothing brings it back: a machine that is used again is
//! listed under another name.

use alloc::string::String;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// Why a device is out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Who said so.
    pub by: OperatorName,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Retires a device: from the commit on nothing of it is answered, and nothing enrols as it. Doing
/// it twice changes nothing.
///
/// # Errors
/// No such device.
pub fn retire(
    found: &Found<Device>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Device>, Refused> {
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    if device.retired.is_some() {
        return Ok(Decision::reply(device.clone()));
    }
    let retired = Some(Retired { by: by.clone(), reason: reason.into(), at: now });
    let changed = Device { retired, ..device.clone() };
    let fact = Fact::Retired { device: device.id.clone(), by: by.clone(), reason: reason.into() };
    Ok(Decision::reply(changed.clone()).replace(found, &changed).event(Event { at: now, fact }))
}

//! What operators assign to a device: labels, and the group that it is in.

use alloc::format;
use alloc::string::String;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::LabelRequest;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use crate::attribute;
use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// Changes what a device is labelled with. What says what is there already changes nothing.
///
/// # Errors
/// No such device; too many labels, or ones with characters that they may not have.
pub fn label(
    found: &Found<Device>,
    request: &LabelRequest,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Device>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such device");
    let mut device = found.value.clone().ok_or_else(unknown)?;
    device.labels = attribute::changed("labels", &device.labels, &request.labels)?;
    if let Some(group) = &request.group {
        check_group(group)?;
        device.group = Some(group.clone()).filter(|group| !group.is_empty());
    }
    if found.value.as_ref() == Some(&device) {
        return Ok(Decision::reply(device));
    }
    let fact = Fact::Labelled { device: device.id.clone(), by: by.clone() };
    Ok(Decision::reply(device.clone()).replace(found, &device).event(Event { at: now, fact }))
}

fn check_group(group: &str) -> Result<(), Refused> {
    if group.is_empty() || attribute::is_key(group) {
        return Ok(());
    }
    let got: String = group.chars().take(attribute::KEY_BYTES_MAX).collect();
    let detail = format!(
        "expected a group of 1 to {} letters, digits, dots, dashes and underscores, got {got:?}",
        attribute::KEY_BYTES_MAX
    );
    Err(Refused::because(RefusalCode::BadRequest, detail))
}

//! The timeline of an incident: what the event log says of it, of its devices and of the rollouts
//! that cure it, since it was opened.

use std::collections::BTreeSet;

use lazaret_protocol::id::IncidentId;
use lazaret_protocol::operator::{EventView, Page};

use super::super::context::App;
use super::super::error::AppError;
use super::super::listing::{self, PageRequest};
use super::members;

/// Events that one request looks at.
const LOOKED_AT_MAX: usize = 20_000;

/// Events read at once.
const EVENTS_AT_ONCE: usize = 500;

/// A page of the timeline. Looking is bounded: a page may hold few or none and still have a next.
///
/// # Errors
/// No such incident, or `after` is no number; or the store.
pub(crate) async fn timeline(
    app: &App,
    id: &IncidentId,
    page: &PageRequest,
) -> Result<Page<EventView>, AppError> {
    let incident = super::existing(app, id).await?;
    let mut ours: BTreeSet<String> = incident.rollouts.iter().map(ToString::to_string).collect();
    ours.insert(id.to_string());
    let devices = members::of(app, &incident).await?;
    let devices: BTreeSet<String> = devices.iter().map(ToString::to_string).collect();
    let belongs = |event: &EventView| {
        let field = |name: &str| event.event.get(name).and_then(serde_json::Value::as_str);
        ["incident", "rollout"].iter().any(|name| field(name).is_some_and(|it| ours.contains(it)))
            || field("device").is_some_and(|device| devices.contains(device))
    };
    let wanted = |after: &String| {
        let expected = || format!("expected the number of an event in after, got {after:?}");
        after.parse::<u64>().map_err(|_| AppError::bad_request(expected()))
    };
    let after = page.after.as_ref().map(wanted).transpose()?.unwrap_or(0);
    let mut after = after.max(incident.behind_event);
    let (mut items, mut looked) = (Vec::new(), 0_usize);
    let limit = page.limit();
    while items.len() < limit && looked < LOOKED_AT_MAX {
        let events = listing::events_after(app, after, EVENTS_AT_ONCE).await?;
        if events.is_empty() {
            return Ok(Page { items, next: None });
        }
        looked = looked.saturating_add(events.len());
        for event in events {
            after = event.sequence;
            if belongs(&event) {
                items.push(event);
            }
            if items.len() >= limit {
                break;
            }
        }
    }
    Ok(Page { items, next: Some(after.to_string()) })
}

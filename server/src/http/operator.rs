//! The operators' face: the table of its routes, with the roles that each takes; an empty list
//! takes any. What answers a row stands in the file of its subject.

use lazaret_protocol::limits::{
    METADATA_BYTES_MAX, OPERATOR_BODY_BYTES_MAX, PUBLICATION_BYTES_MAX,
};
use lazaret_protocol::operator::{
    AcceptLogReply, BundleView, ClaimReply, ClaimRequest, CollectionReply, CollectionRequest,
    DeviceView, EventView, HoldRequest, InventoryReply, InventoryRequest, LabelRequest,
    PublicationRequest, PublishReply, QuarantineRequest, ReasonRequest, ReleaseRequest,
    ReleaseView, Role, ScrubReply, WhyView,
};

use super::openapi::{self, describe, page_of};
use super::route::{Gives, Handler, Route, Within, committed, content, responded, viewed};
use super::router::Table;
use super::{device, files, reply};
use crate::app::error::AppError;

mod anomalies;
mod audit;
mod containment;
mod devices;
mod events;
mod evidence;
mod incidents;
mod people;
mod releases;
mod repository;
mod rollouts;
mod sweeps;
mod webhooks;

/// Largest piece of an image in one request, in bytes.
const IMAGE_CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Largest request but for uploads and lists of devices, in bytes.
const SMALL_BODY_BYTES_MAX: u64 = 64 * 1024;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1024;

const ANYBODY: &[Role] = &[];
const OPERATES: &[Role] = &[Role::Operator];
const ACCEPTS_LOGS: &[Role] = &[Role::IncidentCommander];
const CONTAINS: &[Role] = &[Role::Operator, Role::IncidentCommander];
const APPROVES: &[Role] = &[Role::Operator, Role::ReleaseManager, Role::IncidentCommander];
const RELEASES: &[Role] = &[Role::ReleaseManager];
/// The incident team hands in its own schedules; what is in a file is said by who signed it.
const PUBLISHES: &[Role] = &[Role::ReleaseManager, Role::IncidentCommander];
const COLLECTS: &[Role] = &[Role::Responder, Role::IncidentCommander];
const SEES_WEBHOOKS: &[Role] = &[Role::Operator, Role::IncidentCommander, Role::Auditor];
/// The log of who did what, and who was refused.
const AUDITS: &[Role] = &[Role::Auditor];
/// Who manages people.
const ADMINISTERS: &[Role] = &[Role::Admin];
const SEES_EVIDENCE: &[Role] = &[Role::Responder, Role::IncidentCommander, Role::Auditor];

const AFTER: (&str, &str) = ("after", "begin behind this one: the `next` of the page before");
const LIMIT: (&str, &str) = ("limit", "at most so many, 1 to 500");
const OFFSET: (&str, &str) = ("offset", "where the bytes begin");

/// All routes for operators.
pub(crate) const ROUTES: Table = &[
    DEVICES,
    containment::ROUTES,
    RELEASE,
    REPOSITORY,
    rollouts::ROUTES,
    EVIDENCE,
    incidents::ROUTES,
    sweeps::ROUTES,
    anomalies::ROUTES,
    EVENTS,
    webhooks::ROUTES,
    audit::ROUTES,
    people::ROUTES,
    ABOUT,
];

const ABOUT: &[Route] = &[
    Route::get("/v1/health", Handler::Operator(ANYBODY, |_, _| device::health()))
        .about("Whether the server answers")
        .within(Within::Nothing)
        .gives(describe::<openapi::Health>),
    Route::get(
        "/v1/openapi.json",
        Handler::Operator(ANYBODY, |_, _| viewed(async { Ok(openapi::document(ROUTES)) })),
    )
    .about("This document")
    .within(Within::Nothing)
    .gives(openapi::anything),
];

const DEVICES: &[Route] = &[
    Route::post(
        "/v1/claims",
        Handler::Operator(OPERATES, |c, by| committed(devices::claim(c, by))),
    )
    .about("Make a one-time claim with which a machine enrols")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ClaimRequest>)
    .gives(describe::<ClaimReply>),
    Route::post(
        "/v1/inventory",
        Handler::Operator(OPERATES, |c, by| committed(devices::inventory(c, by))),
    )
    .about("List machines that may enrol, all of them or none")
    .takes(OPERATOR_BODY_BYTES_MAX, describe::<InventoryRequest>)
    .gives(describe::<InventoryReply>),
    Route::get("/v1/devices", Handler::Operator(ANYBODY, |c, by| viewed(devices::list(c, by))))
        .about("Devices, by name; a page may be short, or empty, and still have a next")
        .within(Within::Listed)
        .reads(&[
            AFTER,
            LIMIT,
            ("filter", "only those that match, such as model==gw2;label.site==lyon"),
        ])
        .gives(page_of::<DeviceView>),
    Route::get("/v1/devices/{device}", Handler::Operator(ANYBODY, |c, _| viewed(devices::show(c))))
        .about("One device")
        .within(Within::Device)
        .gives(describe::<DeviceView>),
    Route::get(
        "/v1/devices/{device}/why",
        Handler::Operator(ANYBODY, |c, _| viewed(devices::why(c))),
    )
    .about("The one gate that holds a device, and what would open it")
    .within(Within::Device)
    .gives(describe::<WhyView>),
    Route::post(
        "/v1/devices/{device}/labels",
        Handler::Operator(OPERATES, |c, by| committed(devices::label(c, by))),
    )
    .about("Label a device, and put it in a group")
    .takes(SMALL_BODY_BYTES_MAX, describe::<LabelRequest>)
    .gives(describe::<DeviceView>),
    Route::post(
        "/v1/devices/{device}/quarantine",
        Handler::Operator(CONTAINS, |c, by| committed(devices::quarantine(c, by))),
    )
    .about("Contain a device, or further; without a level: nothing but evidence out and cure in")
    .takes(SMALL_BODY_BYTES_MAX, describe::<QuarantineRequest>)
    .gives(describe::<DeviceView>),
    Route::post(
        "/v1/devices/{device}/accept-swap",
        Handler::Operator(CONTAINS, |c, by| committed(devices::accept_swap(c, by))),
    )
    .about("Accept that numbers of a device's modem or SIM have changed")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<DeviceView>),
    Route::post(
        "/v1/devices/{device}/retire",
        Handler::Operator(OPERATES, |c, by| committed(devices::retire(c, by))),
    )
    .about("Take a device out of service for good")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<DeviceView>),
];

const RELEASE: &[Route] = &[
    Route::post(
        "/v1/releases",
        Handler::Operator(RELEASES, |c, by| committed(releases::announce(c, by))),
    )
    .about("Announce an image that is about to be uploaded")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReleaseRequest>)
    .gives(describe::<ReleaseView>),
    Route::get("/v1/releases", Handler::Operator(ANYBODY, |c, _| viewed(releases::list(c))))
        .about("Releases, by model and version")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<ReleaseView>),
    Route::get(
        "/v1/releases/{model}/{version}",
        Handler::Operator(ANYBODY, |c, _| viewed(releases::show(c))),
    )
    .about("One release")
    .within(Within::Model)
    .gives(describe::<ReleaseView>),
    Route::put(
        "/v1/releases/{model}/{version}/image",
        Handler::Operator(RELEASES, |c, _| committed(releases::append(c))),
    )
    .about("Append a piece of the image; the one that completes it starts the deltas")
    .reads(&[OFFSET])
    .takes_raw(IMAGE_CHUNK_BYTES_MAX)
    .gives(describe::<ReleaseView>),
];

const REPOSITORY: &[Route] = &[
    Route::get(
        "/v1/repo/metadata/{file}",
        Handler::Operator(ANYBODY, |c, _| Box::pin(files::metadata(c))),
    )
    .about("A file of signed metadata")
    .gives(openapi::anything),
    Route::get(
        "/v1/repo/targets/{path..}",
        Handler::Operator(ANYBODY, |c, _| Box::pin(files::target(c))),
    )
    .about("A published target `dir/HASH.name`, whole or one range of it")
    .gives_other(Gives::Raw),
    Route::post(
        "/v1/repo/metadata/{file}",
        Handler::Operator(PUBLISHES, |c, by| committed(repository::publish(c, by))),
    )
    .about("Publish signed metadata from a ceremony")
    .takes(METADATA_BYTES_MAX, openapi::anything)
    .gives(describe::<PublishReply>),
    Route::post(
        "/v1/repo/transactions",
        Handler::Operator(PUBLISHES, |c, by| committed(repository::publish_all(c, by))),
    )
    .about("Publish several signed files, and the anchors they sign, together or not at all")
    .takes(PUBLICATION_BYTES_MAX, describe::<PublicationRequest>)
    .gives(describe::<PublishReply>),
    Route::post(
        "/v1/repo/rehearsals",
        Handler::Operator(PUBLISHES, |c, by| viewed(repository::rehearse(c, by))),
    )
    .about("Say what a transaction would do, and do nothing")
    .takes(PUBLICATION_BYTES_MAX, describe::<PublicationRequest>)
    .gives(describe::<PublishReply>),
];

const EVIDENCE: &[Route] = &[
    Route::post(
        "/v1/devices/{device}/evidence",
        Handler::Operator(COLLECTS, |c, by| committed(evidence::order(c, by))),
    )
    .about("Order a bundle of evidence from a device")
    .within(Within::Device)
    .takes(SMALL_BODY_BYTES_MAX, describe::<CollectionRequest>)
    .gives(describe::<CollectionReply>),
    Route::post(
        "/v1/devices/{device}/accept-log",
        Handler::Operator(ACCEPTS_LOGS, |c, by| committed(evidence::accept_log(c, by))),
    )
    .about("Accept that a device's disputed log begins anew, as after it was provisioned again")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<AcceptLogReply>),
    Route::get(
        "/v1/bundles",
        Handler::Operator(SEES_EVIDENCE, |c, by| viewed(evidence::list(c, by))),
    )
    .about("Bundles of evidence, by name, each with its custody log")
    .within(Within::Listed)
    .reads(&[AFTER, LIMIT])
    .gives(page_of::<BundleView>),
    Route::post(
        "/v1/bundles/{bundle}/hold",
        Handler::Operator(COLLECTS, |c, by| committed(evidence::hold(c, by))),
    )
    .about("Place a legal hold on a bundle, which no retention deletes then, or lift one's own")
    .within(Within::Bundle)
    .takes(SMALL_BODY_BYTES_MAX, describe::<HoldRequest>)
    .gives(describe::<BundleView>),
    Route::post(
        "/v1/evidence/scrub",
        Handler::Operator(SEES_EVIDENCE, |c, _| viewed(evidence::scrub(c))),
    )
    .about("Read every bundle back, and say which are missing or rotten")
    .gives(describe::<ScrubReply>),
    Route::get(
        "/v1/bundles/{bundle}",
        Handler::Operator(SEES_EVIDENCE, |c, by| viewed(evidence::show(c, by))),
    )
    .about("One bundle, with its custody log")
    .within(Within::Bundle)
    .gives(describe::<BundleView>),
    Route::get(
        "/v1/bundles/{bundle}/content",
        Handler::Operator(COLLECTS, |c, by| content(evidence::pull(c, by))),
    )
    .about("The bytes of a bundle; an entry is added to its custody log first")
    .within(Within::Bundle)
    .gives_other(Gives::Raw),
];

const EVENTS: &[Route] = &[
    Route::get("/v1/events", Handler::Operator(ANYBODY, |c, _| viewed(events::list(c))))
        .about("What happened, in order")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<EventView>),
    Route::get(
        "/v1/events/stream",
        Handler::Operator(ANYBODY, |c, by| responded(events::follow(c, by))),
    )
    .about(
        "The same as server-sent events, without end: `id` is the sequence, `data` an EventView; \
         begin again with Last-Event-ID",
    )
    .reads(&[("after", "begin behind this event; Last-Event-ID goes before it")])
    .gives_other(Gives::Stream),
];

/// A reason: no act on the fleet goes without one.
fn checked(reason: &str) -> Result<(), AppError> {
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(reply::bad(format!(
            "expected a reason of 1 to {REASON_BYTES_MAX} bytes, got {} bytes",
            reason.trim().len()
        )));
    }
    Ok(())
}

/// The reason in a body that is nothing else.
fn reason(call: &super::route::Call) -> Result<String, AppError> {
    let ReasonRequest { reason } = call.message()?;
    checked(&reason)?;
    Ok(reason)
}

//! The audit log: entries as pages, and the files of a C2SP log (c2sp.org/tlog-tiles) whose prefix
//! is `/v1/audit`, so that stock readers fetch it.

use lazaret_protocol::operator::{AuditCheckpointView, AuditEntry, AuditKeysView, Page};
use lazaret_protocol::time::Timestamp;
use serde::Deserialize;
use warp::reply::Response;

use super::super::openapi::{describe, page_of};
use super::super::page::page;
use super::super::reply;
use super::super::route::{Call, Gives, Handler, Route, responded, viewed};
use super::{AFTER, AUDITS, LIMIT};
use crate::app::audit::{self, AuditFilter};
use crate::app::error::AppError;

/// Routes of the audit log.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/audit/entries", Handler::Operator(AUDITS, |c, _| viewed(entries(c))))
        .about("Who did what, and who was refused; a page may be short and still have a next")
        .reads(&[
            AFTER,
            LIMIT,
            ("who", "only of this person, device or address"),
            ("what", "only whose route or path holds this text"),
            ("outcome", "only with this outcome: done, or the code of a refusal"),
            ("since", "not before this moment (RFC 3339)"),
            ("until", "before this moment"),
        ])
        .gives(page_of::<AuditEntry>),
    Route::get("/v1/audit/keys", Handler::Operator(AUDITS, |c, _| viewed(keys(c))))
        .about("The log's name and its keys; believe those that the signed anchors list")
        .gives(describe::<AuditKeysView>),
    Route::get("/v1/audit/checkpoints", Handler::Operator(AUDITS, |c, _| viewed(checkpoints(c))))
        .about("Every checkpoint that was signed, by size")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<AuditCheckpointView>),
    Route::get("/v1/audit/checkpoint", Handler::Operator(AUDITS, |c, _| responded(checkpoint(c))))
        .about("The latest checkpoint, a signed note (c2sp.org/tlog-checkpoint)")
        .gives_other(Gives::Raw),
    Route::get("/v1/audit/tile/{path..}", Handler::Operator(AUDITS, |c, _| responded(tile(c))))
        .about("A tile or a bundle of entries (c2sp.org/tlog-tiles)")
        .gives_other(Gives::Raw),
];

#[derive(Debug, Deserialize)]
struct FilterQuery {
    who: Option<String>,
    what: Option<String>,
    outcome: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

async fn entries(call: Call) -> Result<Page<AuditEntry>, AppError> {
    let query: FilterQuery = call.query()?;
    let moment = |text: Option<String>| {
        let parsed = text.map(|text| Timestamp::parse_rfc3339(&text)).transpose();
        parsed.map_err(|err| reply::bad(err.to_string()))
    };
    let filter = AuditFilter {
        who: query.who,
        what: query.what,
        outcome: query.outcome,
        since: moment(query.since)?,
        until: moment(query.until)?,
    };
    audit::entries(&call.app, &filter, &page(&call)?).await
}

async fn keys(call: Call) -> Result<AuditKeysView, AppError> {
    audit::keys(&call.app).await
}

async fn checkpoints(call: Call) -> Result<Page<AuditCheckpointView>, AppError> {
    audit::checkpoints(&call.app, &page(&call)?).await
}

async fn checkpoint(call: Call) -> Result<Response, AppError> {
    let note = audit::checkpoint(&call.app).await?;
    Ok(reply::bytes(note.into_bytes(), "text/plain; charset=utf-8"))
}

async fn tile(call: Call) -> Result<Response, AppError> {
    let path = format!("tile/{}", call.segment("path"));
    Ok(reply::bytes(audit::tile(&call.app, &path).await?, "application/octet-stream"))
}

//! The audit log as it is read: entries by who, what and when, and the files of a C2SP log.

use lazaret_protocol::operator::{AuditCheckpointView, AuditEntry, Page};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::tlog::tile::{Tile, WIDTH, write_entry, write_hashes};
use lazaret_server_domain::audit::{AuditCheckpoint, AuditHead, AuditRow, AuditTile, row_name};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;

use super::super::context::App;
use super::super::error::AppError;
use super::super::listing::{PAGE_ITEMS_MAX, PageRequest};

/// Rows that one request looks at to find those that a filter matches.
const LOOKED_AT_MAX: usize = 20_000;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    /// Of this person, device or address.
    pub(crate) who: Option<String>,
    /// Whose act holds this text.
    pub(crate) what: Option<String>,
    /// With this outcome.
    pub(crate) outcome: Option<String>,
    /// Not before.
    pub(crate) since: Option<Timestamp>,
    /// Before.
    pub(crate) until: Option<Timestamp>,
}

impl AuditFilter {
    fn matches(&self, entry: &AuditEntry) -> bool {
        let act = &entry.act;
        let who = |who: &String| *who == act.who.name || *who == act.who.address;
        let what = |what: &String| act.what.contains(what) || act.target.contains(what);
        self.who.as_ref().is_none_or(who)
            && self.what.as_ref().is_none_or(what)
            && self.outcome.as_ref().is_none_or(|outcome| *outcome == act.outcome)
            && self.since.is_none_or(|since| act.at >= since)
            && self.until.is_none_or(|until| act.at < until)
    }
}

/// A page of entries. Looking is bounded too: a page may hold few or none and still have a next.
///
/// # Errors
/// `after` is no index; or the store.
pub(crate) async fn entries(
    app: &App,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditEntry>, AppError> {
    super::sequence(app).await?;
    let mut after = page.after.as_deref().map(index).transpose()?.map(row_name);
    let limit = page.limit.unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX);
    let (mut items, mut looked) = (Vec::new(), 0);
    while items.len() < limit && looked < LOOKED_AT_MAX {
        let rows: Vec<AuditRow> = app.store.list("", after.as_deref(), PAGE_ITEMS_MAX).await?;
        if rows.is_empty() {
            return Ok(Page { items, next: None });
        }
        looked = looked.saturating_add(rows.len());
        for row in rows {
            after = Some(row_name(row.index));
            let entry = entry(&row)?;
            if filter.matches(&entry) {
                items.push(entry);
            }
            if items.len() >= limit {
                break;
            }
        }
    }
    let next = after.map(|name| name.trim_start_matches('0').to_owned());
    let next = next.map(|name| if name.is_empty() { "0".to_owned() } else { name });
    Ok(Page { items, next })
}

fn index(text: &str) -> Result<u64, AppError> {
    text.parse().map_err(|_| {
        AppError::bad_request(format!("expected the index of an entry in after, got {text:?}"))
    })
}

fn entry(row: &AuditRow) -> Result<AuditEntry, AppError> {
    // A row that somebody made unreadable must not hide those after it: `verify` names it.
    serde_json::from_str(&row.entry).or_else(|_| {
        tracing::error!(index = row.index, "a row of the audit log is no entry");
        let who = lazaret_protocol::operator::AuditWho {
            kind: lazaret_protocol::operator::AuditWhoKind::Server,
            name: "unreadable".to_owned(),
            credential: String::new(),
            address: String::new(),
        };
        let act = lazaret_protocol::operator::AuditAct {
            at: Timestamp::from_ms(0),
            who,
            what: "unreadable".to_owned(),
            target: String::new(),
            reason: String::new(),
            request: None,
            outcome: "unreadable".to_owned(),
            detail: super::cut(&row.entry),
            count: 1,
        };
        let previous = lazaret_protocol_evidence::audit::first_previous();
        Ok(AuditEntry { index: row.index, previous, act })
    })
}

/// The latest checkpoint, a signed note.
///
/// # Errors
/// The store.
pub(crate) async fn checkpoint(app: &App) -> Result<String, AppError> {
    super::sequence(app).await?;
    let found: Found<AuditHead> = app.store.find(AuditHead::NAME).await?;
    let none = || Refused::because(RefusalCode::NotFound, "the audit log has no entry yet");
    Ok(found.value.ok_or_else(none)?.note)
}

/// A page of checkpoints, by size.
///
/// # Errors
/// `after` is no size; or the store.
pub(crate) async fn checkpoints(
    app: &App,
    page: &PageRequest,
) -> Result<Page<AuditCheckpointView>, AppError> {
    let after = page.after.as_deref().map(index).transpose()?.map(row_name);
    let limit = page.limit.unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX);
    let found: Vec<AuditCheckpoint> = app.store.list("", after.as_deref(), limit).await?;
    let next = found.last().map(|last| last.size.to_string());
    let view = |one: AuditCheckpoint| AuditCheckpointView { size: one.size, note: one.note };
    Ok(Page { items: found.into_iter().map(view).collect(), next })
}

/// A tile or a bundle of entries by its path, such as `tile/0/x001/067.p/5` or `tile/entries/000`.
///
/// # Errors
/// No path of a tile, or the log has no such tile; or the store.
pub(crate) async fn tile(app: &App, path: &str) -> Result<Vec<u8>, AppError> {
    let none = || Refused::because(RefusalCode::NotFound, "the audit log has no such tile");
    let wanted: Tile = path.parse().map_err(|_| none())?;
    let found: Found<AuditHead> = app.store.find(AuditHead::NAME).await?;
    let head = found.value.ok_or_else(none)?;
    match path.strip_prefix("tile/entries/") {
        Some(_) => bundle(app, wanted, &head).await,
        None => Ok(write_hashes(&hashes(app, wanted, &head).await?)),
    }
}

async fn hashes(
    app: &App,
    wanted: Tile,
    head: &AuditHead,
) -> Result<Vec<lazaret_protocol::digest::Sha256Digest>, AppError> {
    let none = || Refused::because(RefusalCode::NotFound, "the audit log has no such tile");
    let levels = 0..head.partial.len();
    let edge = levels.filter_map(|level| Some((level, Tile::partial(level, head.size)?)));
    let at_the_edge = edge.clone().find(|(_, tile)| tile.full() == wanted.full());
    let all = match at_the_edge {
        Some((level, _)) => head.partial(level).to_vec(),
        None => {
            let full: Found<AuditTile> = app.store.find(&wanted.full().to_string()).await?;
            full.value.ok_or_else(none)?.hashes
        }
    };
    Ok(all.get(..wanted.width()).ok_or_else(none)?.to_vec())
}

async fn bundle(app: &App, wanted: Tile, head: &AuditHead) -> Result<Vec<u8>, AppError> {
    let none = || Refused::because(RefusalCode::NotFound, "the audit log has no such bundle");
    let width = u64::try_from(WIDTH).unwrap_or(u64::MAX);
    let first = wanted.index().checked_mul(width).ok_or_else(none)?;
    let count = u64::try_from(wanted.width()).unwrap_or(u64::MAX);
    let end = first.checked_add(count).filter(|end| *end <= head.size).ok_or_else(none)?;
    let names: Vec<String> = (first..end).map(row_name).collect();
    let mut bundle = Vec::new();
    for found in app.store.find_all::<AuditRow>(&names).await? {
        // A row that is gone is an entry of no bytes, so that those after it keep their places.
        let entry = found.value.map(|row| row.entry).unwrap_or_default();
        let written = write_entry(&mut bundle, entry.as_bytes());
        written.map_err(|_| AppError::CutShort { what: "writing a bundle of entries" })?;
    }
    Ok(bundle)
}

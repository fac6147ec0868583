//! Who is affected: bills of materials and advisories are taken in, and questions answered from a
//! table of the fleet in memory. The table is made from the records once, and every commit of this
//! server is taken into it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, OperatorName, VersionName};
use lazaret_protocol::operator::{
    AdvisoryView, BillView, Page, SweepQuery, SweepRequest, SweepView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::DAY_MS;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found, Record as _};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{Release, release_name};
use lazaret_server_domain::rollout::state::Assigned;
use lazaret_server_domain::sweep::table::{Ask, Seen, Swept, Table};
use lazaret_server_domain::sweep::{
    Advisory, Bill, Component, ImportError, Known, Question, Read, Wanted, csaf, cyclonedx, osv,
};
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::incident;
use super::listing::{self, PageRequest};

/// Devices read at once while the table is made.
const DEVICES_AT_ONCE: usize = 1000;

/// The most affected devices that one answer names.
const NAMED_MAX: u64 = 100_000;

/// Largest bill or advisory as it is kept, in bytes: what a store takes, and room for its frame.
const RECORD_BYTES_MAX: usize = 7 * 1024 * 1024;

/// How often a question looks whether the table is made.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The label that most fleets say a place by.
const USUAL_LABEL: &str = "site";

/// The fleet in memory.
#[derive(Debug, Default)]
pub(crate) struct Fleet(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has made it.
    #[default]
    Absent,
    /// It is being made; this was committed meanwhile.
    Making(Vec<Seen>),
    /// It is there.
    Made(Box<Table>),
}

impl Fleet {
    /// Takes in what was committed.
    pub(crate) fn take(&self, seen: Vec<Seen>) {
        if seen.is_empty() {
            return;
        }
        match &mut *self.state() {
            State::Absent => {}
            State::Making(waiting) => waiting.extend(seen),
            State::Made(table) => seen.iter().for_each(|one| table.take(one)),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is to make it.
    fn begin(&self) -> bool {
        let mut state = self.state();
        let absent = matches!(*state, State::Absent);
        if absent {
            *state = State::Making(Vec::new());
        }
        absent
    }

    /// Puts it in place, with what was committed while it was made; or nothing, so that it is made
    /// again.
    fn finish(&self, made: Option<Table>) {
        let mut state = self.state();
        let State::Making(waiting) = std::mem::take(&mut *state) else { return };
        if let Some(mut table) = made {
            waiting.iter().for_each(|one| table.take(one));
            *state = State::Made(Box::new(table));
        }
    }

    fn ask<R>(&self, ask: impl FnOnce(&Table) -> R) -> Option<R> {
        match &*self.state() {
            State::Made(table) => Some(ask(table)),
            _ => None,
        }
    }
}

/// Makes the table where there is none.
///
/// # Errors
/// The store.
pub(crate) async fn make(app: &App) -> Result<(), AppError> {
    if !app.store.fleet().begin() {
        return Ok(());
    }
    let made = from_records(app).await;
    let (table, result) = match made {
        Ok(table) => (Some(table), Ok(())),
        Err(err) => (None, Err(err)),
    };
    app.store.fleet().finish(table);
    result
}

async fn from_records(app: &App) -> Result<Table, AppError> {
    let mut table = Table::default();
    let bills: Vec<Bill> = app.store.list_all("").await?;
    bills.iter().filter_map(Bill::seen).for_each(|seen| table.take(&seen));
    let mut after: Option<String> = None;
    loop {
        let page: Vec<Device> = app.store.list("", after.as_deref(), DEVICES_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(table) };
        after = Some(last.id.to_string());
        let names: Vec<String> = page.iter().map(|device| device.id.to_string()).collect();
        page.iter().filter_map(Device::seen).for_each(|seen| table.take(&seen));
        let assigned = app.store.find_all::<Assigned>(&names).await?;
        let assigned = assigned.into_iter().filter_map(|found| found.value?.seen());
        assigned.for_each(|seen| table.take(&seen));
    }
}

/// Takes a bill of materials in.
///
/// # Errors
/// No such release, or the file is none; or the store.
pub(crate) async fn import_bill(
    app: &App,
    by: &OperatorName,
    (model, version): (&ModelName, &VersionName),
    file: &Bytes,
) -> Result<Committed<BillView>, AppError> {
    let parsed: cyclonedx::File = parsed(file, "a CycloneDX bill of materials as JSON")?;
    let format = parsed.format().map_err(refused)?;
    let components = parsed.components().map_err(refused)?;
    let name = release_name(model, version);
    let digest = Sha256Digest::of(file);
    app.decide(|| async {
        let release: Found<Release> = app.store.find(&name).await?;
        let unknown = || Refused::because(RefusalCode::NotFound, format!("no release {name}"));
        let release = release.value.ok_or_else(unknown)?;
        let bill = Bill {
            model: model.clone(),
            version: version.clone(),
            image: release.sha256,
            format: format.clone(),
            file: digest,
            by: by.clone(),
            at: app.now(),
            components: components.clone(),
        };
        fits(&bill)?;
        let fact = Fact::BillImported {
            model: model.clone(),
            version: version.clone(),
            components: count(&components, |_| true),
            file: digest,
            by: by.clone(),
        };
        Ok(Decision::reply(view(&bill)).put(&bill).event(Event { at: app.now(), fact }))
    })
    .await
}

/// The bill of a release.
///
/// # Errors
/// There is none; or the store.
pub(crate) async fn bill(
    app: &App,
    (model, version): (&ModelName, &VersionName),
) -> Result<BillView, AppError> {
    let found: Found<Bill> = app.store.find(&format!("{model}/{version}")).await?;
    let none = || {
        let detail = format!("{model} {version} has no bill of materials: lazaret release sbom");
        Refused::because(RefusalCode::NotFound, detail)
    };
    Ok(view(&found.value.ok_or_else(none)?))
}

fn view(bill: &Bill) -> BillView {
    BillView {
        model: bill.model.clone(),
        version: bill.version.clone(),
        image: bill.image,
        format: bill.format.clone(),
        file: bill.file,
        components: count(&bill.components, |_| true),
        versioned: count(&bill.components, |one| one.version.is_some()),
        hashed: count(&bill.components, |one| one.sha256.is_some()),
        by: bill.by.clone(),
        at: bill.at,
    }
}

fn count(components: &[Component], what: impl Fn(&Component) -> bool) -> u64 {
    u64::try_from(components.iter().filter(|one| what(one)).count()).unwrap_or(u64::MAX)
}

/// Takes an advisory in; the same again replaces it.
///
/// # Errors
/// It is none; or the store.
pub(crate) async fn import_advisory(
    app: &App,
    by: &OperatorName,
    file: &Bytes,
) -> Result<Committed<AdvisoryView>, AppError> {
    let any: serde_json::Value = parsed(file, "an advisory as JSON")?;
    let (format, read): (_, Result<Read, ImportError>) = if any.get("document").is_some() {
        ("CSAF 2.0", parsed::<csaf::File>(file, "an advisory in CSAF 2.0")?.read())
    } else {
        ("OSV", parsed::<osv::File>(file, "an advisory in OSV or CSAF 2.0")?.read())
    };
    let read = read.map_err(refused)?;
    let advisory = Advisory {
        id: read.id,
        aliases: read.aliases,
        summary: read.summary,
        format: format.to_owned(),
        affected: read.affected,
        not_followed: read.not_followed,
        by: by.clone(),
        at: app.now(),
    };
    fits(&advisory)?;
    app.decide(|| async {
        let fact = Fact::AdvisoryImported {
            advisory: advisory.id.clone(),
            affected: u64::try_from(advisory.affected.len()).unwrap_or(u64::MAX),
            by: by.clone(),
        };
        let event = Event { at: app.now(), fact };
        Ok(Decision::reply(advisory.view()).put(&advisory).event(event))
    })
    .await
}

/// A page of advisories.
///
/// # Errors
/// The store.
pub(crate) async fn advisories(
    app: &App,
    page: &PageRequest,
) -> Result<Page<AdvisoryView>, AppError> {
    let (items, next) = listing::records::<Advisory>(app, page).await?;
    Ok(Page { items: items.iter().map(Advisory::view).collect(), next })
}

fn parsed<T: serde::de::DeserializeOwned>(file: &Bytes, expected: &str) -> Result<T, AppError> {
    serde_json::from_slice(file)
        .map_err(|err| AppError::bad_request(format!("expected {expected}: {err}")))
}

/// Whether a record of it can be kept.
fn fits(record: &impl serde::Serialize) -> Result<(), AppError> {
    let got = serde_json::to_vec(record).map_or(usize::MAX, |bytes| bytes.len());
    if got <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("expected at most {RECORD_BYTES_MAX} bytes of what is kept, got {got}");
    Err(AppError::refused(RefusalCode::TooLarge, detail))
}

fn refused(err: ImportError) -> AppError {
    let code = match &err {
        ImportError::TooMany { .. } => RefusalCode::TooLarge,
        _ => RefusalCode::BadRequest,
    };
    AppError::refused(code, err.to_string())
}

/// Answers a question.
///
/// # Errors
/// It is none, or its advisory is not known; or the store.
pub(crate) async fn sweep(app: &App, request: &SweepRequest) -> Result<SweepView, AppError> {
    let begun = app.now();
    if request.devices > NAMED_MAX {
        let got = request.devices;
        let detail = format!("expected at most {NAMED_MAX} devices by name, got {got}");
        return Err(AppError::bad_request(detail));
    }
    let asked = Asked::of(app, &request.query).await?;
    make_and_wait(app).await?;
    let label = request.label.clone().unwrap_or_else(|| USUAL_LABEL.to_owned());
    let (now, named) = (app.now(), usize::try_from(request.devices).unwrap_or(usize::MAX));
    let (words, not_followed) = (asked.words.clone(), asked.not_followed);
    let (swept, mut devices) = on_table(app, move |table| {
        let ask = Ask { question: &asked.question, label: &label, silent_ms: DAY_MS, now };
        let swept = table.ask(&ask, asked.among().as_deref());
        let devices = match named {
            0 => Vec::new(),
            _ => table.named(&asked.question, Known::Yes, asked.among().as_deref()),
        };
        (swept, devices)
    })
    .await?;
    devices.truncate(named);
    let Swept { fleet, affected, unknown, unaffected, quarantined, silent, releases, radius } =
        swept;
    Ok(SweepView {
        asked: words,
        fleet,
        affected,
        unknown,
        unaffected,
        quarantined,
        silent,
        releases,
        radius,
        devices,
        not_followed,
        took_ms: app.now().since_ms(begun),
    })
}

/// The devices that a question finds, in order.
///
/// # Errors
/// As [`sweep`].
pub(super) async fn affected(app: &App, query: &SweepQuery) -> Result<Vec<DeviceId>, AppError> {
    let asked = Asked::of(app, query).await?;
    make_and_wait(app).await?;
    on_table(app, move |table| table.named(&asked.question, Known::Yes, asked.among().as_deref()))
        .await
}

/// A question whose parts were looked up.
struct Asked {
    question: Question,
    words: String,
    not_followed: u64,
    among: Option<BTreeSet<DeviceId>>,
}

impl Asked {
    async fn of(app: &App, query: &SweepQuery) -> Result<Self, AppError> {
        let SweepQuery { component, advisory, file, filter } = query;
        let mut not_followed = 0;
        let (question, mut words) = match (component, advisory, file) {
            (Some(text), None, None) => {
                let wanted = Wanted::parse(text).map_err(refused)?;
                let words = wanted.in_words();
                (Question::Components(vec![wanted]), words)
            }
            (None, Some(id), None) => {
                let advisory = find_advisory(app, id).await?;
                not_followed = advisory.not_followed;
                (Question::of(&advisory), format!("{} ({})", advisory.id, advisory.summary))
            }
            (None, None, Some(digest)) => (Question::File(*digest), format!("file {digest}")),
            (None, None, None) if filter.is_some() => (Question::Anything, String::new()),
            _ => {
                let detail = "expected one of a component, an advisory and a file, or a filter";
                return Err(AppError::bad_request(detail));
            }
        };
        let among = match filter {
            None => None,
            Some(filter) => {
                let link = if words.is_empty() { "" } else { " among " };
                words = format!("{words}{link}{filter}");
                let matching = incident::matching(app, Some(filter), &[]).await?;
                Some(matching.into_iter().collect::<BTreeSet<DeviceId>>())
            }
        };
        Ok(Self { question, words, not_followed, among })
    }

    fn among(&self) -> Option<Box<dyn Fn(&DeviceId) -> bool + '_>> {
        let among = self.among.as_ref()?;
        Some(Box::new(|device| among.contains(device)))
    }
}

async fn find_advisory(app: &App, id: &str) -> Result<Advisory, AppError> {
    let all: Vec<Advisory> = app.store.list_all("").await?;
    let is_it = |one: &Advisory| {
        one.id.eq_ignore_ascii_case(id) || one.aliases.iter().any(|it| it.eq_ignore_ascii_case(id))
    };
    let unknown = || {
        let detail = format!("no advisory {id:?}: lazaret advisory import");
        Refused::because(RefusalCode::NotFound, detail)
    };
    Ok(all.into_iter().find(is_it).ok_or_else(unknown)?)
}

async fn make_and_wait(app: &App) -> Result<(), AppError> {
    loop {
        make(app).await?;
        if app.store.fleet().ask(|_| ()).is_some() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A pass over a million devices takes tens of milliseconds: not on a thread that answers devices.
async fn on_table<R: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&Table) -> R + Send + 'static,
) -> Result<R, AppError> {
    let fleet = Arc::clone(app.store.fleet());
    let answered = tokio::task::spawn_blocking(move || fleet.ask(ask)).await;
    let cut_short = || AppError::CutShort { what: "asking the fleet" };
    answered.map_err(|_| cut_short())?.ok_or_else(cut_short)
}

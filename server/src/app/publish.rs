//! Signed metadata comes in and becomes the repository: checked, read by a second reader, and
//! activated in one commit, so that no device ever sees half of it.

use std::collections::BTreeSet;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, OperatorName};
use lazaret_protocol::operator::PublishReply;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::target::{delta_target, image_target};
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{self, Release, release_name};
use lazaret_server_domain::repository::{MetadataFile, PublishedTarget, RepositoryHead};
use lazaret_server_publish::{self as signing, Activation, DeltaEntry, Files, ImageEntry};
use lazaret_server_store::Committed;

use super::anchors;
use super::context::App;
use super::error::AppError;

/// A timestamp lives 48 h; with less than this left, in milliseconds, it is signed again.
const RESIGN_BELOW_MS: u64 = 47 * HOUR_MS;

/// How long a timestamp lives, in milliseconds (DESIGN section 3).
const TIMESTAMP_LIFE_MS: u64 = 48 * HOUR_MS;

/// What a ceremony hands in: signed files that are activated together or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publication {
    /// Files by name, such as `2.rel-gw2.json` or `2.root.json`.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// The anchors that new targets sign, where they are not the ones that are here.
    pub(crate) anchors: Option<Vec<u8>>,
}

/// Publishes one file: what nothing else depends on.
///
/// # Errors
/// As [`publish_all`].
pub(crate) async fn publish(
    app: &App,
    by: &OperatorName,
    (file, bytes): (&str, &[u8]),
) -> Result<Committed<PublishReply>, AppError> {
    let files = vec![(file.to_owned(), bytes.to_vec())];
    publish_all(app, by, &Publication { files, anchors: None }).await
}

/// Publishes what a ceremony signed.
///
/// # Errors
/// It does not verify, leaves a role without valid signatures, names images or anchors that are not
/// here or whose deltas are still being made, or the second reader refuses the result; or the
/// stores.
pub(crate) async fn publish_all(
    app: &App,
    by: &OperatorName,
    publication: &Publication,
) -> Result<Committed<PublishReply>, AppError> {
    let committed = app
        .decide(|| async {
            let decision = decide(app, by, publication).await?;
            // Their bytes are there before the commit that names them: a power cut between the two
            // leaves bytes that nothing names.
            match &publication.anchors {
                Some(bytes) => Ok(decision.put(&anchors::keep(app, bytes).await?)),
                None => Ok(decision),
            }
        })
        .await?;
    if publication.anchors.is_some() {
        anchors::choose_order_key(app).await?;
    }
    app.wake();
    Ok(committed)
}

/// Says what [`publish_all`] would do, and does nothing.
///
/// # Errors
/// As [`publish_all`].
pub(crate) async fn rehearse(
    app: &App,
    by: &OperatorName,
    publication: &Publication,
) -> Result<PublishReply, AppError> {
    Ok(decide(app, by, publication).await?.preview().clone())
}

async fn decide(
    app: &App,
    by: &OperatorName,
    publication: &Publication,
) -> Result<Decision<PublishReply>, AppError> {
    let now = app.now();
    let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
    let current = current(app, &head).await?;
    let after = signing::check_uploads(&current, publication.files.clone(), now)?;
    anchors::check(&current, &after, publication.anchors.as_deref())?;
    let images = all_images(&after)?;
    let releases = releases(app, &images).await?;
    let deltas = deltas(&releases);
    let new = publication.files.clone();
    let activation = signing::activate(&current, new, Some(deltas), &app.keys, now)?;
    let whole = current.clone().with(activation.files.clone());
    let known = at_hand(&whole, &images, &releases)?;
    signing::second_reader(&whole, &known, now).await?;
    let facts = |files| Fact::Published { files, by: by.clone() };
    let decision = activated(app, &head, (&current, &activation), facts).await?;
    enter_releases(app, decision, (&images, &releases)).await
}

/// Signs what is about to lapse again. Says whether anything was.
///
/// # Errors
/// The keys do not fit the repository; or the store.
pub(crate) async fn resign(app: &App) -> Result<Committed<bool>, AppError> {
    let committed = app
        .decide(|| async {
            let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
            let current = current(app, &head).await?;
            if !is_due(&current, app.now())? {
                return Ok(Decision::reply(false));
            }
            let activation = signing::refresh_timestamp(&current, &app.keys, app.now())?;
            let facts = |files| Fact::Resigned { files };
            let decision = activated(app, &head, (&current, &activation), facts).await?;
            Ok(decision.with_reply(true))
        })
        .await?;
    Ok(committed)
}

/// Takes in the repository of the first ceremony. Done once, by `lazaret-server init`.
///
/// # Errors
/// There is a repository already, the files do not verify; or the stores.
pub(crate) async fn found(
    app: &App,
    files: Vec<(String, Vec<u8>)>,
    anchors: Vec<u8>,
) -> Result<Committed<PublishReply>, AppError> {
    let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
    if head.value.is_some() {
        let detail = "there is a repository already; publish changes to it instead";
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    let now = app.now();
    let current = Files::default();
    let activation = signing::activate(&current, files, Some(Vec::new()), &app.keys, now)?;
    let whole = current.clone().with(activation.files.clone());
    anchors::check(&current, &whole, Some(&anchors))?;
    signing::second_reader(&whole, &BTreeSet::from([Sha256Digest::of(&anchors)]), now).await?;
    let target = anchors::keep(app, &anchors).await?;
    let by: OperatorName =
        "init".parse().map_err(|_| AppError::CutShort { what: "naming the founder" })?;
    let facts = |files| Fact::Published { files, by: by.clone() };
    let decision = activated(app, &head, (&current, &activation), facts).await?.put(&target);
    Ok(app.store.commit(decision).await?)
}

/// The files that make up the repository at present.
///
/// # Errors
/// The store, or a file that the head names is gone.
pub(crate) async fn current(app: &App, head: &Found<RepositoryHead>) -> Result<Files, AppError> {
    let names = head.value.as_ref().map(|head| head.current.clone()).unwrap_or_default();
    let found = app.store.find_all::<MetadataFile>(&names).await?;
    let mut files = Files::default();
    for file in found {
        let lost = AppError::CutShort { what: "a metadata file that the repository names" };
        let file = file.value.ok_or(lost)?;
        files.0.insert(file.file, file.text.into_bytes());
    }
    Ok(files)
}

/// Whether the timestamp is older than an hour (DESIGN section 3), or another online file near its
/// end.
fn is_due(files: &Files, now: Timestamp) -> Result<bool, AppError> {
    let timestamp = signing::expiries(files)?.into_iter().find(|e| e.role == "timestamp");
    Ok(timestamp.is_none_or(|timestamp| wants_signing(timestamp.expires.since_ms(now))))
}

/// More than a whole life is left only where a clock was wrong; such a timestamp would be a freeze.
fn wants_signing(left_ms: u64) -> bool {
    !(RESIGN_BELOW_MS..=TIMESTAMP_LIFE_MS).contains(&left_ms)
}

/// The digests of all targets that are here: what the second reader may meet.
fn at_hand(
    files: &Files,
    images: &[(ModelName, ImageEntry)],
    releases: &[Found<Release>],
) -> Result<BTreeSet<Sha256Digest>, AppError> {
    let mut known: BTreeSet<Sha256Digest> = images.iter().map(|(_, image)| image.sha256).collect();
    known.extend(deltas(releases).iter().map(|delta| delta.sha256));
    known.extend(signing::anchors(files)?.map(|(sha256, _)| sha256));
    Ok(known)
}

async fn activated(
    app: &App,
    head: &Found<RepositoryHead>,
    (current, activation): (&Files, &Activation),
    fact: impl FnOnce(Vec<String>) -> Fact,
) -> Result<Decision<PublishReply>, AppError> {
    let names: Vec<String> = activation.files.iter().map(|(name, _)| name.clone()).collect();
    let next = RepositoryHead {
        timestamp_version: activation.timestamp_version,
        current: current.clone().with(activation.files.clone()).current_names(),
    };
    let reply =
        PublishReply { tuf_timestamp_version: activation.timestamp_version, files: names.clone() };
    let mut decision = Decision::reply(reply).replace(head, &next);
    for (file, bytes) in &activation.files {
        let text = String::from_utf8_lossy(bytes).into_owned();
        decision = decision.put(&MetadataFile { file: file.clone(), text });
    }
    Ok(decision.event(Event { at: app.now(), fact: fact(names) }))
}

fn all_images(files: &Files) -> Result<Vec<(ModelName, ImageEntry)>, AppError> {
    let mut all = Vec::new();
    for model in signing::models(files)? {
        let images = signing::images(files, &model)?;
        all.extend(images.into_iter().map(|image| (model.clone(), image)));
    }
    Ok(all)
}

/// The releases of all signed images: each has to be here, whole, with its deltas settled.
async fn releases(
    app: &App,
    images: &[(ModelName, ImageEntry)],
) -> Result<Vec<Found<Release>>, AppError> {
    let names: Vec<String> =
        images.iter().map(|(model, image)| release_name(model, &image.version)).collect();
    let found = app.store.find_all::<Release>(&names).await?;
    let conflict = |detail| Err(Refused::because(RefusalCode::Conflict, detail).into());
    for ((name, (_, image)), found) in names.iter().zip(images).zip(&found) {
        let Some(release) = &found.value else {
            return conflict(format!("{name} is signed, but was never uploaded here"));
        };
        if release.sha256 != image.sha256 || release.length != image.length {
            return conflict(format!(
                "{name} is signed with the image {}, but {} was uploaded",
                image.sha256, release.sha256
            ));
        }
        if app.images.length(image.sha256).await? != Some(image.length) {
            return conflict(format!("the image of {name} is not whole here, upload it first"));
        }
        if let Some(base) = release.pending.first() {
            return conflict(format!(
                "the delta of {name} from {} is still being made, wait for it",
                base.version
            ));
        }
    }
    Ok(found)
}

/// Deltas between releases that are both signed; the base of another is of no use to anybody.
fn deltas(releases: &[Found<Release>]) -> Vec<DeltaEntry> {
    let signed: Vec<&Release> = releases.iter().filter_map(|found| found.value.as_ref()).collect();
    let is_signed = |release: &Release, base: &_| {
        signed.iter().any(|other| other.model == release.model && other.version == *base)
    };
    let of = |release: &Release| {
        let useful = release.deltas.iter().filter(|delta| is_signed(release, &delta.base));
        let entries = useful.map(|delta| DeltaEntry {
            name: delta_target(&release.model, &release.version, &delta.base),
            sha256: delta.sha256,
            length: delta.length,
            custom: delta.custom.clone(),
        });
        entries.collect::<Vec<_>>()
    };
    signed.iter().flat_map(|release| of(release)).collect()
}

/// Enters what the signers said about each release, and lets its image and deltas be served.
async fn enter_releases(
    app: &App,
    mut decision: Decision<PublishReply>,
    (images, releases): (&[(ModelName, ImageEntry)], &[Found<Release>]),
) -> Result<Decision<PublishReply>, AppError> {
    let mut targets: Vec<(String, Sha256Digest, u64)> = Vec::new();
    for ((model, image), found) in images.iter().zip(releases) {
        let Some(release) = &found.value else { continue };
        decision = decision.replace(found, &release::published(release, &image.custom));
        targets.push((image_target(model, &image.version), image.sha256, image.length));
    }
    for entry in deltas(releases) {
        targets.push((entry.name, entry.sha256, entry.length));
    }
    let digests: BTreeSet<Sha256Digest> = targets.iter().map(|(_, sha256, _)| *sha256).collect();
    for sha256 in digests {
        let known: Found<PublishedTarget> = app.store.find(&sha256.to_string()).await?;
        let mut names: BTreeSet<String> =
            known.value.iter().flat_map(|target| target.targets.clone()).collect();
        let same = targets.iter().filter(|(_, digest, _)| *digest == sha256);
        let length = same.clone().map(|(_, _, length)| *length).next().unwrap_or_default();
        names.extend(same.map(|(name, _, _)| name.clone()));
        let target = PublishedTarget { targets: names.into_iter().collect(), sha256, length };
        if known.value.as_ref() != Some(&target) {
            decision = decision.replace(&known, &target);
        }
    }
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_signed_again_every_hour_and_after_a_clock_was_wrong() {
        // Else devices freeze when the server runs for two days, or when its clock was once far
        // ahead.
        for (left_ms, wanted) in [
            (TIMESTAMP_LIFE_MS, false),
            (TIMESTAMP_LIFE_MS - HOUR_MS, false),
            (TIMESTAMP_LIFE_MS - HOUR_MS - 1, true),
            (0, true),
            (TIMESTAMP_LIFE_MS + 1, true),
        ] {
            assert_eq!(wants_signing(left_ms), wanted, "{left_ms} ms left");
        }
    }
}

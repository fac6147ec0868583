//! A release manager announces a release and uploads its image.

use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, OperatorName, VersionName};
use lazaret_protocol::operator::{ReleaseRequest, ReleaseState, ReleaseView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{self, Release, delta_bases, release_name};
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::uploads::{self, Destination};

/// Announces a release. Where the server has the image already, it counts as uploaded at once.
///
/// # Errors
/// As the domain says; or the stores.
pub(crate) async fn announce(
    app: &App,
    by: &OperatorName,
    request: &ReleaseRequest,
) -> Result<Committed<ReleaseView>, AppError> {
    let name = release_name(&request.model, &request.version);
    let announced = app
        .decide(|| async {
            let found: Found<Release> = app.store.find(&name).await?;
            Ok(release::announce(request, &found, (by, app.now()))?)
        })
        .await?;
    let release = announced.into_reply();
    if app.images.length(release.sha256).await?.is_some() {
        return complete(app, &name).await;
    }
    // What was announced is on disk; how much of the image is there changes nothing.
    let view = view(app, &release).await?;
    Ok(app.store.commit(Decision::reply(view)).await?)
}

/// Appends a piece of the image; the piece that completes it has the whole checked and the deltas
/// begun.
///
/// # Errors
/// No such release, whole already, at another offset, another digest; or the stores.
pub(crate) async fn append(
    app: &App,
    (model, version): (&ModelName, &VersionName),
    offset: u64,
    chunk: Bytes,
) -> Result<Committed<ReleaseView>, AppError> {
    let name = release_name(model, version);
    let release = find(app, &name).await?;
    if release.state != ReleaseState::Uploading {
        let detail = format!("the image of {name} is whole, nothing is left to upload");
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    let of = upload_name(&release);
    let to = destination(app, &of, &release);
    let at = uploads::append(app, to, offset, chunk).await?;
    if at < release.length {
        return Ok(app.store.commit(Decision::reply(release.view(at))).await?);
    }
    uploads::finish(app, to, release.sha256).await?;
    complete(app, &name).await
}

/// A release with what has arrived of it.
///
/// # Errors
/// No such release; or the stores.
pub(crate) async fn show(
    app: &App,
    model: &ModelName,
    version: &VersionName,
) -> Result<ReleaseView, AppError> {
    let release = find(app, &release_name(model, version)).await?;
    view(app, &release).await
}

/// A release as operators see it.
///
/// # Errors
/// The stores.
pub(crate) async fn view(app: &App, release: &Release) -> Result<ReleaseView, AppError> {
    let uploaded = if release.state == ReleaseState::Uploading {
        let of = upload_name(release);
        uploads::offset(app, destination(app, &of, release)).await?
    } else {
        release.length
    };
    Ok(release.view(uploaded))
}

async fn find(app: &App, name: &str) -> Result<Release, AppError> {
    let found: Found<Release> = app.store.find(name).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no release {name}"));
    Ok(found.value.ok_or_else(unknown)?)
}

async fn complete(app: &App, name: &str) -> Result<Committed<ReleaseView>, AppError> {
    let release = find(app, name).await?;
    let published: Vec<Release> = app.store.list_all(&format!("{}/", release.model)).await?;
    let devices: Vec<Device> = app.store.list_all("").await?;
    let running = devices.iter().filter(|device| device.model == release.model);
    let in_field: Vec<Sha256Digest> =
        running.filter_map(|device| Some(device.running.as_ref()?.sha256)).collect();
    let bases = delta_bases(&release, &published, &in_field);
    let committed = app
        .decide(|| async {
            let found: Found<Release> = app.store.find(name).await?;
            Ok(release::uploaded(&found, bases.clone(), app.now())?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|release| release.view(release.length)))
}

fn upload_name(release: &Release) -> String {
    format!("image/{}/{}", release.model, release.version)
}

fn destination<'a>(app: &'a App, of: &'a str, release: &Release) -> Destination<'a> {
    Destination { blobs: &app.images, of, bytes_max: release.length }
}

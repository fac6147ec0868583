//! The signed repository as devices and operators read it: metadata from the store, targets from
//! the blobs. Only what signed metadata names is given out.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_blobs::blob::ByteStream;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::repository::{MetadataFile, PublishedTarget};

use super::context::App;
use super::error::AppError;

/// Longest name of a metadata file, in bytes: a version, a role of 68, `.json`.
const FILE_NAME_BYTES_MAX: usize = 128;

/// Bytes on their way out.
pub(crate) struct Content {
    /// The bytes.
    pub(crate) bytes: ByteStream,
    /// How many.
    pub(crate) length: u64,
}

/// A metadata file.
///
/// # Errors
/// No such file; or the store.
pub(crate) async fn metadata(app: &App, file: &str) -> Result<Vec<u8>, AppError> {
    let missing = || Refused::because(RefusalCode::NotFound, "no such metadata file");
    if file.len() > FILE_NAME_BYTES_MAX {
        return Err(missing().into());
    }
    let found: Found<MetadataFile> = app.store.find(file).await?;
    Ok(found.value.ok_or_else(missing)?.text.into_bytes())
}

/// A published target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetFile {
    /// Its digest.
    pub(crate) digest: Sha256Digest,
    /// Its length in bytes.
    pub(crate) length: u64,
}

/// The target `dir/HASH.name`.
///
/// # Errors
/// No such target; or the stores, also where they have lost what signed metadata names.
pub(crate) async fn target(app: &App, path: &str) -> Result<TargetFile, AppError> {
    let missing = || Refused::because(RefusalCode::NotFound, "no such target");
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (hash, name) = file.split_once('.').ok_or_else(missing)?;
    let digest: Sha256Digest = hash.parse().map_err(|_| missing())?;
    let found: Found<PublishedTarget> = app.store.find(&digest.to_string()).await?;
    let published = found.value.ok_or_else(missing)?;
    let asked = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    if !published.targets.contains(&asked) {
        return Err(missing().into());
    }
    let lost = AppError::CutShort { what: "a target that the repository names" };
    let length = app.images.length(digest).await?.ok_or(lost)?;
    Ok(TargetFile { digest, length })
}

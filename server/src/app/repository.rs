//! The signed repository as devices and operators read it: metadata from the store, targets from
//! the blobs, whole or one range of them. Only what signed metadata names is given out.

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

/// Bytes on their way out, with what is known of their place in the whole.
pub(crate) struct Content {
    /// The bytes.
    pub(crate) bytes: ByteStream,
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// Bytes of the whole.
    pub(crate) total: u64,
    /// Whether a range was asked for.
    pub(crate) part: Part,
}

/// Whether the whole was asked for or a range of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The whole.
    Whole,
    /// A range.
    Range,
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

/// A target `dir/HASH.name`, or one range of it.
///
/// # Errors
/// No such target, not one range within it; or the stores.
pub(crate) async fn target(
    app: &App,
    path: &str,
    range: Option<&str>,
) -> Result<Content, AppError> {
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
    let total = app.images.length(digest).await?.ok_or_else(missing)?;
    let (offset, length, part) = match range {
        None => (0, total, Part::Whole),
        Some(range) => {
            let (offset, length) = parse_range(range, total)?;
            (offset, length, Part::Range)
        }
    };
    let bytes = app.images.read_range(digest, offset, length).await?;
    Ok(Content { bytes, offset, length, total, part })
}

/// One range of RFC 9110, 14.1.2: `bytes=A-` or `bytes=A-B`, as offset and length. Several at once
/// would let one small request ask for the same bytes a thousand times.
fn parse_range(range: &str, total: u64) -> Result<(u64, u64), Refused> {
    let refused = || {
        let got: String = range.chars().take(64).collect();
        let detail =
            format!("expected one range bytes=A- or bytes=A-B within {total} bytes, got {got:?}");
        Refused::because(RefusalCode::BadRequest, detail)
    };
    let (first, last) =
        range.strip_prefix("bytes=").and_then(|r| r.split_once('-')).ok_or_else(refused)?;
    let offset: u64 = first.parse().map_err(|_| refused())?;
    let end = match last {
        "" => total,
        last => last.parse::<u64>().map_err(|_| refused())?.saturating_add(1).min(total),
    };
    if offset >= end {
        return Err(refused());
    }
    Ok((offset, end - offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_within_the_target_is_served_and_nothing_else() {
        let served = |range| parse_range(range, 100).ok();
        assert_eq!(served("bytes=0-"), Some((0, 100)));
        assert_eq!(served("bytes=90-99"), Some((90, 10)));
        assert_eq!(served("bytes=90-1000"), Some((90, 10)));
        for bad in ["bytes=100-", "bytes=5-4", "bytes=-5", "bytes=0-1,3-4", "0-5", "bytes=a-b", ""]
        {
            assert_eq!(served(bad), None, "{bad}");
        }
    }
}

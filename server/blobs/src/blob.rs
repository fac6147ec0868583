//! The port to whatever keeps blobs. No file system is named here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use lazaret_protocol::digest::Sha256Digest;

/// Bytes in one item of a [`ByteStream`]; the last may have fewer. From 8 KiB to this size the rate
/// of a download rises fivefold, and past it no more (facts/server.md 4).
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The content of a blob, piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// What a store of blobs promises. `contract.rs` is this list as a test.
///
/// - A blob that [`finish`](Upload::finish) returned survives power loss, and its content has the
///   digest it is named by.
/// - A blob is whole or absent, never a part of itself.
/// - Storing what is already there is no error, and costs no second copy.
///
/// Nothing counts who still needs a blob: whoever deletes knows that nobody does.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Starts an upload of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`BlobError::Io`], [`BlobError::Full`].
    async fn begin(&self, bytes_max: u64) -> Result<Box<dyn Upload>, BlobError>;

    /// Goes on with an upload that was dropped before its end, at [`Upload::offset`]. What had
    /// arrived is read again for the digest.
    ///
    /// # Errors
    /// [`BlobError::NoUpload`] if there is none (start over); [`BlobError::UploadBusy`] while
    /// somebody else has it; [`BlobError::TooLarge`] if more than `bytes_max` has arrived.
    async fn resume(&self, id: UploadId, bytes_max: u64) -> Result<Box<dyn Upload>, BlobError>;

    /// The blob's length in bytes, or `None` if it is not here.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    async fn length(&self, digest: Sha256Digest) -> Result<Option<u64>, BlobError>;

    /// The `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::OutsideBlob`] if the range ends behind the blob. Items
    /// of the stream may fail with [`BlobError::Io`].
    async fn read_range(
        &self,
        digest: Sha256Digest,
        offset: u64,
        length: u64,
    ) -> Result<ByteStream, BlobError>;

    /// Removes a blob. Readers that have begun are not disturbed.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    async fn delete(&self, digest: Sha256Digest) -> Result<Deleted, BlobError>;

    /// Forgets the uploads that nobody has written to for `idle`, and says how many.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    async fn sweep(&self, idle: Duration) -> Result<u64, BlobError>;

    /// The whole blob as a stream, with its length.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Io`].
    async fn open(&self, digest: Sha256Digest) -> Result<Opened, BlobError> {
        let length = self.length(digest).await?.ok_or(BlobError::NotFound { digest })?;
        let bytes = self.read_range(digest, 0, length).await?;
        Ok(Opened { length, bytes })
    }

    /// The whole blob in memory, with its content checked against its name.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] past `bytes_max`, before anything is read; [`BlobError::Mismatch`]
    /// if the content has rotted.
    async fn bytes(&self, digest: Sha256Digest, bytes_max: u64) -> Result<Vec<u8>, BlobError> {
        let Opened { length, bytes } = self.open(digest).await?;
        if length > bytes_max {
            return Err(BlobError::TooLarge { bytes_max, got: length });
        }
        let all = bytes.try_fold(Vec::new(), async |mut all, chunk| {
            all.extend_from_slice(&chunk);
            Ok(all)
        });
        let all = all.await?;
        let got = Sha256Digest::of(&all);
        if got == digest { Ok(all) } else { Err(BlobError::Mismatch { expected: digest, got }) }
    }
}

/// Bytes on their way in. Dropped before its end, an upload stays to be resumed, until it is swept.
#[async_trait]
pub trait Upload: Send {
    /// What to resume it by.
    fn id(&self) -> UploadId;

    /// How many bytes have arrived: where the next chunk belongs. After a power loss this may be
    /// less than it was.
    fn offset(&self) -> u64;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], and nothing of `chunk` is kept; [`BlobError::Full`],
    /// [`BlobError::Io`], and the upload has to be resumed, because how much was kept is unknown.
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError>;

    /// Makes a blob of what has arrived. The upload is gone then, whatever the answer; but after
    /// [`BlobError::Full`] and [`BlobError::Io`] it can be resumed.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`] if the content is not what was `expected`;
    /// [`BlobError::DigestNeeded`] if it was resumed and nothing is expected: a power loss may have
    /// damaged what had arrived, and only the digest shows it.
    async fn finish(self: Box<Self>, expected: Option<Sha256Digest>)
    -> Result<Finished, BlobError>;

    /// Forgets what has arrived.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    async fn abandon(self: Box<Self>) -> Result<(), BlobError>;
}

/// A blob as it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub digest: Sha256Digest,
    /// Its length, in bytes.
    pub length: u64,
}

/// A blob to be read.
pub struct Opened {
    /// Its length, in bytes.
    pub length: u64,
    /// Its content.
    pub bytes: ByteStream,
}

/// Whether there was something to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there.
    Removed,
    /// It was not.
    Absent,
}

/// The name of an unfinished upload: 16 random bytes, written as 32 lower-case hexadecimal digits.
/// It is no secret and no right: whose upload it is, the caller knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId([u8; 16]);

impl UploadId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upload:{self}")
    }
}

impl FromStr for UploadId {
    type Err = BlobError;
    fn from_str(text: &str) -> Result<Self, BlobError> {
        let refused = || BlobError::NotAnUploadId { got: text.chars().take(40).collect() };
        let mut bytes = [0; 16];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refused());
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
        Ok(Self(bytes))
    }
}

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("there is no blob {digest}")]
    NotFound {
        /// The name asked for.
        digest: Sha256Digest,
    },
    /// There is no such unfinished upload: it was finished, abandoned or swept, or lost with the
    /// power. Start over.
    #[error("there is no unfinished upload {id}")]
    NoUpload {
        /// The name asked for.
        id: UploadId,
    },
    /// A text that is not an upload's name.
    #[error("expected an upload id of 32 lower-case hexadecimal digits, got {got:?}")]
    NotAnUploadId {
        /// What came, cut after 40 characters.
        got: String,
    },
    /// Somebody is writing to this upload, or an earlier write has not ended yet.
    #[error("upload {id} is being written to by another request")]
    UploadBusy {
        /// Which.
        id: UploadId,
    },
    /// An earlier write to this upload failed or was given up, so where it stands is unknown.
    #[error("upload {id} has to be resumed after a write that did not end")]
    UploadBroken {
        /// Which.
        id: UploadId,
    },
    /// More bytes than the caller allows.
    #[error("expected at most {bytes_max} bytes, got {got} or more")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
        /// How many there are at least.
        got: u64,
    },
    /// The content is not what its name says.
    #[error("expected content with SHA-256 {expected}, got {got}")]
    Mismatch {
        /// What it should be.
        expected: Sha256Digest,
        /// What it is.
        got: Sha256Digest,
    },
    /// A resumed upload is finished with nothing to check it against.
    #[error("upload {id} was resumed, and is stored only with the digest to expect")]
    DigestNeeded {
        /// Which.
        id: UploadId,
    },
    /// A range that ends behind the blob.
    #[error("expected a range within {blob_length} bytes, got {length} bytes from {offset}")]
    OutsideBlob {
        /// The blob's length, in bytes.
        blob_length: u64,
        /// Where the range begins.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
    /// No space is left.
    #[error("could not {action}: the disk is full")]
    Full {
        /// What was tried, as a verb and its object.
        action: &'static str,
    },
    /// The store could not.
    #[error("could not {action}")]
    Io {
        /// What was tried, as a verb and its object.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

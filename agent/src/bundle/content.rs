//! What goes into a bundle, in its order, and the archive that is made of it. The same content
//! makes the same bytes: every header is fixed but for name and length.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use lazaret_protocol::digest::Sha256Digest;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// The level of zstd: its usual one. A smaller device pays with time, not with memory.
const ZSTD_LEVEL: i32 = 3;

/// The bytes of one file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// On the disk, where they do not change while the bundle is made; so many of them.
    File(PathBuf, u64),
}

impl Content {
    /// How many there are.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File(_, length) => *length,
        }
    }

    fn read<T>(&self, read: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Bytes(bytes) => read(&mut bytes.as_slice()),
            Self::File(path, length) => read(&mut File::open(path)?.take(*length)),
        }
    }

    /// Their digest.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn digest(&self) -> io::Result<Sha256Digest> {
        self.read(|from| {
            let mut hash = Sha256::new();
            let mut piece = vec![0; 64 * 1024];
            loop {
                let count = from.read(&mut piece)?;
                let Some(read @ [_, ..]) = piece.get(..count) else { break };
                hash.update(read);
            }
            Ok(Sha256Digest::from_bytes(hash.finalize().into()))
        })
    }
}

/// Writes the archive of these files, packed.
///
/// # Errors
/// A file cannot be read, or `to` takes no bytes.
pub(super) fn pack<W: Write>(files: &[(String, Content)], seconds: u64, to: W) -> io::Result<W> {
    let packed = zstd::Encoder::new(to, ZSTD_LEVEL)?;
    let mut tar = Builder::new(packed);
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.length());
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        content.read(|from| tar.append_data(&mut header, name, from))?;
    }
    tar.into_inner()?.finish()
}

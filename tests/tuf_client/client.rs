//! The workflow around the machines of `protocol/tuf`: give them the files that they want, carry
//! out what they say is to be kept, and check targets while they stream in.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Floors, Limits, Machine, Refresh, Stored, Target, Trusted, TufError, Want, local_name,
};

use crate::fetch::Repository;
use crate::folder::{self, Folder};

/// How much of a target is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Longest file name, in bytes, on the file systems that people have.
const FILE_NAME_BYTES_MAX: usize = 255;

/// A client with its folder, at one moment: the update start time (TUF 5.1).
#[derive(Debug)]
pub(crate) struct Client {
    folder: Folder,
    now: Timestamp,
    limits: Limits,
}

impl Client {
    pub(crate) fn new(folder: Folder) -> anyhow::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).context("clock before 1970")?;
        let now = Timestamp::from_ms(u64::try_from(since.as_millis())?);
        Ok(Self { folder, now, limits: Limits::default() })
    }

    /// Trusts a root, whatever was trusted before.
    pub(crate) fn init(&self, root: &Path) -> anyhow::Result<()> {
        let bytes = folder::read(root, self.limits.root_bytes_max)?
            .with_context(|| format!("expected a root in {}", root.display()))?;
        self.begin(Stored::factory(bytes.clone()))?;
        self.folder.write("root.json", &bytes)
    }

    /// Brings the top-level metadata up to date.
    pub(crate) fn refresh(&self, repository: &Repository) -> anyhow::Result<Trusted> {
        let mut refresh = self.begin_with_stored()?;
        self.drive(&mut refresh, repository)?;
        Ok(refresh.finish()?)
    }

    pub(crate) fn find(
        &self,
        trusted: &mut Trusted,
        repository: &Repository,
        name: &str,
    ) -> anyhow::Result<Target> {
        let mut search = trusted.find(name);
        self.drive(&mut search, repository)?;
        Ok(search.finish()?)
    }

    /// Fetches a target into a folder, unless it is there (TUF 5.7).
    pub(crate) fn download(
        &self,
        target: &Target,
        targets: &Repository,
        into: &Path,
    ) -> anyhow::Result<()> {
        let path = into.join(file_name(&target.name));
        if let Ok(file) = std::fs::File::open(&path)
            && stream(file, target, &mut std::io::sink()).is_ok()
        {
            return Ok(());
        }
        let body = targets
            .target(&target.wire_path)?
            .with_context(|| format!("the repository has no file {:?}", target.wire_path))?;
        let mut file = tempfile::NamedTempFile::new_in(into)?;
        stream(body, target, file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    }

    /// A stored file other than root that does not verify is as good as none: the specification's
    /// client has nothing but its files.
    fn begin_with_stored(&self) -> anyhow::Result<Refresh> {
        let mut files = self.folder.files(self.limits.targets_bytes_max)?;
        loop {
            let stored = Stored::from_files(files.iter().cloned());
            let stored = stored.context("expected root.json: run init first")?;
            let (aside, why) = match self.begin(stored) {
                Ok(refresh) => return Ok(refresh),
                Err(TufError::StoredCorrupt { file, source }) => (file, source),
                Err(err) => bail!(err),
            };
            let before = files.len();
            files.retain(|(name, _)| *name != aside);
            if aside == "root.json" || files.len() == before {
                bail!("stored {aside} does not verify: {why}");
            }
            eprintln!("stored {aside} is set aside: {why}");
        }
    }

    fn begin(&self, stored: Stored) -> Result<Refresh, TufError> {
        Refresh::begin(stored, Floors::default(), self.now, self.limits.clone())
    }

    /// Gives a machine what it wants. What it accepted is kept also where it fails later.
    fn drive(&self, machine: &mut dyn Machine, repository: &Repository) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Want::File(wanted) = machine.next() {
            outcome = repository
                .metadata(&wanted)
                .and_then(|supplied| machine.supply(supplied).map_err(anyhow::Error::from));
            if outcome.is_err() {
                break;
            }
        }
        for change in machine.keep() {
            self.folder.carry_out(change)?;
        }
        outcome
    }
}

/// What a target is called in the folder of downloads: its name, percent-encoded so that it stays
/// in that folder, or the digest of its name where that is no name for a file.
fn file_name(target: &str) -> String {
    let quoted = local_name(target);
    match quoted.strip_suffix(".json").unwrap_or(&quoted) {
        "" | "." | ".." => Sha256Digest::of(target.as_bytes()).to_string(),
        long if long.len() > FILE_NAME_BYTES_MAX => Sha256Digest::of(target.as_bytes()).to_string(),
        name => name.to_owned(),
    }
}

/// Copies a target, which is that target only if this ends well.
fn stream(
    mut from: impl std::io::Read,
    target: &Target,
    to: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let mut check = target.check();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = from.by_ref().read(&mut piece)?;
        let Some(read @ [_, ..]) = piece.get(..length) else { break };
        check.update(read)?;
        to.write_all(read)?;
    }
    to.by_ref().flush()?;
    Ok(check.finish()?)
}

//! `lazaret release create`: an image goes to the server, and its deltas are waited for.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::limits::IMAGE_BYTES_MAX;
use lazaret_protocol::operator::{ReleaseRequest, ReleaseView};
use sha2::{Digest as _, Sha256};

use super::upload::upload;
use super::{in_words, pending, route};
use crate::client::Client;
use crate::commands::Session;
use crate::output::Output;

/// How often the server is asked whether the deltas are made.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The image is not a release before release signers have signed for it (lazaret-keys) and
`lazaret release publish` has handed that in. An upload that broke off goes on where it was when the
same command is typed again.

Example:
  lazaret release create --model gw2 --version 2.0 --image gw2-2.0.img")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// The version
    #[arg(long, value_name = "VERSION")]
    version: VersionName,
    /// The image
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Do not wait for the deltas
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait for the deltas
    #[arg(long, value_name = "N", default_value_t = 1800)]
    wait_seconds: u64,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let mut image = Image::open(&args.image)?;
    let sha256 = image.digest(session.output)?;
    let Args { model, version, .. } = args;
    let request = ReleaseRequest { model, version, sha256, length: image.length };
    let release: ReleaseView = client.post("/v1/releases", &request)?;
    let release = upload(&client, release, &mut image, session.output)?;
    let release = match args.no_wait {
        true => release,
        false => wait(&client, release, Duration::from_secs(args.wait_seconds), session.output)?,
    };
    session.output.show(&release, in_words)
}

/// The image on this machine.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    /// In bytes, when it was opened.
    pub(super) length: u64,
}

impl Image {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {}", named()))?;
        let metadata = file.metadata().with_context(|| format!("cannot read {}", named()))?;
        anyhow::ensure!(metadata.is_file(), "expected a file, got {}", named());
        let length = metadata.len();
        anyhow::ensure!(length > 0, "expected an image, but {} is empty", named());
        anyhow::ensure!(
            length <= IMAGE_BYTES_MAX,
            "expected an image of at most {IMAGE_BYTES_MAX} bytes, got {length}"
        );
        Ok(Self { file, length })
    }

    fn digest(&mut self, output: Output) -> anyhow::Result<Sha256Digest> {
        let bar = output.bytes_bar("hashing", self.length);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1024 * 1024];
        let mut hashed = 0u64;
        loop {
            let count = self.file.read(&mut buffer)?;
            let Some(read @ [_, ..]) = buffer.get(..count) else { break };
            hash.update(read);
            hashed = hashed.saturating_add(read.len() as u64);
            bar.set_position(hashed);
        }
        bar.finish_and_clear();
        anyhow::ensure!(hashed == self.length, "the image changed while it was read");
        Ok(Sha256Digest::from_bytes(hash.finalize().into()))
    }

    /// At most `length_max` bytes from `offset` on.
    pub(super) fn part(&mut self, offset: u64, length_max: u64) -> std::io::Result<Vec<u8>> {
        let mut part = Vec::new();
        self.file.seek(std::io::SeekFrom::Start(offset))?;
        (&self.file).take(length_max).read_to_end(&mut part)?;
        Ok(part)
    }
}

fn wait(
    client: &Client,
    release: ReleaseView,
    patience: Duration,
    output: Output,
) -> anyhow::Result<ReleaseView> {
    let begun = Instant::now();
    let mut release = release;
    let spinner = output.spinner("deltas are being made");
    while !release.deltas_pending.is_empty() {
        anyhow::ensure!(
            begun.elapsed() < patience,
            "the image is on the server, but after {} s deltas are still to be made from {}",
            patience.as_secs(),
            pending(&release)
        );
        let (made, left) = (release.deltas.len(), release.deltas_pending.len());
        spinner.set_message(format!("deltas: {made} made, {left} to go"));
        std::thread::sleep(WAIT_INTERVAL);
        match client.get(&route(&release.model, &release.version)) {
            Ok(view) => release = view,
            Err(err) if err.may_pass() => {}
            Err(err) => return Err(err.into()),
        }
    }
    spinner.finish_and_clear();
    Ok(release)
}

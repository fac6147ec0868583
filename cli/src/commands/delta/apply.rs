//! `lazaret delta apply`: a delta applied as a device does it, frame by frame and in the memory
//! that the delta declares.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol_delta::{BaseReader, DecodeLimits, HEADER_BYTES_MAX, Header};
use lazaret_protocol_delta_repack::Application;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{hex, open};
use crate::commands::Session;
use crate::durable::{Existing, NewFile};
use crate::output;

/// The beginning of a delta that says how long its header is.
const PREFIX_BYTES: u64 = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The base has to be the very image that the delta was made from. The result is written only if it is
the very image that the delta was made for.

Example:
  lazaret delta apply gw2-1.9.img gw2-2.0.from-1.9.delta gw2-2.0.img")]
pub(crate) struct Args {
    /// The image that the delta was made from
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The delta
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
    /// Where the image goes
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Refuse a delta that needs more memory than this
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    ram_bytes_max: u64,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Applied {
    result: PathBuf,
    result_bytes: u64,
    result_sha256: String,
}

/// The base as a file.
struct Base(File);

impl BaseReader for Base {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let mut base = Base(open(&args.base)?);
    let mut delta = open(&args.delta)?;
    let limits = DecodeLimits { ram_bytes_max: args.ram_bytes_max, result_bytes_max: u64::MAX };
    let header = read_header(&mut delta, &limits)?;
    let wanted = *header.result();
    let base_length = base.0.metadata()?.len();
    anyhow::ensure!(
        base_length == header.base().length,
        "expected a base of {} bytes, {} has {base_length}",
        header.base().length,
        args.base.display(),
    );
    header.check_base(&mut base).context("cannot use the base")?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let mut file = NewFile::begin(&args.result, existing)?;
    let mut hash = Sha256::new();
    let bar = session.output.bytes_bar("applying", wanted.length);
    let begun = Application::begin::<io::Error>(header, base, 0, args.ram_bytes_max);
    let (mut application, _) = begun?;
    let mut bytes = Vec::new();
    while let Some(range) = application.wanted() {
        read_part(&mut delta, range.start, range.end - range.start, &mut bytes)?;
        application.take(&bytes, |made| {
            hash.update(made);
            bar.inc(u64::try_from(made.len()).unwrap_or(0));
            file.write_all(made)
        })?;
    }
    let made: [u8; 32] = hash.finalize().into();
    anyhow::ensure!(
        made == wanted.sha256,
        "expected a result with the digest {}, got {}",
        hex(wanted.sha256),
        hex(made),
    );
    file.finish(&args.result, existing)?;
    bar.finish_and_clear();
    let applied = Applied {
        result: args.result.clone(),
        result_bytes: wanted.length,
        result_sha256: hex(made),
    };
    session.output.show(&applied, |applied| {
        output::facts(&[
            ("image", format!("{}", applied.result.display())),
            ("length", output::bytes(applied.result_bytes)),
            ("SHA-256", applied.result_sha256.clone()),
        ])
    })
}

/// Reads the header of a delta, once its length is known to be allowed.
pub(super) fn read_header(delta: &mut File, limits: &DecodeLimits) -> anyhow::Result<Header> {
    let mut bytes = Vec::new();
    let length = delta.metadata()?.len();
    read_part(delta, 0, PREFIX_BYTES.min(length), &mut bytes)?;
    let needed = Header::length_needed(&bytes).context("cannot read the delta")?;
    let needed = u64::try_from(needed.min(HEADER_BYTES_MAX)).unwrap_or(u64::MAX);
    read_part(delta, 0, needed.min(length), &mut bytes)?;
    let (header, _) = Header::parse(&bytes, limits).context("cannot read the delta")?;
    if let Some(end) = header.delta_length() {
        anyhow::ensure!(end == length, "expected a delta of {end} bytes, got {length}");
    }
    Ok(header)
}

/// Reads bytes of the delta into `bytes`, in place of what is there.
fn read_part(delta: &mut File, from: u64, length: u64, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    bytes.clear();
    delta.seek(SeekFrom::Start(from)).context("cannot read the delta")?;
    let got = delta.take(length).read_to_end(bytes).context("cannot read the delta")?;
    let got = u64::try_from(got).unwrap_or(0);
    anyhow::ensure!(got == length, "expected {length} bytes of the delta at {from}, got {got}");
    Ok(())
}

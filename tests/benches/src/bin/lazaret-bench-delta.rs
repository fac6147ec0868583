//! One delta made or applied, as a program of its own, so that its processor time and memory can be
//! measured from outside: `lazaret-bench-delta make BASE RESULT DELTA` and `lazaret-bench-delta
//! apply BASE DELTA RESULT`. Applying reads as the agent does: the delta strictly forward, the base
//! at offsets, the result written strictly forward and hashed on the way.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{bail, ensure};
use lazaret_protocol_delta::{BaseReader, DecodeLimits, Header};
use lazaret_protocol_delta_encode::{EncodeOptions, encode};
use lazaret_protocol_delta_repack::Application;
use sha2::{Digest as _, Sha256};

/// What the agent allows a delta by its own configuration is more; this is the promise.
const RAM_BYTES_MAX: u64 = 8 << 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", base, result, delta] => make(base.as_ref(), result.as_ref(), delta.as_ref()),
        ["apply", base, delta, result] => apply(base.as_ref(), delta.as_ref(), result.as_ref()),
        ["reference-make", base, result, delta] => {
            reference_make(base.as_ref(), result.as_ref(), delta.as_ref())
        }
        ["reference-apply", base, delta, result] => {
            reference_apply(base.as_ref(), delta.as_ref(), result.as_ref())
        }
        _ => bail!("expected make BASE RESULT DELTA, or apply BASE DELTA RESULT"),
    }
}

fn make(base: &Path, result: &Path, delta: &Path) -> anyhow::Result<()> {
    let (base, result) = (File::open(base)?, File::open(result)?);
    let mut out = std::io::BufWriter::new(File::create(delta)?);
    let summary = encode(&base, &result, &EncodeOptions::default(), |_, _| {}, &mut out)?;
    out.flush()?;
    eprintln!("{summary:?}");
    Ok(())
}

struct Base(File);

impl BaseReader for Base {
    type Error = std::io::Error;

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

fn apply(base: &Path, delta: &Path, result: &Path) -> anyhow::Result<()> {
    let base = Base(File::open(base)?);
    let mut delta = BufReader::with_capacity(64 << 10, File::open(delta)?);
    let mut read = |length: u64| -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.reserve_exact(usize::try_from(length)?);
        delta.by_ref().take(length).read_to_end(&mut bytes)?;
        ensure!(u64::try_from(bytes.len())? == length, "delta ends early");
        Ok(bytes)
    };
    let mut head = read(20)?;
    let length = Header::length_needed(&head)?;
    head.extend(read(u64::try_from(length)?.saturating_sub(20))?);
    let limits = DecodeLimits { ram_bytes_max: RAM_BYTES_MAX, result_bytes_max: u64::MAX };
    let (header, _) = Header::parse(&head, &limits)?;
    drop(head);
    let wanted = *header.result();
    let begun = Application::begin::<std::io::Error>(header, base, 0, RAM_BYTES_MAX);
    let (mut application, _) = begun?;
    let mut out = File::create(result)?;
    let mut hash = Sha256::new();
    // Whatever is wanted next lies behind what was wanted before.
    while let Some(range) = application.wanted() {
        let bytes = read(range.end.saturating_sub(range.start))?;
        application.take(&bytes, |made| {
            hash.update(made);
            out.write_all(made)
        })?;
    }
    ensure!(hash.finalize().as_slice() == wanted.sha256, "result has another digest");
    Ok(())
}

/// The crate bsdiff by itself, compressed with zstd-19.
#[allow(clippy::disallowed_methods, reason = "a scratch file of a benchmark")]
fn reference_make(base: &Path, result: &Path, delta: &Path) -> anyhow::Result<()> {
    let (base, result) = (std::fs::read(base)?, std::fs::read(result)?);
    let mut patch = Vec::new();
    bsdiff::diff(&base, &result, &mut patch)?;
    Ok(std::fs::write(delta, zstd::bulk::compress(&patch, 19)?)?)
}

#[allow(clippy::disallowed_methods, reason = "a scratch file of a benchmark")]
fn reference_apply(base: &Path, delta: &Path, result: &Path) -> anyhow::Result<()> {
    let base = std::fs::read(base)?;
    let mut patch = zstd::Decoder::new(File::open(delta)?)?;
    let mut made = Vec::new();
    bsdiff::patch(&base, &mut patch, &mut made)?;
    Ok(std::fs::write(result, made)?)
}

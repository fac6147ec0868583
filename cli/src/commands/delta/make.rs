//! `lazaret delta make`: the delta from one image to another.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol_delta::Codec;
use lazaret_protocol_delta_encode::{EncodeOptions, EncodeSummary, encode};
use serde::Serialize;

use super::{hex, open};
use crate::commands::Session;
use crate::durable::{Existing, NewFile};
use crate::output::{self, Form};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The same images and options give the same bytes, on any number of cores. Memory is about six times
the window, and a few megabytes for each core; a base that has more to search than a window is
searched in parts. A device needs at most 8 MiB to apply what is made: where compressed
parts take much of that, frames are made shorter. What is compressed inside the image and cannot be
packed again to the same bytes, or not in that memory, is left as it is, and said.

Example:
  lazaret delta make gw2-1.9.img gw2-2.0.img gw2-2.0.from-1.9.delta")]
pub(crate) struct Args {
    /// The image that devices have
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The image that they are to have
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    /// Where the delta goes
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
    /// Write over a delta that is there
    #[arg(long)]
    force: bool,
    /// Bytes of the result in one frame, after each of which a device can go on
    #[arg(long, value_name = "BYTES", default_value_t = EncodeOptions::default().frame_bytes)]
    #[arg(value_parser = clap::value_parser!(u32).range(4096..=1_048_576))]
    frame_bytes: u32,
    /// Bytes of the base that are searched at a time
    #[arg(long, value_name = "BYTES", default_value_t = EncodeOptions::default().window_bytes)]
    #[arg(value_parser = clap::value_parser!(u64).range(65_536..=1_073_741_824))]
    window_bytes: u64,
    /// Threads to work on; one for each core where this is not given
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    delta: PathBuf,
    delta_bytes: u64,
    base_bytes: u64,
    base_sha256: String,
    result_bytes: u64,
    result_sha256: String,
    /// What a device needs to apply it.
    ram_bytes: u64,
    frames: usize,
    /// What became of compressed parts, and why some were left alone.
    compressed_parts: String,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let (base, result) = (open(&args.base)?, open(&args.result)?);
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let options = EncodeOptions {
        frame_bytes: args.frame_bytes,
        window_bytes: args.window_bytes,
        threads: args.threads,
        ..EncodeOptions::default()
    };
    let file = NewFile::begin(&args.delta, existing)?;
    let bar = session.output.bytes_bar("encoding", 0);
    let progress = |done, total| {
        if session.output.form() == Form::Human {
            bar.set_length(total);
            bar.set_position(done);
        }
    };
    let mut out = BufWriter::new(file);
    let summary = encode(&base, &result, &options, progress, &mut out)?;
    out.flush().context("cannot write the delta")?;
    out.into_inner().map_err(|err| err.into_error())?.finish(&args.delta, existing)?;
    bar.finish_and_clear();
    session.output.show(&made(args, &summary), in_words)
}

fn made(args: &Args, summary: &EncodeSummary) -> Made {
    debug_assert_eq!(summary.frames_by_codec.len(), Codec::ALL.len());
    Made {
        delta: args.delta.clone(),
        delta_bytes: summary.delta_bytes,
        base_bytes: summary.base.length,
        base_sha256: hex(summary.base.sha256),
        result_bytes: summary.result.length,
        result_sha256: hex(summary.result.sha256),
        ram_bytes: summary.ram_bytes,
        frames: summary.frames_by_codec.iter().sum(),
        compressed_parts: summary.payloads.to_string(),
    }
}

fn in_words(made: &Made) -> String {
    output::facts(&[
        ("delta", format!("{} ({})", made.delta.display(), output::bytes(made.delta_bytes))),
        ("of the image", output::percent(made.delta_bytes, made.result_bytes)),
        ("base", format!("{} {}", made.base_sha256, output::bytes(made.base_bytes))),
        ("result", format!("{} {}", made.result_sha256, output::bytes(made.result_bytes))),
        ("memory to apply", output::bytes(made.ram_bytes)),
        ("frames", made.frames.to_string()),
        (
            "compressed parts",
            match made.compressed_parts.as_str() {
                "" => "none".to_owned(),
                parts => parts.to_owned(),
            },
        ),
    ])
}

//! `lazaret delta inspect`: what a delta says about itself.

use std::path::PathBuf;

use lazaret_protocol_delta::layout::{Layout, Segment};
use lazaret_protocol_delta::{Codec, DecodeLimits, Header};
use serde::Serialize;

use super::apply::read_header;
use super::{hex, open};
use crate::commands::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing but the header is read, and nothing in it is proved: a delta says what it is for, applying
it
shows whether it is.

Example:
  lazaret delta inspect gw2-2.0.from-1.9.delta --json")]
pub(crate) struct Args {
    /// The delta
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
}

/// What the header says.
#[derive(Debug, Serialize)]
struct Inspected {
    format: &'static str,
    delta_bytes: u64,
    base_bytes: u64,
    base_sha256: String,
    result_bytes: u64,
    result_sha256: String,
    ram_bytes: u64,
    frame_bytes: u32,
    frames: usize,
    /// How many frames use each codec.
    frames_by_codec: Vec<(&'static str, usize)>,
    sections: usize,
    instructions: u64,
    control_bytes: u64,
    payload_bytes: u64,
    /// Compressed parts that are unpacked, of base and result.
    base_packed_parts: usize,
    result_packed_parts: usize,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let mut delta = open(&args.delta)?;
    let length = delta.metadata()?.len();
    let limits = DecodeLimits { ram_bytes_max: u64::MAX, result_bytes_max: u64::MAX };
    let header = read_header(&mut delta, &limits)?;
    session.output.show(&inspected(&header, length), in_words)
}

fn inspected(header: &Header, delta_bytes: u64) -> Inspected {
    let count = |codec| header.frames().iter().filter(|frame| frame.codec == codec).count();
    let frames_by_codec = Codec::ALL.map(|codec| (name(codec), count(codec)));
    let sections = header.sections();
    let tables = header.tables();
    Inspected {
        format: "lazaret-delta-1",
        delta_bytes,
        base_bytes: header.base().length,
        base_sha256: hex(header.base().sha256),
        result_bytes: header.result().length,
        result_sha256: hex(header.result().sha256),
        ram_bytes: header.ram_bytes(),
        frame_bytes: header.frame_bytes(),
        frames: header.frames().len(),
        frames_by_codec: frames_by_codec.into_iter().filter(|(_, count)| *count > 0).collect(),
        sections: sections.len(),
        instructions: sections.iter().map(|section| u64::from(section.ops)).sum(),
        control_bytes: sections.iter().map(|section| u64::from(section.control_length)).sum(),
        payload_bytes: header.frames().iter().map(|frame| u64::from(frame.payload_length)).sum(),
        base_packed_parts: packed(&tables.base_layout),
        result_packed_parts: packed(&tables.result_layout),
    }
}

fn packed(layout: &Layout) -> usize {
    layout.placed().filter(|it| matches!(it.segment, Segment::Packed { .. })).count()
}

const fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Stored => "stored",
        Codec::Zstd => "zstd",
        Codec::Copy => "copy",
        Codec::Bsdiff => "bsdiff",
        Codec::Split => "split",
    }
}

fn in_words(it: &Inspected) -> String {
    let codecs: Vec<String> =
        it.frames_by_codec.iter().map(|(name, count)| format!("{count} {name}")).collect();
    output::facts(&[
        ("format", it.format.to_owned()),
        ("delta", output::bytes(it.delta_bytes)),
        ("base", format!("{} {}", it.base_sha256, output::bytes(it.base_bytes))),
        ("result", format!("{} {}", it.result_sha256, output::bytes(it.result_bytes))),
        ("memory to apply", output::bytes(it.ram_bytes)),
        ("frames", format!("{} of {} bytes: {}", it.frames, it.frame_bytes, codecs.join(", "))),
        ("instructions", format!("{} in {} sections", it.instructions, it.sections)),
        ("control", output::bytes(it.control_bytes)),
        ("payloads", output::bytes(it.payload_bytes)),
        ("unpacked parts", format!("{} -> {}", it.base_packed_parts, it.result_packed_parts)),
    ])
}

//! `lazaret delta inspect`: what a delta says about itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol_delta::layout::{Layout, Segment};
use lazaret_protocol_delta::{Code, Codec, DecodeLimits, Header, LeftAlone};
use serde::Serialize;

use super::apply::read_header;
use super::{hex, open};
use crate::commands::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is proved: a delta says what it is for, applying it shows whether it is. Compressed parts of
the result that stay packed are told, each kind with the reason. --json also tells, stretch by
stretch of the result, how it is made: a kind of machine code means that branches and addresses are
rewritten before differences are taken, because the differences are shorter so.

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
    /// Compressed parts of the result that stay packed, and why.
    left_alone: Vec<Left>,
    /// Programs whose addresses are known, of the result, and how many of their regions.
    regions: usize,
    /// Where addresses outside of the image change by how much they move.
    shifts: usize,
    /// How many frames have their code rewritten as which kind, and how their differences are
    /// coded.
    transformations: BTreeMap<String, usize>,
    /// Runs of frames that are made alike, in the order of the result.
    stretches: Vec<Stretch>,
}

/// Compressed parts that stay packed for one reason.
#[derive(Debug, Serialize)]
struct Left {
    kind: &'static str,
    why: &'static str,
    parts: u32,
    /// How long they are together, packed.
    bytes: u64,
    /// Where the first begins in the result on disk.
    first_offset: u64,
}

/// Neighbouring frames that are made alike.
#[derive(Debug, Serialize)]
struct Stretch {
    /// Where it begins in the result, its packed parts unpacked.
    offset: u64,
    result_bytes: u64,
    delta_bytes: u64,
    frames: usize,
    how: String,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let mut delta = open(&args.delta)?;
    let length = delta.metadata()?.len();
    let limits = DecodeLimits { ram_bytes_max: u64::MAX, result_bytes_max: u64::MAX };
    let header = read_header(&mut delta, &limits)?;
    let how = transformations(&mut delta, &header)?;
    session.output.show(&inspected(&header, length, &how), in_words)
}

/// How every frame is made, in words.
fn transformations(delta: &mut File, header: &Header) -> anyhow::Result<Vec<String>> {
    let mut how = Vec::new();
    for frame in header.frames() {
        let mut kind = [0];
        if frame.codec == Codec::Split {
            delta
                .read_exact_at(&mut kind, frame.payload_offset)
                .context("cannot read the delta")?;
        }
        how.push(match frame.codec {
            Codec::Split => {
                let code = match Code::from_number(kind[0] & 15) {
                    Some(Code::None) => "bytes as they are",
                    Some(Code::Arm64) => "arm64 addresses rewritten",
                    Some(Code::X86) => "x86-64 addresses rewritten",
                    Some(Code::Thumb) => "Thumb addresses rewritten",
                    Some(Code::Xtensa) => "Xtensa addresses rewritten",
                    Some(Code::X86Absolute) => "x86-64 kernel addresses rewritten",
                    None => "unknown",
                };
                let form = match kind[0] & 0xf0 {
                    16 => "sparse differences",
                    32 => "modelled differences",
                    _ => "differences",
                };
                format!("{code}, {form}")
            }
            other => name(other).to_owned(),
        });
    }
    Ok(how)
}

fn stretches(header: &Header, how: &[String]) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for (frame, how) in header.frames().iter().zip(how) {
        match all.last_mut().filter(|last| last.how == *how) {
            Some(last) => {
                last.result_bytes += u64::from(frame.result_length);
                last.delta_bytes += u64::from(frame.payload_length);
                last.frames += 1;
            }
            None => all.push(Stretch {
                offset: frame.result_offset,
                result_bytes: frame.result_length.into(),
                delta_bytes: frame.payload_length.into(),
                frames: 1,
                how: how.clone(),
            }),
        }
    }
    all
}

fn inspected(header: &Header, delta_bytes: u64, how: &[String]) -> Inspected {
    let mut transformations = BTreeMap::new();
    for how in how {
        *transformations.entry(how.clone()).or_default() += 1;
    }
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
        left_alone: tables.left_alone.iter().map(left).collect(),
        regions: tables.addresses.result.len(),
        shifts: tables.addresses.shifts.len(),
        transformations,
        stretches: stretches(header, how),
    }
}

fn left(left: &LeftAlone) -> Left {
    Left {
        kind: match left.kind {
            1 => "zstd",
            2 => "deflate",
            3 => "lz4",
            4 => "xz",
            _ => "unknown",
        },
        why: match left.why {
            1 => "the base has the same bytes, which are copied",
            2 => "packing again gives other bytes",
            3 => "packing again takes more memory than a device may use",
            _ => "unknown",
        },
        parts: left.parts,
        bytes: left.bytes,
        first_offset: left.first,
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
    let made_from: Vec<String> =
        it.transformations.iter().map(|(how, count)| format!("{count} {how}")).collect();
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
        ("addresses", format!("{} regions, {} shifts", it.regions, it.shifts)),
        ("made from", made_from.join("; ")),
        ("unpacked parts", format!("{} -> {}", it.base_packed_parts, it.result_packed_parts)),
        ("left packed", left_in_words(&it.left_alone)),
    ])
}

fn left_in_words(left: &[Left]) -> String {
    let one = |it: &Left| {
        let (bytes, first) = (output::bytes(it.bytes), it.first_offset);
        format!("{} {} ({bytes}, the first at {first}): {}", it.parts, it.kind, it.why)
    };
    if left.is_empty() {
        "none".into()
    } else {
        left.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

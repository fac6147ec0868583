//! Proving that a part can be packed again to the same bytes, and finding out how it was packed:
//! first on a few parts with everything that may be, then on all others with what is known to work.
//! The order of trying is fixed, so that the same images give the same choices.

use super::report::{Became, Kind, PayloadReport};
use super::scan::Part;
use super::{Chosen, DEVICE_BYTES_MAX, PARTS_MAX};
use crate::error::{EncodeError, Side};
use crate::options::EncodeOptions;
use crate::parallel::parallel;
use crate::source::{ReadAt, read};
use lazaret_protocol_delta_repack::{Codec, pack_bytes, proves};
use std::collections::HashSet;

/// After so many parts of one kind that nothing proves, the others are not tried.
const FAILURES_MAX: usize = 6;

/// Levels of zstd, those first that images are made with.
const ZSTD_LEVELS: [u8; 22] =
    [19, 15, 3, 22, 9, 1, 18, 17, 16, 14, 13, 12, 11, 10, 8, 7, 6, 5, 4, 2, 20, 21];

/// What packing a part may take on a device: the rest is the base's.
const PACK_BYTES_MAX: u64 = DEVICE_BYTES_MAX - (1_500 << 10);

/// The parts that a device can pack again, in order.
///
/// # Errors
/// When the image cannot be read.
pub(super) fn proved(
    image: &dyn ReadAt,
    changed: &[Part],
    content_max: u64,
    options: &EncodeOptions,
    report: &mut PayloadReport,
) -> Result<Vec<Chosen>, EncodeError> {
    let mut proved = Vec::new();
    let mut content = 0u64;
    for kind in [Kind::Zstd, Kind::Deflate, Kind::Lz4, Kind::Xz] {
        let mut parts = Vec::new();
        for part in changed.iter().filter(|part| part.kind == kind) {
            let is_held = content + u64::from(part.unpacked) <= content_max;
            if is_held && parts.len() < PARTS_MAX / 4 && !candidates(part).is_empty() {
                content += u64::from(part.unpacked);
                parts.push(*part);
            } else {
                report.of(kind).too_long += 1;
                report.put(part, Became::TooLong);
            }
        }
        let chosen = of_kind(image, &parts, options)?;
        report.of(kind).unpacked = chosen.len();
        report.of(kind).unproved = parts.len() - chosen.len();
        let proved_at: HashSet<u64> = chosen.iter().map(|chosen| chosen.part.offset).collect();
        for part in &parts {
            let is_proved = proved_at.contains(&part.offset);
            report.put(part, if is_proved { Became::Unpacked } else { Became::Unproved });
        }
        proved.extend(chosen);
    }
    proved.sort_unstable_by_key(|chosen| chosen.part.offset);
    Ok(proved)
}

/// Every way in which a part may have been packed, and that a device can afford.
fn candidates(part: &Part) -> Vec<Codec> {
    let has_checksum = part.has_checksum;
    let all: Vec<Codec> = match part.kind {
        Kind::Zstd => {
            ZSTD_LEVELS.iter().map(|level| Codec::Zstd { level: *level, has_checksum }).collect()
        }
        Kind::Deflate => {
            (1..=9).rev().map(|level| Codec::Deflate { level, memory_level: 8 }).collect()
        }
        Kind::Lz4 => {
            let levels = [9, 8, 7, 6, 5, 4, 3].into_iter();
            levels
                .flat_map(|level| [18, 20].map(|buffer_log| Codec::Lz4 { level, buffer_log }))
                .collect()
        }
        Kind::Xz => Vec::new(),
    };
    let is_affordable = |codec: &Codec| {
        pack_bytes(*codec, part.unpacked).is_some_and(|bytes| bytes <= PACK_BYTES_MAX)
    };
    all.into_iter().filter(is_affordable).collect()
}

fn of_kind(
    image: &dyn ReadAt,
    parts: &[Part],
    options: &EncodeOptions,
) -> Result<Vec<Chosen>, EncodeError> {
    let mut outcomes: Vec<Option<Codec>> = vec![None; parts.len()];
    let mut tried = vec![false; parts.len()];
    let mut failures = 0;
    while failures < FAILURES_MAX {
        let open = |(number, _): &(usize, &bool)| outcomes.get(*number) == Some(&None);
        let next = tried.iter().enumerate().filter(open).find(|(_, tried)| !**tried);
        let Some((number, part)) = next.and_then(|(number, _)| Some((number, parts.get(number)?)))
        else {
            break;
        };
        if let Some(tried) = tried.get_mut(number) {
            *tried = true;
        }
        let Some(codec) = first_that_proves(image, part, options)? else {
            failures += 1;
            continue;
        };
        let proofs = parallel(parts.len(), options.thread_count(), |number| {
            let Some(part) = parts.get(number) else { return Ok(false) };
            if outcomes.get(number) != Some(&None) {
                return Ok(false);
            }
            with_checksum_of(codec, part).map_or(Ok(false), |codec| try_one(image, part, codec))
        })?;
        for ((outcome, part), is_proved) in outcomes.iter_mut().zip(parts).zip(proofs) {
            if is_proved {
                *outcome = with_checksum_of(codec, part);
            }
        }
    }
    let chosen = parts.iter().zip(outcomes);
    Ok(chosen.filter_map(|(part, codec)| Some(Chosen { part: *part, codec: codec? })).collect())
}

/// The same way of packing for another part, if a device can afford it there.
fn with_checksum_of(codec: Codec, part: &Part) -> Option<Codec> {
    let codec = match codec {
        Codec::Zstd { level, .. } => Codec::Zstd { level, has_checksum: part.has_checksum },
        Codec::Deflate { .. } | Codec::Lz4 { .. } => codec,
    };
    candidates(part).contains(&codec).then_some(codec)
}

/// Tries every candidate, all cores at once; of several, the first in their order.
fn first_that_proves(
    image: &dyn ReadAt,
    part: &Part,
    options: &EncodeOptions,
) -> Result<Option<Codec>, EncodeError> {
    let candidates = candidates(part);
    for few in candidates.chunks(options.thread_count().max(1)) {
        let proofs = parallel(few.len(), few.len(), |number| {
            few.get(number).map_or(Ok(false), |codec| try_one(image, part, *codec))
        })?;
        let proved = few.iter().zip(proofs).find(|(_, is_proved)| *is_proved);
        if let Some((codec, _)) = proved {
            return Ok(Some(*codec));
        }
    }
    Ok(None)
}

fn try_one(image: &dyn ReadAt, part: &Part, codec: Codec) -> Result<bool, EncodeError> {
    let packed = read(image, Side::Result, part.offset, part.packed.into())?;
    let unpacked = usize::try_from(part.unpacked).unwrap_or(usize::MAX);
    // A part that does not unpack stood there by chance.
    let content = codec.unpack(&packed, unpacked);
    Ok(content.is_ok_and(|content| proves(codec, &packed, &content)))
}

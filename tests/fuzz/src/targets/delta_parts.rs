//! Compressed parts of images and deltas: what the device unpacks and packs again, and what the
//! server's encoder recognises in images that anybody uploads.

#![allow(clippy::indexing_slicing, reason = "all of this is a test")]

use std::convert::Infallible;

use lazaret_protocol_delta::layout::{Layout, Segment};
use lazaret_protocol_delta::{BaseReader as _, DecodeLimits, Header};
use lazaret_protocol_delta_encode::{EncodeOptions, encode};
use lazaret_protocol_delta_repack::{Application, Codec, ExpandedBase, Fault, Repacker};

/// The longest part that is packed here: the slowest packer reads that in a few milliseconds.
const UNPACKED_BYTES_MAX: usize = 16 << 10;

const CODECS: [Codec; 4] = [
    Codec::Zstd { level: 3, has_checksum: true },
    Codec::Deflate { level: 6, memory_level: 8 },
    Codec::Lz4 { level: 9, buffer_log: 17 },
    Codec::Lz4 { level: 3, buffer_log: 18 },
];

/// A layout made of the first bytes, over the others: as a base that is read, and as a result that
/// is packed.
pub(crate) fn repack(input: &[u8]) {
    let Some(([codec, parameter @ .., a, b, c, d, plain, at], rest)) =
        input.split_first_chunk::<11>()
    else {
        return;
    };
    let (packed, unpacked) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    let length = u64::try_from(rest.len()).unwrap_or(0);
    let parameter = u32::from_le_bytes(*parameter);
    let numbers = [(*codec, parameter), CODECS[usize::from(*codec) % CODECS.len()].numbers()];
    for (codec, parameter) in numbers {
        let (packed, unpacked) = (packed.into(), unpacked.into());
        let part = Segment::Packed { codec, parameter, packed, unpacked };
        let before = u64::from(*plain).min(length);
        let after = length.saturating_sub(before).saturating_sub(packed.into());
        let plain = |length| Segment::Plain { length };
        if let Some(layout) = Layout::new([plain(before), part, plain(after)]) {
            read(&layout, rest, u64::from(*at) * 64);
            pack(&layout, before + u64::from(packed) + after, rest);
        }
    }
}

fn read(layout: &Layout, packed: &[u8], offset: u64) {
    let length = u64::try_from(packed.len()).unwrap_or(0);
    let Ok(mut base) = ExpandedBase::new(packed, layout, length) else { return };
    let mut content = vec![0; 4 << 10];
    let _outcome = base.read_at(offset, &mut content);
}

fn pack(layout: &Layout, length: u64, content: &[u8]) {
    let Ok(mut sink) = Repacker::new(layout, length, 0) else { return };
    let content = content.get(..content.len().min(UNPACKED_BYTES_MAX)).unwrap_or_default();
    let mut made = 0;
    let outcome = sink.push(content, |bytes| {
        made += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok::<_, Fault>(())
    });
    assert!(made <= length, "more bytes than the image has");
    assert!(outcome.is_err() || !sink.is_done() || made == length, "done before the end");
}

/// Two images with whatever looks like compressed parts: the delta between them comes back, in
/// whichever way it was made.
pub(crate) fn recognise(input: &[u8]) {
    let Some(([low, high], rest)) = input.split_first_chunk::<2>() else { return };
    let middle = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (base, result) = rest.split_at(middle);
    let options = EncodeOptions {
        frame_bytes: 4 << 10,
        window_bytes: 64 << 10,
        threads: 1,
        ..EncodeOptions::default()
    };
    let mut delta = Vec::new();
    encode(&base, &result, &options, |_, _| {}, &mut delta).expect("any two images have a delta");
    let limits = DecodeLimits { ram_bytes_max: 8 << 20, result_bytes_max: 1 << 20 };
    let (header, _) = Header::parse(&delta, &limits).expect("the encoder's own header");
    let begun = Application::begin::<Infallible>(header, base, 0, 8 << 20);
    let (mut application, _) = begun.expect("parts that the encoder's own packers packed");
    let mut made = Vec::new();
    while let Some(range) = application.wanted() {
        let at = |offset: u64| usize::try_from(offset).expect("an offset in memory");
        let bytes = &delta[at(range.start)..at(range.end)];
        let taken = application.take(bytes, |bytes| {
            made.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        });
        taken.expect("what the encoder made is applied");
    }
    assert!(made == result, "another image came out");
}

/// What a packer makes of `content`, to the length that the layout then says.
fn packed(codec: Codec, content: &[u8]) -> Vec<u8> {
    let (codec, parameter) = codec.numbers();
    let unpacked = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let part = Segment::Packed { codec, parameter, packed: u32::MAX, unpacked };
    let mut made = Vec::new();
    let sink = Layout::new([part]).map(|layout| Repacker::new(&layout, u32::MAX.into(), 0));
    let Some(Ok(mut sink)) = sink else { return made };
    // It ends with a fault: the part is not as long as that.
    let _fault = sink.push(content, |bytes| {
        made.extend_from_slice(bytes);
        Ok::<_, Fault>(())
    });
    made
}

fn text(seed: u32) -> Vec<u8> {
    let line = |number: u32| format!("{} is {}\n", number % 11, number.wrapping_mul(seed));
    (0..120).flat_map(|number| line(number).into_bytes()).collect()
}

pub(crate) fn repack_seeds() -> Vec<Vec<u8>> {
    let seed = |(at, codec): (usize, &Codec)| {
        let content = text(7);
        let packed = packed(*codec, &content);
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut input = vec![u8::try_from(at).unwrap_or(0), 0, 0, 0, 0];
        input.extend(length(&packed));
        input.extend(length(&content));
        input.extend([0, 1]);
        input.extend(packed);
        input
    };
    CODECS.iter().enumerate().map(seed).collect()
}

pub(crate) fn recognise_seeds() -> Vec<Vec<u8>> {
    let wrapped = |codec: Codec, seed: u32| {
        let packed = packed(codec, &text(seed));
        let head = match codec {
            Codec::Zstd { .. } => vec![],
            Codec::Deflate { .. } => vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
            Codec::Lz4 { .. } => {
                let mut head = vec![0x02, 0x21, 0x4c, 0x18];
                head.extend(u32::try_from(packed.len()).unwrap_or(0).to_le_bytes());
                head
            }
        };
        [text(seed), head, packed, b"the end".to_vec()].concat()
    };
    let seed = |codec: &Codec| {
        let (base, result) = (wrapped(*codec, 7), wrapped(*codec, 8));
        let middle = u16::try_from(base.len()).unwrap_or(u16::MAX);
        [middle.to_le_bytes().to_vec(), base, result].concat()
    };
    CODECS.iter().map(seed).collect()
}

//! Packing and unpacking against the programs and libraries whose output is to be reproduced.

use super::*;
use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a program makes of `input`.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// Bytes with repetitions near and far, runs, and noise.
fn sample(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length);
    while bytes.len() < length {
        let count = usize::try_from(next() % 200).unwrap() + 1;
        match next() % 8 {
            0 => bytes.extend((0..count).map(|_| next().to_le_bytes()[0])),
            1 => bytes.extend(std::iter::repeat_n(next().to_le_bytes()[0] & 3, count * 40)),
            2 | 3 => bytes
                .extend(b"the quick brown fox jumps over the lazy dog".iter().cycle().take(count)),
            _ if bytes.is_empty() => {}
            _ => {
                let from = usize::try_from(next()).unwrap_or(7) % bytes.len();
                let end = (from + count).min(bytes.len());
                bytes.extend_from_within(from..end);
            }
        }
    }
    bytes.truncate(length);
    bytes
}

/// The blocks of a legacy LZ4 frame.
fn legacy_blocks(frame: &[u8]) -> Vec<&[u8]> {
    let mut rest = frame.strip_prefix(&[0x02, 0x21, 0x4c, 0x18]).unwrap();
    let mut blocks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (block, after) = after.split_at(u32::from_le_bytes(*length).try_into().unwrap());
        blocks.push(block);
        rest = after;
    }
    blocks
}

#[test]
fn lz4_blocks_are_those_of_the_program_at_every_high_level() {
    let mut content = sample(11, 1 << 20);
    // A run far longer than the buffer, as between the sections of a kernel.
    content.extend(vec![0; 3 << 20]);
    content.extend(sample(12, 300_000));
    for level in 3..=9 {
        let frame = piped("lz4", &["-l", &format!("-{level}"), "-c"], &content);
        let blocks = legacy_blocks(&frame);
        assert_eq!(blocks.len(), 1);
        let codec = Codec::Lz4 { level, buffer_log: 18 };
        assert_eq!(codec.unpack(blocks[0], content.len()), Ok(content.clone()));
        assert!(proves(codec, blocks[0], &content), "level {level}");
        assert!(!proves(codec, &blocks[0][1..], &content));
    }
}

#[test]
fn literals_longer_than_the_buffer_are_refused_and_not_miswritten() {
    let mut noise = sample(5, 16);
    for number in 0..200_000u32 {
        noise.extend(number.wrapping_mul(2_654_435_761).rotate_left(number % 31).to_le_bytes());
    }
    let mut packer =
        Packer::new(Codec::Lz4 { level: 9, buffer_log: 17 }, noise.len().try_into().unwrap())
            .unwrap();
    let outcome = noise.chunks(10_000).try_for_each(|piece| packer.push(piece, &mut |_| {}));
    assert_eq!(outcome, Err(Fault::Buffer));
}

#[test]
fn zstd_contexts_stay_within_what_is_declared() {
    let content = sample(3, 1 << 20);
    for length in [16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20] {
        for level in [1, 3, 5, 6, 8, 10, 11, 12, 14, 19, 22] {
            let Some(declared) = zstd::pack_bytes(level, length) else { continue };
            let part = &content[..length.try_into().unwrap()];
            let mut context = ::zstd::zstd_safe::CCtx::create();
            let mut frame = vec![0; ::zstd::zstd_safe::compress_bound(part.len())];
            let parameter = ::zstd::zstd_safe::CParameter::CompressionLevel(level.into());
            context.set_parameter(parameter).unwrap();
            context.compress2(&mut frame[..], part).unwrap();
            let taken = context.sizeof() + part.len() + frame.len();
            assert!(u64::try_from(taken).unwrap() <= declared, "level {level}, {length} bytes");
        }
    }
}

#[test]
fn zstd_frames_are_those_of_the_library_with_and_without_checksum() {
    let content = sample(21, 100_000);
    for (level, has_checksum) in [(1, false), (3, true), (15, false), (19, true), (22, false)] {
        let mut context = ::zstd::zstd_safe::CCtx::create();
        let flag = ::zstd::zstd_safe::CParameter::ChecksumFlag(has_checksum);
        context.set_parameter(flag).unwrap();
        let parameter = ::zstd::zstd_safe::CParameter::CompressionLevel(level.into());
        context.set_parameter(parameter).unwrap();
        let mut frame = vec![0; 200_000];
        let length = context.compress2(&mut frame[..], &content).unwrap();
        let codec = Codec::Zstd { level, has_checksum };
        assert!(proves(codec, &frame[..length], &content));
        assert_eq!(codec.unpack(&frame[..length], content.len()), Ok(content.clone()));
        assert_eq!(codec.unpack(&frame[..length], content.len() - 1), Err(Fault::Malformed));
        let other = Codec::Zstd { level, has_checksum: !has_checksum };
        assert!(!proves(other, &frame[..length], &content));
    }
}

#[test]
fn a_parameter_of_another_version_is_refused() {
    let codec = Codec::Zstd { level: 19, has_checksum: false };
    let (number, parameter) = codec.numbers();
    assert_eq!(Codec::from_numbers(number, parameter), Ok(codec));
    let other = parameter.wrapping_add(1 << 16);
    let expected = zstd_version() + 1;
    let fault = Fault::Version { name: "zstd", expected, actual: zstd_version() };
    assert_eq!(Codec::from_numbers(number, other), Err(fault));
    assert_eq!(Codec::from_numbers(9, parameter), Err(Fault::Codec(9)));
    let level = parameter & !0xff;
    assert_eq!(
        Codec::from_numbers(number, level),
        Err(Fault::Parameter { codec: number, parameter: level })
    );
}

/// Packs in pieces of the lengths given.
fn packed(codec: Codec, content: &[u8], pieces: &[usize]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut packer = Packer::new(codec, content.len().try_into().unwrap()).unwrap();
    let (mut rest, mut lengths) = (content, pieces.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(lengths.next().copied().unwrap().min(rest.len()));
        packer.push(now, &mut |bytes| packed.extend_from_slice(bytes)).unwrap();
        rest = later;
    }
    packer.finish(&mut |bytes| packed.extend_from_slice(bytes)).unwrap();
    packed
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop_oneof![
        (1u8..=22, any::<bool>())
            .prop_map(|(level, has_checksum)| Codec::Zstd { level, has_checksum }),
        (1u8..=9).prop_map(|level| Codec::Deflate { level, memory_level: 8 }),
        (3u8..=9).prop_map(|level| Codec::Lz4 { level, buffer_log: 18 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_part_comes_back_and_does_not_depend_on_the_pieces(
        codec in any_codec(),
        seed in any::<u64>(),
        length in 1usize..150_000,
        pieces in prop::collection::vec(1usize..40_000, 1..6),
    ) {
        let content = sample(seed, length);
        let one = packed(codec, &content, &[length]);
        prop_assert_eq!(&packed(codec, &content, &pieces), &one);
        prop_assert!(proves(codec, &one, &content));
        prop_assert_eq!(codec.unpack(&one, length), Ok(content));
    }

    #[test]
    fn hostile_parts_are_refused_or_have_the_length_said(
        codec in any_codec(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        length in 0usize..2_000,
    ) {
        if let Ok(content) = codec.unpack(&bytes, length) {
            prop_assert_eq!(content.len(), length);
        }
    }
}

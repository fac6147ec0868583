//! Images with compressed parts, made by the programs that make them: unpacked where that is
//! proved, left alone otherwise, and bit for bit the same on the other side, whenever the power
//! goes.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use super::*;
use crate::encode;
use lazaret_protocol_delta::{DecodeLimits, Header};
use lazaret_protocol_delta_repack::{Application, Repacker, fitting};
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// Text that differs by its seed, and compresses as programs and prose do.
fn text(seed: u32, length: usize) -> Vec<u8> {
    let words = ["frame", "slot", "image", "delta", "quarantine", "poll", "release", "device"];
    let mut state = seed;
    let mut text = Vec::new();
    while text.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = words[usize::try_from(state >> 29).unwrap()];
        text.extend_from_slice(word.as_bytes());
        text.extend_from_slice(format!(" {} ", state >> 20).as_bytes());
    }
    text.truncate(length);
    text
}

/// Two versions of a tree: most files stay, some change a little.
fn trees(folder: &Path) {
    for (name, changed) in [("old", false), ("new", true)] {
        let tree = folder.join(name);
        fs::create_dir(&tree).unwrap();
        for number in 0..6u32 {
            let mut content = text(number, 150_000 + usize::try_from(number).unwrap() * 9_000);
            if changed && number.is_multiple_of(3) {
                content.splice(70_000..70_010, *b"something else");
            }
            fs::write(tree.join(format!("file-{number}")), content).unwrap();
        }
    }
}

/// A pair of images: old and new.
struct Images {
    old: Vec<u8>,
    new: Vec<u8>,
}

fn squashfs(arguments: &[&str]) -> Images {
    let folder = tempfile::tempdir().unwrap();
    trees(folder.path());
    let mut images = ["old", "new"].map(|name| {
        let image = format!("{name}.sqfs");
        let mut all =
            vec![name, &image, "-noappend", "-all-root", "-mkfs-time", "0", "-all-time", "0"];
        all.extend_from_slice(arguments);
        run("mksquashfs", &all, folder.path());
        fs::read(folder.path().join(image)).unwrap()
    });
    Images { old: std::mem::take(&mut images[0]), new: std::mem::take(&mut images[1]) }
}

/// A file packed by a program between bytes that are not.
fn packed(program: &str, arguments: &[&str], suffix: &str) -> Images {
    let folder = tempfile::tempdir().unwrap();
    let mut images = [1, 2].map(|version| {
        let mut content = text(7, 300_000);
        content.splice(200_000..200_000, text(version, 1_000));
        fs::write(folder.path().join("file"), content).unwrap();
        let mut all = arguments.to_vec();
        all.push("file");
        run(program, &all, folder.path());
        let mut image = text(99, 5_000);
        image.extend(fs::read(folder.path().join(format!("file{suffix}"))).unwrap());
        image.extend(text(98, 5_000));
        fs::remove_file(folder.path().join(format!("file{suffix}"))).unwrap();
        image
    });
    Images { old: std::mem::take(&mut images[0]), new: std::mem::take(&mut images[1]) }
}

fn made(images: &Images, frame_bytes: u32) -> (Vec<u8>, PayloadReport) {
    let options = EncodeOptions { frame_bytes, threads: 2, ..EncodeOptions::default() };
    let mut delta = Vec::new();
    let summary = encode(&images.old, &images.new, &options, |_, _| {}, &mut delta).unwrap();
    (delta, summary.payloads)
}

fn header(delta: &[u8]) -> Header {
    let limits = DecodeLimits { ram_bytes_max: u64::MAX, result_bytes_max: u64::MAX };
    Header::parse(delta, &limits).unwrap().0
}

fn part_of<'a>(delta: &'a [u8], range: &std::ops::Range<u64>) -> &'a [u8] {
    &delta[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

/// Applies from where the slot stands, for so many steps.
fn apply(delta: &[u8], old: &[u8], slot: &mut Vec<u8>, steps: usize) {
    let durable = u64::try_from(slot.len()).unwrap();
    let kept = fitting(&header(delta), &slot[..], durable).unwrap();
    let begun = Application::begin::<Infallible>(header(delta), old, kept, 8 << 20);
    let (mut application, kept) = begun.unwrap();
    slot.truncate(usize::try_from(kept).unwrap());
    for _ in 0..steps {
        let Some(range) = application.wanted() else {
            assert!(application.is_done());
            return;
        };
        let write = |bytes: &[u8]| {
            slot.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        };
        application.take(part_of(delta, &range), write).unwrap();
    }
}

#[test]
fn a_squashfs_with_zstd_is_diffed_unpacked_and_comes_back() {
    for level in ["3", "19"] {
        let arguments = ["-comp", "zstd", "-Xcompression-level", level, "-b", "131072"];
        let images = squashfs(&arguments);
        let (delta, report) = made(&images, 256 << 10);
        let counts = report.counts(Kind::Zstd);
        assert!(counts.changed > 1, "{report}");
        assert_eq!((counts.unpacked, counts.unproved), (counts.changed, 0), "{report}");
        let mut slot = Vec::new();
        apply(&delta, &images.old, &mut slot, usize::MAX);
        assert_eq!(slot, images.new);
        // Each changed block differs in ten bytes, and takes a third of its content to store.
        assert!(delta.len() < images.new.len() / 50, "{} bytes", delta.len());
        assert_eq!(made(&images, 256 << 10).0, delta);
    }
}

#[test]
fn other_formats_come_back_and_are_smaller_where_it_is_proved() {
    let cases = [
        ("squashfs gzip", squashfs(&["-comp", "gzip", "-b", "131072"]), Some(Kind::Deflate)),
        ("squashfs xz", squashfs(&["-comp", "xz", "-b", "131072"]), None),
        ("squashfs lz4", squashfs(&["-comp", "lz4", "-Xhc", "-b", "131072"]), None),
        ("lz4 -l -9", packed("lz4", &["-l", "-9", "-q", "-m"], ".lz4"), Some(Kind::Lz4)),
        ("lz4 -9", packed("lz4", &["-9", "-q", "-m"], ".lz4"), Some(Kind::Lz4)),
        ("lz4 -1", packed("lz4", &["-1", "-q", "-m"], ".lz4"), None),
        ("zstd -3", packed("zstd", &["-3", "-q", "-k"], ".zst"), Some(Kind::Zstd)),
        ("xz -6", packed("xz", &["-6", "-k"], ".xz"), None),
        ("gzip -9", packed("gzip", &["-9", "-n", "-k"], ".gz"), None),
    ];
    for (name, images, unpacked) in cases {
        let (delta, report) = made(&images, 256 << 10);
        let mut slot = Vec::new();
        apply(&delta, &images.old, &mut slot, usize::MAX);
        assert_eq!(slot, images.new, "{name}");
        if let Some(kind) = unpacked {
            assert!(report.counts(kind).unpacked > 0, "{name}: {report}");
            assert!(delta.len() < images.new.len() / 10, "{name}: {} bytes", delta.len());
        }
    }
}

#[test]
fn what_cannot_be_packed_again_is_left_alone_and_said() {
    let images = packed("xz", &["-6", "-k"], ".xz");
    let (delta, report) = made(&images, 256 << 10);
    let header = header(&delta);
    let [left] = header.tables().left_alone[..] else { panic!("one kind, one reason") };
    assert_eq!((left.kind, left.why, left.parts, left.first), (4, 3, 1, 5_000));
    let counts = report.counts(Kind::Xz);
    assert_eq!((counts.unpacked, counts.too_long), (0, counts.changed));
    assert!(report.to_string().contains("left alone"), "{report}");
}

#[test]
fn after_a_power_cut_at_any_step_the_image_is_the_same() {
    let images = [
        squashfs(&["-comp", "zstd", "-Xcompression-level", "3", "-b", "131072"]),
        packed("lz4", &["-l", "-9", "-q", "-m"], ".lz4"),
    ];
    for images in images {
        let (delta, _) = made(&images, 64 << 10);
        let steps = header(&delta).frames().len() + header(&delta).sections().len();
        for step in 0..=steps {
            let mut slot = Vec::new();
            apply(&delta, &images.old, &mut slot, step);
            // What was written last may be torn, or not there at all.
            let torn = slot.len().saturating_sub(700);
            if step.is_multiple_of(2) {
                slot.truncate(torn);
            } else if let Some(tail) = slot.get_mut(torn..) {
                tail.fill(0xff);
            }
            apply(&delta, &images.old, &mut slot, usize::MAX);
            assert_eq!(slot, images.new, "step {step}");
        }
    }
}

/// What may stand in the last bytes of a slot after the power went: nothing of them, what was there
/// before, a half of each sector, or single bits that are wrong.
fn torn(whole: &[u8], cut: usize, kind: usize) -> Vec<u8> {
    let mut slot = whole[..cut].to_vec();
    let from = cut.saturating_sub(1 + cut % 5000);
    match kind % 4 {
        0 => {}
        1 => slot[from..].fill(0),
        2 => slot[from..].chunks_mut(512).for_each(|sector| {
            let half = sector.len() / 2;
            sector[half..].fill(0xa5);
        }),
        _ => slot[from..].iter_mut().step_by(997).for_each(|byte| *byte ^= 4),
    }
    slot
}

#[test]
fn after_a_power_cut_within_any_frame_the_image_is_the_same() {
    let plain = {
        let old = text(3, 300_000);
        let mut new = old.clone();
        new.splice(120_000..120_010, text(4, 5_000));
        new.splice(7..9, *b"a word");
        Images { old, new }
    };
    let images = [plain, packed("lz4", &["-l", "-9", "-q", "-m"], ".lz4")];
    for images in images {
        let (delta, _) = made(&images, 64 << 10);
        let length = images.new.len();
        for (kind, cut) in (0..length).step_by(length / 40).chain([1, length - 1]).enumerate() {
            let mut slot = torn(&images.new, cut, kind);
            // The power goes once more while the rest is made.
            apply(&delta, &images.old, &mut slot, 2);
            let again = torn(&slot, slot.len() * 3 / 4, kind + 1);
            slot = again;
            apply(&delta, &images.old, &mut slot, usize::MAX);
            assert_eq!(slot, images.new, "cut at {cut}");
        }
    }
}

#[test]
fn a_result_that_packs_into_another_length_is_refused() {
    let images = squashfs(&["-comp", "zstd", "-Xcompression-level", "3", "-b", "131072"]);
    let (delta, _) = made(&images, 256 << 10);
    let header = header(&delta);
    let layout = &header.tables().result_layout;
    let mut sink = Repacker::new(layout, header.result().length, 0).unwrap();
    let expanded = vec![0; usize::try_from(header.result_expanded_length()).unwrap()];
    let outcome = sink.push(&expanded, |_| Ok::<_, lazaret_protocol_delta_repack::Fault>(()));
    assert!(matches!(outcome, Err(lazaret_protocol_delta_repack::Fault::Length { .. })));
}

#[test]
fn marks_that_stand_there_by_chance_are_no_parts() {
    let mut noise = Vec::new();
    for number in 0..40_000u32 {
        noise.extend(number.wrapping_mul(2_654_435_761).to_le_bytes());
        if number.is_multiple_of(97) {
            noise.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x60]);
            noise.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0x78, 0x9c, 0x02, 0x21, 0x4c, 0x18]);
        }
    }
    let mut changed = noise.clone();
    changed[77_777] ^= 1;
    let images = Images { old: noise, new: changed };
    let (delta, _) = made(&images, 256 << 10);
    let mut slot = Vec::new();
    apply(&delta, &images.old, &mut slot, usize::MAX);
    assert_eq!(slot, images.new);
}

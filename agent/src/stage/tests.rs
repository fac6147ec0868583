//! Images and deltas come in over broken connections, from servers that lie, and across power cuts.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lazaret_agent_core::slot::{Release, Slot};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::{DeltaCustom, ImageCustom, Schedule};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_delta::{
    Codec, Frame, Header, ImageId, Images, Op, Section, StreamMethod, Tables, control_columns,
    push_stream,
};
use lazaret_protocol_tuf::Hashes;

use super::*;
use crate::durable::Durable;
use crate::test_server::{Answers, Server};

const IMAGE_PATH: &str = "gw2/v2/0000.image";
const DELTA_PATH: &str = "gw2/v2/1111.from-v1.delta";

fn bytes(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

fn base() -> Vec<u8> {
    bytes(1, 300_000)
}

/// The base with something new in its middle.
fn image() -> Vec<u8> {
    let mut image = base();
    image.splice(100_000..120_000, bytes(2, 50_000));
    image
}

fn target(wire_path: &str, bytes: &[u8]) -> Target {
    Target {
        name: wire_path.into(),
        wire_path: wire_path.into(),
        role: "rel-gw2".into(),
        role_version: 1,
        expires: Timestamp::from_ms(u64::MAX),
        length: length_of(bytes.len()),
        hashes: Hashes { sha256: Some(*Sha256Digest::of(bytes).as_bytes()), sha512: None },
        custom: serde_json::Value::Null,
    }
}

fn image_id(bytes: &[u8]) -> ImageId {
    ImageId { length: length_of(bytes.len()), sha256: *Sha256Digest::of(bytes).as_bytes() }
}

/// A delta in frames of 50,000 bytes: two copies, what is new, and copies again.
fn delta(base: &[u8], image: &[u8]) -> Vec<u8> {
    delta_from(image_id(base), image)
}

fn delta_from(base: ImageId, image: &[u8]) -> Vec<u8> {
    let frame = |(number, result): (usize, &[u8])| Frame {
        payload_offset: 0,
        result_offset: 0,
        payload_length: if number == 2 { 50_000 } else { 0 },
        result_length: 0,
        section: 0,
        codec: if number == 2 { Codec::Stored } else { Codec::Copy },
        digest: Frame::digest_of(result),
    };
    let frames: Vec<Frame> = image.chunks(50_000).enumerate().map(frame).collect();
    let ops =
        [Op { old: 0, add: 100_000, insert: 50_000 }, Op { old: 120_000, add: 180_000, insert: 0 }];
    let mut control = Vec::new();
    let columns = control_columns(&ops, 0);
    for column in &columns {
        push_stream(&mut control, StreamMethod::Stored, column.len(), column);
    }
    let section = Section {
        control_offset: 0,
        control_length: u32::try_from(control.len()).unwrap(),
        columns_length: columns.iter().map(|column| u32::try_from(column.len()).unwrap()).sum(),
        ops: 2,
        frames: 7,
        result_offset: 0,
        result_length: 0,
    };
    let images = Images { base, result: image_id(image) };
    let tables = Tables { sections: vec![section], ..Tables::default() };
    let (_, mut delta) = Header::build(images, 50_000, &frames, &tables, |_| None).unwrap();
    delta.extend_from_slice(&control);
    delta.extend_from_slice(&image[100_000..150_000]);
    delta
}

fn custom(ram_bytes: u64) -> DeltaCustom {
    DeltaCustom {
        format: "lazaret-delta-1".into(),
        base_sha256: Sha256Digest::of(&base()),
        result_sha256: Sha256Digest::of(&image()),
        result_length: 330_000,
        ram_bytes,
    }
}

fn found(delta: Option<(Target, DeltaCustom)>) -> Found {
    Found {
        image: target(IMAGE_PATH, &image()),
        sha256: Sha256Digest::of(&image()),
        custom: ImageCustom {
            counter: 2,
            needs: 0,
            floor: 1,
            model: "gw2".parse().unwrap(),
            schedule: Schedule::everybody_from("salt", Timestamp::from_ms(0)),
        },
        delta,
        emergency: None,
    }
}

fn staged(route: Route) -> Staged {
    Staged {
        release: Release {
            version: "v2".parse().unwrap(),
            counter: 2,
            sha256: Sha256Digest::of(&image()),
            length: 330_000,
        },
        floor: 1,
        slot: Slot::B,
        fetched: 0,
        route,
        pace: lazaret_agent_core::journal::Pace::Ordinary,
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// A folder with the base, and the stage from `offset` on.
fn stage(folder: &Path, found: &Found, route: Route, offset: u64) -> Stage {
    let base_path = folder.join("base");
    if !base_path.exists() {
        open(&base_path).write_all_at(&base(), 0).unwrap();
    }
    let settings = StageSettings {
        sync_bytes: 65_536,
        delta_ram_bytes_max: 8 << 20,
        points: Failpoints::default(),
    };
    let base = Some(File::open(base_path).unwrap());
    let slot = SlotFile::open(&folder.join("image"), &Durable::default()).unwrap();
    Stage::resume(slot, base, found, (&staged(route), offset), settings).unwrap()
}

fn repository(image: &[u8], delta: &[u8]) -> Server {
    let image_path = format!("/v1/repo/targets/{IMAGE_PATH}");
    let delta_path = format!("/v1/repo/targets/{DELTA_PATH}");
    Server::with_files(&[(&image_path, image), (&delta_path, delta)])
}

/// Runs to the end, taking up what breaks off, and says what came of it.
fn to_the_end(stage: &mut Stage, server: &Server) -> Progress {
    for _ in 0..200 {
        match stage.advance(&server.source, &|| false) {
            Ok(Progress::Synced { .. } | Progress::Paused) => {}
            Ok(progress) => return progress,
            Err(StageError::BrokeOff { .. } | StageError::Transport(_)) => {}
            Err(err) => panic!("{err:?}"),
        }
    }
    panic!("it goes on for ever");
}

#[test]
fn an_image_comes_whole_over_connections_that_break() {
    let folder = tempfile::tempdir().unwrap();
    let server = repository(&image(), &[]);
    server.answers.lock().unwrap().break_after = Some(70_000);
    let mut stage = stage(folder.path(), &found(None), Route::Delta, 0);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
    assert_eq!(stage.fetched(), 330_000);
    assert_eq!(server.requests().len(), 5, "{:?}", server.requests());
}

#[test]
fn staging_goes_on_after_a_power_cut_from_what_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let server = repository(&image(), &[]);
    let mut first = stage(folder.path(), &found(None), Route::Image, 0);
    let Ok(Progress::Synced { offset }) = first.advance(&server.source, &|| false) else {
        panic!("nothing was made durable");
    };
    drop(first);
    // What was written behind the last durable offset may be anything.
    open(&folder.path().join("image")).write_all_at(&[0xff; 5000], offset).unwrap();
    let mut second = stage(folder.path(), &found(None), Route::Image, offset);
    assert!(matches!(to_the_end(&mut second, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
    let last = server.requests().pop().unwrap();
    assert_eq!(last, format!("GET /v1/repo/targets/{IMAGE_PATH} from {offset}"));
}

#[test]
fn a_journal_that_claims_more_than_the_slot_holds_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let server = repository(&image(), &[]);
    let mut stage = stage(folder.path(), &found(None), Route::Image, 200_000);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
}

#[test]
fn an_image_of_another_content_is_named_and_never_complete() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = image();
    wrong[200_000] ^= 1;
    let server = repository(&wrong, &[]);
    let mut stage = stage(folder.path(), &found(None), Route::Image, 0);
    let Progress::Mismatch(err) = to_the_end(&mut stage, &server) else {
        panic!("a wrong image was let pass");
    };
    assert_eq!(err.code(), "tuf-mix-and-match");
    // The right one is taken after beginning anew.
    server.answers.lock().unwrap().files.insert(format!("/v1/repo/targets/{IMAGE_PATH}"), image());
    stage.begin_anew().unwrap();
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
}

#[test]
fn endless_data_is_cut_at_the_signed_length() {
    let folder = tempfile::tempdir().unwrap();
    let mut endless = image();
    endless.extend(bytes(9, 500_000));
    let server = repository(&endless, &[]);
    // It says nothing of its length, and goes on.
    let headers = "Content-Range: bytes FROM-329999/*\r\n".to_owned();
    server.answers.lock().unwrap().said = Some((206, headers));
    let mut stage = stage(folder.path(), &found(None), Route::Image, 0);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::metadata(folder.path().join("image")).unwrap().len(), 330_000);
    let codes: Vec<_> = server.source.remarks().iter().map(TransportError::code).collect();
    assert_eq!(codes, [Some("download-too-long")]);
}

#[test]
fn a_server_that_says_another_length_is_refused_before_a_byte_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut longer = image();
    longer.push(0);
    let server = repository(&longer, &[]);
    let mut stage = stage(folder.path(), &found(None), Route::Image, 0);
    let refused = stage.advance(&server.source, &|| false);
    assert!(matches!(refused, Err(StageError::Transport(TransportError::WrongTotal { .. }))));
    assert_eq!(fs::metadata(folder.path().join("image")).unwrap().len(), 0);
}

#[test]
fn a_server_without_ranges_is_read_from_its_beginning_and_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("image"), &image()[..100_000]).unwrap();
    let server = repository(&image(), &[]);
    server.answers.lock().unwrap().ignore_ranges = true;
    let mut stage = stage(folder.path(), &found(None), Route::Image, 100_000);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
    let codes: Vec<_> = server.source.remarks().iter().map(TransportError::code).collect();
    assert_eq!(codes, [Some("download-no-ranges")]);
}

#[test]
fn a_pause_is_taken_when_the_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = repository(&image(), &[]);
    let mut stage = stage(folder.path(), &found(None), Route::Image, 0);
    let progress = stage.advance(&server.source, &|| true);
    assert!(matches!(progress, Ok(Progress::Paused | Progress::Synced { .. })));
    assert!(stage.fetched() < 330_000);
}

#[test]
fn a_delta_makes_the_image_with_few_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let delta = delta(&base(), &image());
    let server = repository(&image(), &delta);
    let found = found(Some((target(DELTA_PATH, &delta), custom(1 << 20))));
    let mut stage = stage(folder.path(), &found, Route::Delta, 0);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
    assert_eq!(stage.fetched(), length_of(delta.len()));
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
}

#[test]
fn a_delta_goes_on_at_the_frame_that_was_cut_by_the_power() {
    let folder = tempfile::tempdir().unwrap();
    let delta = delta(&base(), &image());
    let server = repository(&image(), &delta);
    let found = found(Some((target(DELTA_PATH, &delta), custom(1 << 20))));
    // The first frame is whole, the second one torn.
    let slot = open(&folder.path().join("image"));
    slot.write_all_at(&image()[..120_000], 0).unwrap();
    slot.write_all_at(&[0; 10_000], 105_000).unwrap();
    let mut stage = stage(folder.path(), &found, Route::Delta, 120_000);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
}

/// Why a delta was doubted; the image itself is then taken.
fn doubt(server: &Server, found: &Found) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path(), found, Route::Delta, 0);
    let Progress::DeltaDoubted { why } = to_the_end(&mut stage, server) else {
        panic!("the delta was not doubted");
    };
    stage.begin_anew().unwrap();
    assert!(matches!(to_the_end(&mut stage, server), Progress::Complete));
    assert_eq!(fs::read(folder.path().join("image")).unwrap(), image());
    why
}

#[test]
fn a_tampered_delta_falls_back_to_the_image() {
    let good = delta(&base(), &image());
    let mut tampered = good.clone();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let found = found(Some((target(DELTA_PATH, &good), custom(1 << 20))));
    let why = doubt(&repository(&image(), &tampered), &found);
    assert!(why.contains("frame 2"), "{why}");
    let mut tampered = good;
    tampered[130] ^= 1;
    let why = doubt(&repository(&image(), &tampered), &found);
    assert!(why.contains("checksum"), "{why}");
}

#[test]
fn a_delta_against_another_base_falls_back_to_the_image() {
    let other_base = bytes(7, 300_000);
    let mut other = delta(&base(), &image());
    let found = found(Some((target(DELTA_PATH, &other), custom(1 << 20))));
    // Its header names a base that is not the one of its target.
    other.copy_from_slice(&delta_from(image_id(&other_base), &image()));
    let why = doubt(&repository(&image(), &other), &found);
    assert_eq!(why, "its header names another base than its target");
    // The disk has changed under the running image.
    let folder = tempfile::tempdir().unwrap();
    open(&folder.path().join("base")).write_all_at(&other_base, 0).unwrap();
    let good = delta(&base(), &image());
    let server = repository(&image(), &good);
    let found = self::found(Some((target(DELTA_PATH, &good), custom(1 << 20))));
    let mut stage = stage(folder.path(), &found, Route::Delta, 0);
    assert!(matches!(to_the_end(&mut stage, &server), Progress::DeltaDoubted { .. }));
}

#[test]
fn a_delta_that_is_too_demanding_missing_or_of_another_format_falls_back() {
    let good = delta(&base(), &image());
    let server = repository(&image(), &good);
    let of = |custom| found(Some((target(DELTA_PATH, &good), custom)));
    let why = doubt(&server, &of(custom(64 << 20)));
    assert_eq!(why, "it needs 67108864 bytes of memory, 8388608 are allowed");
    let why = doubt(&server, &of(DeltaCustom { format: "x".into(), ..custom(1) }));
    assert_eq!(why, "expected the format lazaret-delta-1, got \"x\"");
    let other = DeltaCustom { result_sha256: Sha256Digest::of(b"other"), ..custom(1) };
    assert_eq!(doubt(&server, &of(other)), "its target names another result than the image");
    let mut longer = target(DELTA_PATH, &good);
    longer.length += 1;
    let why = doubt(&server, &found(Some((longer, custom(1)))));
    // Said by the server of its whole length already.
    assert!(why.starts_with("download-wrong-total"), "{why}");
    let server = Server::start(Answers {
        files: [(format!("/v1/repo/targets/{IMAGE_PATH}"), image())].into(),
        ..Answers::default()
    });
    assert!(doubt(&server, &of(custom(1))).contains("404"));
}

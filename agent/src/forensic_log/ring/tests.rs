//! A ring under a flood, under its budget, and torn in every way.

use std::collections::BTreeSet;

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log::{Clock, Kind};

use super::*;

/// A folder in memory where there is one: a flood is about the ring, and not about the disk.
fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

fn place(folder: &Path, ring: LogRing, bytes_max: u64) -> Place {
    let device = "d-1".parse().unwrap();
    Place { ring, device, folder: folder.to_owned(), bytes_max, durable: Durable::default() }
}

fn blank(kind: &'static str, detail: Detail) -> Record {
    let (at, kind) = (Some(Timestamp::from_ms(1_790_000_000_000)), Kind::known(kind));
    Record { seq: 0, boot: 1, monotonic: 5, at, clock: Clock::System, kind, detail }
}

fn opened(place: Place) -> (Ring, Finding) {
    Ring::open(place).unwrap()
}

fn begun(place: Place) -> Ring {
    let (mut ring, _) = opened(place);
    ring.begin_epoch(blank("unnamed", Detail::none()), &|_| Ok(vec![7; 70])).unwrap();
    ring
}

fn used(folder: &Path) -> u64 {
    let mut total = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        total += if meta.is_dir() { used(&entry.path()) } else { meta.len() };
    }
    total
}

#[test]
fn a_flood_of_a_million_records_pushes_out_no_security_record_and_keeps_the_budget() {
    let folder = fast_folder();
    let budget = 6 << 20;
    let mut security = begun(place(folder.path(), LogRing::Security, 2 << 20));
    let mut operations = begun(place(folder.path(), LogRing::Operations, budget));
    for number in 0..1_000_000_u64 {
        let detail = Detail::none().number("n", number);
        operations.append(blank("stage-begun", detail.clone()), Sync::Soon).unwrap();
        if number % 200 == 0 {
            security.append(blank("order-refused", detail), Sync::Now).unwrap();
        }
        if number % 100_000 == 0 {
            assert!(used(&folder.path().join("operations")) <= budget);
        }
    }
    assert!(used(&folder.path().join("operations")) <= budget);
    assert!(used(folder.path()) <= budget + (2 << 20));
    let kept = security.records(usize::MAX / 2).unwrap();
    let refused = kept.iter().filter(|record| record.kind.as_str() == "order-refused");
    assert_eq!(refused.count(), 5000);
    // What is left of the flood is the end of it, without a gap, and goes on after a restart.
    operations.seal().unwrap();
    let (head, from) = (operations.head(), operations.from());
    assert!(from > 0 && head.size == 1_000_001);
    drop(operations);
    let (again, finding) = opened(place(folder.path(), LogRing::Operations, budget));
    assert_eq!((finding, again.head(), again.from()), (Finding::Whole, head, from));
    let records = again.records(usize::MAX / 2).unwrap();
    assert!(records.iter().map(|record| record.seq).eq(from..1_000_001));
}

#[test]
fn a_ring_of_long_records_keeps_its_budget_as_well() {
    let folder = fast_folder();
    let budget = 256 * 1024;
    let mut ring = begun(place(folder.path(), LogRing::Security, budget));
    for number in 0..5000_u64 {
        let detail = (0..8).fold(Detail::none().number("n", number), |detail, at| {
            detail.text(format!("text-{at}"), "x".repeat(1000))
        });
        ring.append(blank("alarm", detail), Sync::Soon).unwrap();
        assert!(ring.lengths.iter().sum::<u64>() <= budget - FRAME_BYTES);
    }
    assert!(used(folder.path()) <= budget);
}

/// So many images of a ring that the power tore: cut short, with zeros, or with other bytes at its
/// end.
const IMAGES: u64 = 100_000;

#[test]
fn of_torn_images_no_synced_record_is_lost_and_no_wrong_byte_accepted() {
    // The bundle as it was synced, and what may stand behind.
    let folder = fast_folder();
    let mut ring = begun(place(folder.path(), LogRing::Security, 1 << 20));
    for number in 0..20_u64 {
        let detail = Detail::none().number("n", number).text("why", "because of this and that");
        ring.append(blank("order-refused", detail), Sync::Now).unwrap();
    }
    let synced = fs::read(ring.place.bundle(0)).unwrap();
    let count = usize::try_from(ring.head().size).unwrap();
    for number in 20..24_u64 {
        ring.append(blank("armed", Detail::none().number("n", number)), Sync::Soon).unwrap();
    }
    let whole = fs::read(ring.place.bundle(0)).unwrap();
    let truth = recover(&whole, 0).records;
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    let mut roll = |below: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % u64::try_from(below).unwrap()).unwrap()
    };
    let mut ways = BTreeSet::new();
    for _ in 0..IMAGES {
        let cut = synced.len() + roll(whole.len() - synced.len() + 1);
        let mut image = whole[..cut].to_vec();
        let way = roll(4);
        ways.insert(way);
        match way {
            0 => {}
            1 => image.extend(vec![0; roll(600)]),
            2 => image.extend((0..roll(600)).map(|at| u8::try_from((at * 7 + cut) % 251).unwrap())),
            _ if cut > synced.len() => {
                let at = synced.len() + roll(cut - synced.len());
                image[at] ^= 1 << roll(8);
            }
            _ => {}
        }
        let recovered = recover(&image, 0);
        assert!(recovered.records.len() >= count, "a synced record is lost");
        assert_eq!(recovered.records, truth[..recovered.records.len()], "a wrong byte is accepted");
        assert_eq!(image[..recovered.good_length], whole[..recovered.good_length]);
    }
    assert_eq!(ways.len(), 4);
}

#[test]
fn a_ring_opens_after_any_tear_with_every_synced_record() {
    let folder = fast_folder();
    let mut ring = begun(place(folder.path(), LogRing::Security, 1 << 20));
    ring.append(blank("order-refused", Detail::none()), Sync::Now).unwrap();
    ring.seal().unwrap();
    let path = ring.place.bundle(0);
    let synced = fs::read(&path).unwrap().len();
    ring.append(blank("armed", Detail::none()), Sync::Soon).unwrap();
    let whole = fs::read(&path).unwrap();
    drop(ring);
    for cut in synced..=whole.len() {
        put(&path, &whole[..cut]);
        let (ring, finding) = opened(place(folder.path(), LogRing::Security, 1 << 20));
        let torn = cut > synced && cut < whole.len();
        assert_eq!(matches!(finding, Finding::Torn { .. }), torn, "cut at {cut}: {finding:?}");
        assert_eq!(ring.head().size, if cut == whole.len() { 3 } else { 2 });
        assert_eq!(fs::read(&path).unwrap().len(), if torn { synced } else { cut });
    }
}

#[test]
fn what_the_power_left_of_a_pruning_is_finished_at_the_next_start() {
    let folder = fast_folder();
    let at = |durable| Place { durable, ..place(folder.path(), LogRing::Operations, 256 * 1024) };
    let mut ring = begun(at(Durable::default()));
    for number in 0..20_000_u64 {
        ring.append(blank("stage-begun", Detail::none().number("n", number)), Sync::Soon).unwrap();
    }
    ring.seal().unwrap();
    let (head, from) = (ring.head(), ring.from());
    assert!(from > 0);
    // A bundle that should have gone is there again.
    let left = ring.place.bundle(from / WIDTH_64 - 1);
    drop(ring);
    put(&left, b"left behind");
    let (ring, finding) = opened(at(Durable::default()));
    assert_eq!((finding, ring.head(), ring.from()), (Finding::Whole, head, from));
    assert!(!left.exists());
}

/// Puts other content into a file, as a power cut or a bad disk would.
fn put(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    Durable::default().write(path, bytes, crate::durable::Access::Folder, "anchors").unwrap();
}

//! Records survive restarts and power cuts in two rings that strangers can check.

use std::fs;

use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::epoch::Epochs;
use lazaret_protocol_evidence::device_log::verify::{self, Proved};
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_protocol_evidence::tlog::tile::read_entries;
use lazaret_protocol_evidence::tlog::tree::Edge;

use super::*;
use crate::durable::tests::cut_at;
use crate::identity::DeviceKey;

const LIMIT: u64 = 1 << 20;

struct World {
    folder: tempfile::TempDir,
    key: DeviceKey,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
        Self { folder, key }
    }

    fn try_open(&self, boot: u64, durable: Durable) -> Result<ForensicLog, ForensicLogError> {
        let device = "d-1".parse().unwrap();
        let state_dir = self.folder.path();
        let settings = Settings { state_dir, device: &device, bytes_max: LIMIT, boot };
        let clock = Clock::new(Timestamp::from_ms(0));
        ForensicLog::open(&settings, clock, durable, &|bytes: &[u8]| self.key.sign(bytes))
    }

    fn open(&self, boot: u64) -> ForensicLog {
        self.try_open(boot, Durable::default()).unwrap()
    }

    /// What a stranger proves of a ring with the device's public key alone.
    fn proved(&self, ring: LogRing) -> Proved {
        proved(&mut self.open(99), ring, &self.key.public())
    }

    fn kinds(&self, ring: LogRing) -> Vec<String> {
        let records = self.proved(ring).records;
        let kinds = records.iter().map(|record| record.kind.to_string());
        kinds.filter(|kind| kind != "epoch").collect()
    }

    fn bundle(&self, ring: LogRing) -> PathBuf {
        folder(self.folder.path()).join(ring.as_str()).join("tile/entries/000")
    }
}

fn proved(log: &mut ForensicLog, ring: LogRing, identity: &PublicKey) -> Proved {
    let files = log.files(ring).unwrap();
    let bytes = |content: &Content| match content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::File(path, _) => fs::read(path).unwrap(),
    };
    let (_, seal) = files.iter().find(|(name, _)| name == "checkpoint").unwrap();
    let seal = SignedNote::parse(&String::from_utf8(bytes(seal)).unwrap()).unwrap();
    let bundles = files.iter().filter(|(name, _)| name.starts_with("tile/entries/"));
    let bundles: Vec<Vec<u8>> = bundles.map(|(_, content)| bytes(content)).collect();
    let entries = bundles.iter().flat_map(|bundle| read_entries(bundle).unwrap()).collect();
    let origin = ring.origin(&"d-1".parse().unwrap());
    let epochs = Epochs::before_first(&origin, identity.clone());
    let parts = verify::Parts {
        before: Edge::new(),
        epochs,
        entries,
        seal: &seal,
        origin: &origin,
        witnessed: None,
    };
    verify::verify(&parts).unwrap()
}

#[test]
fn records_are_chained_over_restarts() {
    let world = World::new();
    for boot in 1..4 {
        let mut log = world.open(boot);
        log.append("started", Detail::none().number("boot", boot)).unwrap();
        log.append("stage-begun", Detail::none()).unwrap();
        log.seal().unwrap();
    }
    assert_eq!(world.kinds(LogRing::Security), ["started", "started", "started"]);
    assert_eq!(world.kinds(LogRing::Operations), ["stage-begun", "stage-begun", "stage-begun"]);
    let proved = world.proved(LogRing::Security);
    assert_eq!(proved.epochs, 6, "an epoch for every start");
    assert!(proved.records.iter().any(|record| record.boot == 3));
}

#[test]
fn a_torn_tail_is_cut_off_and_no_synced_record_is_lost() {
    let world = World::new();
    let mut log = world.open(1);
    log.append("started", Detail::none()).unwrap();
    log.seal().unwrap();
    let whole = fs::read(world.bundle(LogRing::Security)).unwrap();
    log.append("armed", Detail::none()).unwrap();
    let longer = fs::read(world.bundle(LogRing::Security)).unwrap();
    drop(log);
    put(world.bundle(LogRing::Security), &longer[..whole.len() + 7]);
    assert_eq!(world.kinds(LogRing::Security), ["started", "log-tail-cut"]);
}

#[test]
fn a_log_that_was_changed_or_lost_is_kept_aside_and_the_new_one_says_so() {
    for spoil in ["flip", "lose", "key"] {
        let world = World::new();
        let mut log = world.open(1);
        for _ in 0..3 {
            log.append("started", Detail::none()).unwrap();
        }
        log.seal().unwrap();
        drop(log);
        let path = world.bundle(LogRing::Security);
        let mut bytes = fs::read(&path).unwrap();
        match spoil {
            "flip" => bytes[40] ^= 1,
            "lose" => bytes.truncate(100),
            _ => fs::remove_file(folder(world.folder.path()).join("keys/security.key")).unwrap(),
        }
        put(&path, &bytes);
        assert_eq!(world.kinds(LogRing::Security), ["log-damaged"], "{spoil}");
        let aside = folder(world.folder.path()).join("security.damaged-1/tile/entries/000");
        assert_eq!(fs::read(aside).unwrap(), bytes);
    }
}

#[test]
fn a_former_log_is_closed_with_its_digest_and_kept() {
    let world = World::new();
    put(world.folder.path().join(FORMER), b"{}\n");
    let mut log = world.open(1);
    log.seal().unwrap();
    drop(log);
    assert_eq!(world.kinds(LogRing::Security), ["former-log-closed"]);
    assert_eq!(fs::read(folder(world.folder.path()).join(FORMER)).unwrap(), b"{}\n");
}

/// Points that are passed by an opening, a record, a seal and the beginning of the next epoch.
const CUTS: u64 = 64;

#[test]
fn wherever_the_power_goes_the_log_is_proved_afterwards_and_no_old_secret_is_left() {
    let mut reached = 0;
    for n in 0..CUTS {
        let world = World::new();
        let mut log = world.open(1);
        log.append("started", Detail::none()).unwrap();
        log.seal().unwrap();
        let secret = |name: &str| fs::read(folder(world.folder.path()).join("keys").join(name));
        let before = secret("security.key").unwrap();
        drop(log);
        let cut = world.try_open(2, cut_at(n)).and_then(|mut log| {
            log.append("armed", Detail::none())?;
            log.seal()
        });
        reached += u64::from(cut.is_err());
        let security = world.proved(LogRing::Security);
        assert!(security.records.iter().any(|record| record.kind.as_str() == "started"));
        assert!(!world.kinds(LogRing::Security).contains(&"log-damaged".to_owned()), "cut {n}");
        let _ = world.proved(LogRing::Operations);
        assert_ne!(secret("security.key").unwrap(), before, "cut {n}");
        assert!(secret("security.next").is_err(), "cut {n}");
    }
    assert!((10..CUTS).contains(&reached), "{reached} cuts");
}

#[test]
fn growth_is_sealed_on_the_disk_before_it_is_told_and_proved_from_what_was_witnessed() {
    use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
    use lazaret_protocol_evidence::tlog::proof::check_consistency;
    let world = World::new();
    let mut log = world.open(1);
    let mut seen: Option<Checkpoint> = None;
    for _ in 0..5 {
        log.append("started", Detail::none()).unwrap();
        let growth = log.growth().unwrap();
        let security = growth.iter().find(|it| it.ring == LogRing::Security).unwrap();
        let on_disk = folder(world.folder.path()).join("security/checkpoint");
        assert_eq!(fs::read_to_string(on_disk).unwrap(), security.checkpoint);
        let note = SignedNote::parse(&security.checkpoint).unwrap();
        let now: Checkpoint = note.text().parse().unwrap();
        if let Some(seen) = &seen {
            assert_eq!((security.from, &security.epoch), (seen.size, &None));
            let (old, new) = ((seen.size, &seen.root), (now.size, &now.root));
            assert_eq!(check_consistency(old, new, &security.proof), Ok(()));
        }
        let words: Vec<LogWitnessed> = LogRing::ALL
            .into_iter()
            .map(|ring| LogWitnessed {
                ring,
                size: log.head_of(ring).size,
                epoch: 1,
                checkpoint: None,
            })
            .collect();
        log.witnessed(&words, |_| true).unwrap();
        assert_eq!(log.growth().unwrap(), []);
        seen = Some(now);
    }
}

#[test]
fn of_kinds_that_come_again_and_again_the_log_keeps_the_first_and_a_count() {
    let world = World::new();
    let mut log = world.open(1);
    for _ in 0..1000 {
        log.append("order-refused", Detail::none().text("code", "replay")).unwrap();
    }
    log.seal().unwrap();
    drop(log);
    let kinds = world.kinds(LogRing::Security);
    assert_eq!(kinds.len(), 17);
    assert_eq!(kinds.last().unwrap(), "repeats-begin");
}

#[test]
fn every_event_of_the_core_has_a_kind_and_its_particulars() {
    let event = LogEvent::Kept { order: 7, slot: lazaret_agent_core::slot::Slot::B, floor: 3 };
    let (kind, detail) = said(&event);
    assert_eq!(kind, "kept");
    let fields: Vec<String> = detail.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(fields, ["slot=b", "floor=3", "order=7"]);
}

/// Puts other content into a file, as a power cut or a bad disk would.
fn put(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    Durable::default().write(path, bytes, crate::durable::Access::Folder, "anchors").unwrap();
}

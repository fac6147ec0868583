//! The contract of every tamper input: it is silent while nothing happens, says what happens once,
//! under its kind, and a source that is not there is silence.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use lazaret_protocol::time::Timestamp;

use super::*;
use crate::config::Config;

/// Makes what an input reads, and then has something happen to it.
type Provoke = fn(&Path);

/// Of each input: what it reads in its quiet state, what happens, and the kinds that are said.
const STORIES: &[(&str, Provoke, Provoke, &[&str])] = &[
    ("case-switch", |path| put(path, &event(5, 0x11, 1)), open_and_close, &OPENED_AND_CLOSED),
    ("console", |path| put(path, &[0; 384]), log_in, &["console-login"]),
    ("gpio", |path| put(path, b"0\n"), |path| put(path, b"1\n"), &["case-opened"]),
    ("usb", |path| plug(path, "1-1", "0bda"), |path| plug(path, "1-2", "090c"), &["usb-inserted"]),
];

const OPENED_AND_CLOSED: [&str; 2] = ["case-opened", "case-closed"];

fn put(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    let mut event = vec![0; 2 * size_of::<usize>()];
    event.extend(kind.to_ne_bytes());
    event.extend(code.to_ne_bytes());
    event.extend(value.to_ne_bytes());
    event
}

/// Faster than anybody looks: the kernel queues both.
fn open_and_close(path: &Path) {
    let both = [event(5, 0x10, 1), event(0, 0, 0), event(5, 0x10, 0)].concat();
    OpenOptions::new().append(true).open(path).unwrap().write_all(&both).unwrap();
}

fn log_in(path: &Path) {
    let mut record = [0; 384];
    record[..2].copy_from_slice(&7_u16.to_ne_bytes());
    record[4..8].copy_from_slice(&4242_u32.to_ne_bytes());
    record[8..12].copy_from_slice(b"tty1");
    record[44..48].copy_from_slice(b"root");
    OpenOptions::new().append(true).open(path).unwrap().write_all(&record).unwrap();
}

fn plug(path: &Path, port: &str, vendor: &str) {
    let device = path.join(port);
    fs::create_dir_all(&device).unwrap();
    put(&device.join("idVendor"), format!("{vendor}\n").as_bytes());
    put(&device.join("idProduct"), b"1000\n");
    fs::create_dir_all(path.join(format!("{port}:1.0"))).unwrap();
}

fn made(kind: &str, path: &Path) -> Box<dyn Input> {
    let config = InputConfig { path: path.to_owned(), ..InputConfig::usual(kind).unwrap() };
    let (.., make) = INPUTS.iter().find(|(known, ..)| *known == kind).unwrap();
    make(&config, &Clock::new(Timestamp::from_ms(0)))
}

#[test]
fn every_tamper_input_keeps_the_contract() {
    // The clock has no file; its story is the next test.
    let told: Vec<&str> = STORIES.iter().map(|(kind, ..)| *kind).chain(["clock"]).collect();
    assert!(INPUTS.iter().all(|(kind, ..)| told.contains(kind)), "every input has a story");
    for (kind, quiet, happens, kinds) in STORIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source");
        let mut absent = made(kind, &path);
        assert_eq!((absent.look(), absent.look()), (vec![], vec![]), "{kind} without a source");
        quiet(&path);
        let mut input = made(kind, &path);
        assert_eq!((input.look(), input.look()), (vec![], vec![]), "{kind} at rest");
        happens(&path);
        let said: Vec<&str> = input.look().iter().map(|seen| seen.kind).collect();
        assert_eq!(said, *kinds, "{kind}");
        assert_eq!(input.look(), [], "{kind} says it once");
    }
}

#[test]
fn a_clock_that_is_set_is_told_with_its_step_and_one_that_drifts_is_not() {
    let mut steps = clock::Steps::fresh();
    assert_eq!(steps.weigh(1_000_000), None);
    assert_eq!(steps.weigh(1_000_900), None);
    let ten_years = 315_576_000_000_i64;
    for by in [ten_years, -ten_years] {
        let before = steps.weigh(0).map_or(0, |_| 0);
        let seen = steps.weigh(before + by).unwrap();
        let detail = Detail::none().text("clock", "system").number("by-ms", by);
        assert_eq!((seen.kind, seen.detail), ("clock-step", detail));
    }
}

#[test]
fn what_goes_away_is_said_and_an_open_case_at_the_start_too() {
    let folder = tempfile::tempdir().unwrap();
    let usb = folder.path().join("usb");
    plug(&usb, "1-1", "0bda");
    let mut input = made("usb", &usb);
    drop(input.look());
    // Another device in the same port.
    plug(&usb, "1-1", "090c");
    let kinds: Vec<&str> = input.look().iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, ["usb-removed", "usb-inserted"]);
    let line = folder.path().join("line");
    put(&line, b"1");
    let said = made("gpio", &line).look();
    assert_eq!((said.len(), said[0].kind), (1, "case-opened"));
    let mut input = made("gpio", &line);
    drop(input.look());
    fs::remove_file(&line).unwrap();
    assert_eq!(input.look()[0].kind, "case-input-lost");
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let seen = Seen { kind: "usb-inserted", detail: Detail::none() };
    let said = bounded(vec![seen.clone(); 1000]);
    assert_eq!(said.len(), SEEN_MAX);
    assert_eq!(said[SEEN_MAX - 1].detail, Detail::none().number("count", 1000_u64));
    assert_eq!(bounded(vec![seen.clone()]), [seen]);
}

#[test]
fn settings_of_inputs_are_read_and_wrong_ones_named() {
    let usual = "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
                 state_dir = \"s\"\nslots_dir = \"s\"\n\
                 model = \"m\"\nserial = \"s\"\nallow_software_keys = true\n";
    let parse = |text: &str| Config::parse(&format!("{usual}{text}"), Path::new("/"));
    let kinds: Vec<String> = parse("").unwrap().tamper.into_iter().map(|it| it.kind).collect();
    assert_eq!(kinds, USUAL);
    let lid = parse("[[tamper]]\nkind = \"gpio\"\nname = \"lid\"\npath = \"/sys/v\"\nclosed = 1\n");
    let lid = lid.unwrap().tamper.remove(0);
    assert_eq!(
        (lid.name.as_str(), lid.path.as_path(), lid.closed),
        ("lid", Path::new("/sys/v"), 1)
    );
    assert!(parse("tamper = []\n").unwrap().tamper.is_empty());
    assert!(parse("[[tamper]]\nkind = \"camera\"\n").is_err());
}

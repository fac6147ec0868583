//! Numbers of modems and SIMs against the real server, and its agent: bound, changed, shared, held
//! and accepted; and nowhere in the clear.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::Path;
use std::time::Duration;

use lazaret_tests::http::{Answer, Connection};
use lazaret_tests::peer::{Peer, poll};
use lazaret_tests::programs::{self, Programs};
use lazaret_tests::site::Site;
use lazaret_tests::wait;
use serde_json::{Value, json};

const IMEI: &str = "490154203237518";
const CARD: &str = "8944500102198304826";
const OTHER_CARD: &str = "8944500102198304834";
const IMSI: &str = "234500000012345";

fn site(settings: &str) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    let path = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{settings}")).unwrap();
    site.init().unwrap();
    site.start_server().unwrap();
    (folder, site)
}

fn events(site: &Site, kind: &str) -> Vec<Value> {
    let events = site.events().unwrap().into_iter().map(|event| event["event"].clone());
    events.filter(|event| event["event"] == kind).collect()
}

fn say(connection: &mut Connection, sequence: u64, posture: &Value) -> Answer {
    let mut request = poll(sequence);
    request["posture"] = posture.clone();
    connection.tell("POST", "/v1/poll", &request).unwrap()
}

/// Whether one of the numbers stands in any file of a folder.
fn found_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for number in [IMEI, CARD, OTHER_CARD, IMSI] {
            if bytes.windows(number.len()).any(|part| part == number.as_bytes()) {
                found.push(format!("{number} in {}", path.display()));
            }
        }
    }
    found
}

#[test]
fn a_number_that_changed_or_is_shared_is_an_event_and_nowhere_in_the_clear() {
    let (_folder, site) = site("");
    let (one, two) = (Peer::enrol(&site, "d-1").unwrap(), Peer::enrol(&site, "d-2").unwrap());
    let (mut one, mut two) = (one.connect(&site).unwrap(), two.connect(&site).unwrap());
    let numbers = |card: &str| json!({"subscriber": {"imei": IMEI, "iccid": card, "imsi": IMSI}});
    assert_eq!(say(&mut one, 1, &numbers(CARD)).status, 200);
    assert_eq!(say(&mut one, 2, &numbers(CARD)).status, 200);
    assert_eq!(events(&site, "number-changed"), Vec::<Value>::new());
    // As modems print it, among the attributes.
    let printed = format!("\"{OTHER_CARD}F\"");
    let named = json!({"attributes": {"ICCID": printed, "site": "lyon"}});
    assert_eq!(say(&mut one, 3, &named).status, 200);
    let changed = events(&site, "number-changed");
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!((&changed[0]["kind"], &changed[0]["held"]), (&json!("iccid"), &json!(false)));
    assert_ne!(changed[0]["expected"], changed[0]["got"]);
    let view = site.lazaret(&["device", "show", "d-1"]).unwrap();
    assert_eq!(view["attributes"], json!({"site": "lyon"}));
    assert!(view["numbers"]["imei"]["changed"].is_null(), "{view}");
    assert_eq!(view["numbers"]["iccid"]["changed"]["held"], json!(false), "{view}");
    // Whoever is alerted and not held is served as before.
    assert_eq!(one.look("/v1/device").unwrap().status, 200);
    // The first device's card in the second one: both are named.
    assert_eq!(say(&mut two, 1, &json!({"subscriber": {"iccid": CARD}})).status, 200);
    let shared = events(&site, "number-shared");
    assert_eq!((&shared[0]["device"], &shared[0]["with"]), (&json!("d-1"), &json!("d-2")));
    // What is no number is passed over.
    for odd in ["", "123", "89445001021983048x6", "8944500102198304827"] {
        let answer = say(&mut two, 2, &json!({"subscriber": {"iccid": odd}}));
        assert!([200, 409].contains(&answer.status), "{answer:?}");
    }
    let everything = site.events().unwrap();
    for number in [IMEI, CARD, OTHER_CARD, IMSI] {
        assert!(!format!("{everything:?}").contains(number), "{number} in {everything:?}");
    }
    drop((one, two));
    assert_eq!(found_in(&site.folder), Vec::<String>::new());
}

#[test]
fn a_device_is_held_until_an_operator_accepts_its_new_card() {
    let (folder, site) = site("[binding]\niccid = \"enforce\"\nimei = \"off\"\n");
    let file = folder.path().join("fleet.csv");
    let claim = "abcdefghijklmnopqrstuv";
    let list = format!("serial,device,model,claim,iccid\nsn-d-1,d-1,gw2,{claim},{CARD}\n");
    std::fs::write(&file, list).unwrap();
    let file = file.display().to_string();
    site.lazaret(&["device", "import", &file, "--reason", "test"]).unwrap();
    let device = site.set_up("d-1", "sn-d-1").unwrap();
    std::fs::write(device.folder.join("claim"), claim).unwrap();
    let path = device.folder.join("agent.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen(
        "\n[[probes]]",
        "\nclaim_file = \"claim\"\nposture_seconds = 1\n\n[[probes]]",
        1,
    );
    let card = device.folder.join("card");
    let command = format!(
        "{text}\n[[attributes]]\nname = \"iccid\"\ncommand = [\"cat\", {card:?}]\n\
         [[attributes]]\nname = \"imei\"\nvalue = \"{IMEI}\"\n"
    );
    std::fs::write(&path, command).unwrap();
    std::fs::write(&card, CARD).unwrap();
    let mut device = device;
    device.start().unwrap();
    let shows = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        wait::until(what, Duration::from_secs(90), || {
            let Ok(view) = site.lazaret(&["device", "show", "d-1"]) else { return Ok(None) };
            Ok(wanted(&view).then_some(view))
        })
        .unwrap_or_else(|err| panic!("{err}\n{}", device.log_tail().unwrap_or_default()))
    };
    let view = shows("the device to poll", &|view| view["polls"].as_u64() > Some(2));
    assert!(view["numbers"]["iccid"]["changed"].is_null(), "{view}");
    assert!(view["numbers"]["imei"].is_null(), "what is off is not kept: {view}");
    std::fs::write(&card, format!("{OTHER_CARD}\n")).unwrap();
    let held = |view: &Value| view["numbers"]["iccid"]["changed"]["held"] == json!(true);
    shows("the device to be held", &held);
    let changed = events(&site, "number-changed");
    assert_eq!((changed.len(), &changed[0]["held"]), (1, &json!(true)), "{changed:?}");
    let why = site.lazaret(&["why", "d-1"]).unwrap();
    assert!(why["gate"] == "not-in-plan" || why["gate"] == "number-changed", "{why}");
    // Putting the card back lets nobody out.
    std::fs::write(&card, CARD).unwrap();
    let before = view["polls"].as_u64().unwrap();
    assert!(held(&shows("more polls", &|view| view["polls"].as_u64() > Some(before + 3))));
    let accepted = ["device", "accept-swap", "d-1", "--reason", "new card"];
    let view = site.lazaret(&accepted).unwrap();
    assert!(view["numbers"]["iccid"]["changed"].is_null(), "{view}");
    let again = programs::output(&mut site.cli("ana", &accepted)).unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("conflict"));
    assert_eq!(events(&site, "swap-accepted").len(), 1);
    device.kill().unwrap();
    std::fs::remove_file(&card).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(found_in(&site.folder), Vec::<String>::new());
}

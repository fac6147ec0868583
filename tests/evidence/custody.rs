//! What the server keeps: holds beat retention, deletion is recorded, and bytes that are gone or
//! rotten are said to be.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "all of this is a test")]

use std::path::PathBuf;

use lazaret_tests::programs;
use lazaret_tests::wait;
use serde_json::{Value, json};

use crate::put;
use crate::stock::Pulled;

impl Pulled {
    fn view(&self) -> Value {
        let page = self.site.lazaret(&["evidence", "list", "--device", "d-1"]).unwrap();
        let items = page["items"].as_array().unwrap();
        items.iter().find(|it| it["id"] == self.bundle.as_str()).unwrap().clone()
    }

    fn acts(&self) -> Vec<String> {
        let view = self.view();
        let acts = view["custody"].as_array().unwrap().iter();
        acts.map(|act| act["act"].as_str().unwrap().to_owned()).collect()
    }

    /// Where the server has the bytes of the bundle.
    fn blob(&self) -> PathBuf {
        let sha256 = self.view()["sha256"].as_str().unwrap().to_owned();
        self.site.folder.join("data/evidence").join(&sha256[..2]).join(&sha256)
    }

    fn scrub(&self) -> (bool, Value) {
        let mut command = self.site.cli("ana", &["evidence", "scrub"]);
        let output = programs::output(&mut command).unwrap();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Starts the server anew, keeping evidence no longer than today.
    fn keep_nothing(&mut self) {
        self.site.kill_server().unwrap();
        let path = self.site.folder.join("server.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("[evidence]") {
            put(&path, format!("{text}\n[evidence]\nkept_days = 0\n"));
        }
        self.site.start_server().unwrap();
    }
}

#[test]
fn rotten_and_missing_bytes_are_found_and_said() {
    let pulled = Pulled::new();
    assert_eq!(pulled.scrub(), (true, json!({ "read": 1, "damaged": [] })));
    let blob = pulled.blob();
    let whole = std::fs::read(&blob).unwrap();
    let mut rotten = whole.clone();
    rotten[100] ^= 1;
    for (bytes, says) in [(Some(rotten), "expected bytes with the digest"), (None, "are missing")] {
        std::fs::remove_file(&blob).unwrap();
        if let Some(bytes) = bytes {
            put(&blob, bytes);
        }
        let (whole, reply) = pulled.scrub();
        let why = reply["damaged"][0]["damage"].as_str().unwrap_or_default();
        assert!(!whole && why.contains(says), "{reply:#}");
        assert!(pulled.view()["damage"].as_str().unwrap().contains(says));
        if says == "are missing" {
            break;
        }
    }
    put(&blob, whole);
    assert!(pulled.scrub().0);
    let acts = pulled.acts();
    assert_eq!(acts, ["ordered", "received", "pulled", "damaged", "damaged", "whole"]);
}

#[test]
fn the_heads_of_a_devices_log_stand_in_the_log_of_the_server() {
    let pulled = Pulled::new();
    let heads = pulled.site.lazaret(&["audit", "show", "--what", "log head"]).unwrap();
    let heads = heads["items"].as_array().unwrap();
    let details: Vec<&str> =
        heads.iter().map(|head| head["act"]["detail"].as_str().unwrap()).collect();
    assert!(heads.iter().all(|head| head["act"]["target"] == "d-1"), "{heads:#?}");
    for ring in ["security", "operations"] {
        assert!(details.iter().any(|detail| detail.starts_with(ring)), "{details:?}");
    }
}

#[test]
fn a_legal_hold_beats_retention_and_deletion_is_recorded() {
    let mut pulled = Pulled::new();
    let bundle = pulled.bundle.clone();
    let hold = ["evidence", "hold", bundle.as_str(), "--reason", "court order 7"];
    let view = pulled.site.lazaret(&hold).unwrap();
    assert_eq!(view["held_by"], json!(["ana"]));
    let blob = pulled.blob();
    pulled.keep_nothing();
    // Retention runs at the start, and reads everything back after it.
    pulled.scrub();
    assert!(blob.exists() && pulled.view()["state"] == "received");
    let lift = ["evidence", "hold", bundle.as_str(), "--lift", "--reason", "case closed"];
    pulled.site.lazaret(&lift).unwrap();
    pulled.keep_nothing();
    wait::until("the bundle to be deleted", std::time::Duration::from_secs(30), || {
        Ok((pulled.view()["state"] == "deleted" && !blob.exists()).then_some(()))
    })
    .unwrap();
    assert_eq!(pulled.acts(), ["ordered", "received", "pulled", "held", "freed", "deleted"]);
    let out = pulled.file.with_file_name("again.age");
    let pull = ["evidence", "pull", "d-1", "--bundle", &bundle, "--out", &programs::arg(&out)];
    let refused = programs::output(&mut pulled.site.cli("ana", &pull)).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("was deleted"), "{said}");
}

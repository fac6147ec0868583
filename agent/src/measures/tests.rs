//! What holds for every measure, tried on a double of systemctl: applied, tried, applied again by
//! another process, taken back.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use lazaret_protocol::containment::Level;

use super::services::Services;
use super::*;

/// A systemctl that keeps a unit's state in files: `masked-UNIT` and `active-UNIT`.
const DOUBLE: &str = r#"#!/bin/sh
here=$(dirname "$0")
verb=$1; shift
for unit; do :; done
case $verb in
  show)
    if [ ! -e "$here/unit-$unit" ]; then
      echo LoadState=not-found; echo ActiveState=inactive; exit
    fi
    if [ -e "$here/masked-$unit" ]; then echo LoadState=masked; else echo LoadState=loaded; fi
    if [ -e "$here/active-$unit" ]; then echo ActiveState=active; exit; fi
    echo ActiveState=inactive ;;
  mask) touch "$here/masked-$unit"; [ -e "$here/stubborn" ] || rm -f "$here/active-$unit" ;;
  unmask) rm -f "$here/masked-$unit" ;;
  start) [ -e "$here/masked-$unit" ] || touch "$here/active-$unit" ;;
esac
"#;

struct Machine {
    folder: tempfile::TempDir,
    terms: Terms,
    durable: Durable,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("systemctl");
        std::fs::write(&path, DOUBLE).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for unit in ["app.service", "ssh.service", "old.service"] {
            std::fs::write(folder.path().join(format!("unit-{unit}")), "").unwrap();
        }
        let stop = ["app.service", "old.service", "gone.service"];
        let stop = stop.iter().map(|unit| unit.parse().unwrap()).collect();
        let machine = Self {
            folder,
            terms: Terms { stop, ..Terms::of(Level::Isolate) },
            durable: Durable::default(),
        };
        std::fs::write(machine.file("active-app.service"), "").unwrap();
        std::fs::write(machine.file("active-ssh.service"), "").unwrap();
        std::fs::write(machine.file("masked-old.service"), "").unwrap();
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { terms: &self.terms, folder: self.folder.path(), durable: &self.durable }
    }

    fn services(&self) -> Services {
        Services { systemctl: self.file("systemctl").to_string_lossy().into_owned() }
    }
}

#[test]
fn units_are_stopped_tried_and_given_back_as_they_were() {
    let machine = Machine::new();
    assert!(machine.services().verify(machine.wanted()).is_err(), "nothing is stopped yet");
    machine.services().apply(machine.wanted()).unwrap();
    assert_eq!(machine.services().verify(machine.wanted()), Ok(()));
    assert!(!machine.file("active-app.service").exists());
    assert!(machine.file("active-ssh.service").exists(), "nobody named it");
    // After a restart another process does the same again, and still knows what to give back.
    machine.services().apply(machine.wanted()).unwrap();
    machine.services().undo(machine.folder.path()).unwrap();
    assert!(machine.file("active-app.service").exists());
    assert!(machine.file("masked-old.service").exists(), "it was masked before");
    machine.services().undo(machine.folder.path()).unwrap();
}

#[test]
fn a_unit_that_goes_on_is_said() {
    let machine = Machine::new();
    std::fs::write(machine.file("stubborn"), "").unwrap();
    machine.services().apply(machine.wanted()).unwrap();
    let failure = machine.services().verify(machine.wanted()).unwrap_err();
    assert!(failure.why.contains("app.service"), "{failure}");
}

#[test]
fn terms_ask_for_the_measures_of_their_level_and_no_others() {
    let asked = |terms: &Terms| -> Vec<&str> {
        MEASURES.iter().filter(|(_, asked, _)| asked(terms)).map(|(name, ..)| *name).collect()
    };
    assert_eq!(asked(&Terms::of(Level::Restrict)), [""; 0]);
    assert_eq!(asked(&Terms::of(Level::Isolate)), ["nftables"]);
    assert_eq!(asked(&Machine::new().terms), ["nftables", "services"]);
}

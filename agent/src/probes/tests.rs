//! Each probe passes and fails for the right reason, and none can hold the agent up.

use std::path::Path;

use super::*;
use crate::config::{Config, ConfigError};
use crate::program::OUTPUT_BYTES_MAX;

fn look(table: &str) -> Result<(), ProbeFailure> {
    let text = format!(
        "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\nstate_dir = \"s\"\n\
         slots_dir = \"s\"\nmodel = \"m\"\nserial = \"s\"\nallow_software_keys = true\n\
         [[probes]]\nname = \"p\"\n{table}\n"
    );
    let config = match Config::parse(&text, Path::new("/")) {
        Ok(config) => config,
        Err(ConfigError::Wrong { problems }) => panic!("{problems:?}"),
        Err(other) => panic!("{other}"),
    };
    let transport = Transport::plain("http://127.0.0.1:1");
    let around = Surroundings { image: Path::new("/image"), slot: "b", transport: &transport };
    let probe = &config.probes[0];
    probe.probe.look(&around, probe.timeout_ms)
}

#[test]
fn a_command_is_judged_by_its_exit_code_and_sees_the_image() {
    let script = "kind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"SCRIPT\"]";
    assert_eq!(
        look(&script.replace("SCRIPT", "test $LAZARET_IMAGE = /image -a $LAZARET_SLOT = b")),
        Ok(())
    );
    assert_eq!(look(&script.replace("SCRIPT", "test -z $CARGO_TARGET_DIR")), Ok(()));
    let failure = look(&script.replace("SCRIPT", "echo bad disk; exit 3")).unwrap_err();
    assert_eq!(failure.why, "expected exit code 0, got exit code 3");
    assert_eq!(failure.output, "bad disk\n");
}

#[test]
fn a_command_that_does_not_end_is_killed_with_all_it_started() {
    let table = "kind = \"command\"\ntimeout_ms = 100\n\
                 command = [\"/bin/sh\", \"-c\", \"echo begun; sleep 1000 & sleep 1000\"]";
    let failure = look(table).unwrap_err();
    assert_eq!(failure.why, "expected an end within 100 ms, and it still ran");
    assert_eq!(failure.output, "begun\n");
}

#[test]
fn a_command_that_prints_without_end_is_cut_to_its_last_bytes() {
    let table = "kind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"seq 1 100000; exit 1\"]";
    let failure = look(table).unwrap_err();
    assert!(failure.output.len() <= OUTPUT_BYTES_MAX);
    assert!(failure.output.ends_with("100000\n"));
}

#[test]
fn a_program_that_is_not_there_is_a_failure_and_no_crash() {
    let failure = look("kind = \"command\"\ncommand = [\"/nowhere\"]").unwrap_err();
    assert!(failure.why.starts_with("/nowhere cannot be run: "), "{}", failure.why);
}

#[test]
fn files_space_and_server_are_looked_at() {
    assert_eq!(look("kind = \"file\"\npath = \"/proc/self\""), Ok(()));
    let failure = look("kind = \"file\"\npath = \"/nowhere\"").unwrap_err();
    assert_eq!(failure.why, "expected /nowhere to exist");
    assert_eq!(look("kind = \"space\"\npath = \"/tmp\"\nfree_bytes = 1"), Ok(()));
    let full = format!("kind = \"space\"\npath = \"/tmp\"\nfree_bytes = {}", i64::MAX);
    assert!(look(&full).is_err());
    assert!(look("kind = \"server\"\ntimeout_ms = 200").is_err());
}

#[test]
fn a_probe_has_so_many_tries_and_no_more() {
    let probe =
        ProbeConfig { name: "p".into(), timeout_ms: 1, attempts: 2, probe: Box::new(AlwaysBad) };
    let probes = [probe];
    let transport = Transport::plain("http://127.0.0.1:1");
    let around = Surroundings { image: Path::new("/image"), slot: "b", transport: &transport };
    let mut round = Round::default();
    let left = |results: Vec<ProbeResult>| match &results[0].finding {
        Finding::Failed { tries_left, .. } => *tries_left,
        Finding::Passed => panic!("it passed"),
    };
    assert_eq!(left(round.look(&probes, &around)), 1);
    assert_eq!(left(round.look(&probes, &around)), 0);
}

#[derive(Debug)]
struct AlwaysBad;

impl Probe for AlwaysBad {
    fn look(&self, _: &Surroundings<'_>, _: u64) -> Result<(), ProbeFailure> {
        Err(ProbeFailure::because("bad"))
    }
}

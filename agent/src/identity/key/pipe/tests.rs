//! Helpers that die, stall and talk nonsense: shell scripts, each with a file in which it notes
//! its starts.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

/// A point of the right length; nothing here computes with it.
const POINT: [u8; 65] = [4; 65];

/// What the scripts say to `create` and `public`.
fn public(point: [u8; 65]) -> String {
    let public = serde_json::to_string(&PublicKey::EcdsaP256(point.to_vec())).unwrap();
    format!("{{\"public\":{public}}}")
}

/// Starts a helper whose answer to `sign` is `on_sign`, in the shell. The folder holds the file
/// `starts` with a line per start, and `public`, which is what it answers to the rest.
fn helper(on_sign: &str, timeout_ms: u64) -> (TempDir, Result<Helper, KeyError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("helper");
    let script = format!(
        "#!/bin/sh\ncd {}\necho $$ >> starts\nwhile read -r line; do case \"$line\" in\n\
         *sign*) {on_sign} ;;\n*) cat public ;;\nesac; done\n",
        folder.path().display()
    );
    std::fs::File::create(folder.path().join("public"))
        .and_then(|mut file| writeln!(file, "{}", public(POINT)))
        .unwrap();
    std::fs::File::create(&path).and_then(|mut file| file.write_all(script.as_bytes())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let store = HelperStore::Tpm2 { tcti: "none".into(), folder: None };
    let config = HelperConfig { program: Some(path), timeout_ms, store };
    let helper = Helper::start(&config, folder.path()).map(|(helper, point)| {
        assert_eq!(point, POINT);
        helper
    });
    (folder, helper)
}

fn starts(folder: &TempDir) -> Vec<String> {
    let starts = std::fs::read_to_string(folder.path().join("starts")).unwrap();
    starts.lines().map(str::to_owned).collect()
}

#[test]
fn a_helper_that_died_since_it_was_asked_is_started_again_and_answers() {
    // Else a device whose helper was killed once is silent until somebody restarts its agent.
    let (folder, helper) = helper("echo '{\"signature\":\"aGk=\"}'; exit 0", 20_000);
    let helper = helper.unwrap();
    for _ in 0..3 {
        assert_eq!(helper.sign(b"message").unwrap(), b"hi");
    }
    assert_eq!(starts(&folder).len(), 3);
}

#[test]
fn a_helper_that_stalls_is_ended_within_its_time_and_then_rests() {
    // Else a TPM that hangs takes the whole agent with it.
    let (folder, helper) = helper("sleep 1000", 300);
    let helper = helper.unwrap();
    assert!(matches!(helper.sign(b"message"), Err(KeyError::Late { ms: 300 })));
    let pid = starts(&folder).remove(0);
    assert!(!Path::new("/proc").join(pid).exists(), "the helper outlives its time");
    assert!(matches!(helper.sign(b"message"), Err(KeyError::Resting { failures: 1, .. })));
    assert_eq!(starts(&folder).len(), 1);
}

#[test]
fn who_fails_rests_for_longer_each_time_up_to_a_minute() {
    let rests: Vec<u64> = (1..=9).map(rest_ms).collect();
    assert_eq!(rests, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!(rest_ms(u32::MAX), 60_000);
}

#[test]
fn what_is_no_answer_is_refused_by_name() {
    let refused = |on_sign: &str| {
        let (_folder, helper) = helper(on_sign, 20_000);
        helper.unwrap().sign(b"message").unwrap_err()
    };
    let said = refused("echo '{\"error\":\"there is no\\u0007 key\"}'");
    assert!(matches!(said, KeyError::Refused { why } if why == "there is no key"));
    assert!(matches!(refused("echo nonsense"), KeyError::Malformed { .. }));
    assert!(matches!(refused("cat public"), KeyError::Malformed { .. }));
    // A line that never ends is not taken in.
    let endless = refused("tr '\\0' a < /dev/zero");
    assert!(matches!(endless, KeyError::Malformed { expected: "a line of at most 64 KiB" }));
    // It ends each time it is asked, so that starting it again does not help.
    assert!(matches!(refused("exit 1"), KeyError::Ended));
}

#[test]
fn another_key_in_the_store_is_noticed_when_the_helper_is_started_again() {
    // Else the device signs with a key that its certificate does not name.
    let (folder, helper) = helper("exit 1", 20_000);
    let helper = helper.unwrap();
    let mut other = POINT;
    other[64] ^= 1;
    let mut file = std::fs::File::create(folder.path().join("public")).unwrap();
    writeln!(file, "{}", public(other)).unwrap();
    assert!(matches!(helper.sign(b"message"), Err(KeyError::Changed { .. })));
}

#[test]
fn a_message_past_the_limit_and_a_missing_program_are_errors() {
    let (_folder, helper) = helper("exit 1", 20_000);
    let long = vec![0; MESSAGE_BYTES_MAX + 1];
    assert!(matches!(helper.unwrap().sign(&long), Err(KeyError::TooLong { .. })));
    let store = HelperStore::Tpm2 { tcti: "none".into(), folder: None };
    let config = HelperConfig { program: Some("/nowhere/helper".into()), timeout_ms: 100, store };
    let started = Helper::start(&config, Path::new("/nowhere"));
    assert!(matches!(started, Err(KeyError::NotStarted { .. })));
}

#[test]
fn each_store_is_told_to_the_helper_with_its_options() {
    let pkcs11 = HelperStore::Pkcs11 {
        module: "/m.so".into(),
        token: "device".into(),
        label: "key".into(),
        pin_file: "/pin".into(),
    };
    let said = arguments(&pkcs11, Path::new("/state"));
    let expected =
        "pkcs11 --module /m.so --token device --key key --pin-file /pin serve".split(' ');
    assert!(said.iter().map(|it| it.to_str().unwrap()).eq(expected), "{said:?}");
    let tpm2 = HelperStore::Tpm2 { tcti: "device:/dev/tpm0".into(), folder: None };
    let said = arguments(&tpm2, Path::new("/state"));
    let expected = "tpm2 --tcti device:/dev/tpm0 --folder /state/identity serve".split(' ');
    assert!(said.iter().map(|it| it.to_str().unwrap()).eq(expected), "{said:?}");
}

//! A configuration is taken whole or not at all, and everything that is wrong with it is said.

use super::*;

const GOOD: &str = r#"
server = "https://localhost:8443/"
server_ca = "ca.pem"
tuf_root = "/etc/root.json"
state_dir = "state"
slots_dir = "slots"
model = "gw2"
serial = "sn-1"
allow_software_keys = true

[[probes]]
kind = "command"
name = "app"
command = ["/bin/true"]
"#;

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, Path::new("/etc/lazaret")) {
        Err(ConfigError::Wrong { problems }) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn a_good_file_is_read_with_its_defaults_and_paths() {
    let config = Config::parse(GOOD, Path::new("/etc/lazaret")).unwrap();
    assert_eq!(config.server, "https://localhost:8443");
    assert_eq!(config.server_ca, Path::new("/etc/lazaret/ca.pem"));
    assert_eq!(config.tuf_root, Path::new("/etc/root.json"));
    assert_eq!((config.tries, config.trial_ms), (3, 300_000));
    assert_eq!(config.restart, Restart::Exec);
    assert_eq!(config.probes.len(), 1);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = r#"
server = "http://localhost:8443"
tuf_root = 7
state_dir = "state"
slots_dir = "slots"
model = "GW 2"
serial = "sn-1"
tries = 17
restart = "command"
bootloader = "lilo"
colour = "blue"
[[probes]]
kind = "command"
name = "app"
[[probes]]
kind = "weather"
name = "w"
"#;
    let problems = problems(text);
    let named: Vec<&str> = problems.iter().filter_map(|p| p.split(": ").next()).collect();
    assert_eq!(
        named,
        [
            "server",
            "server_ca",
            "tuf_root",
            "bootloader",
            "model",
            "restart_command",
            "tries",
            "allow_software_keys",
            "probes[0].command",
            "probes[1].kind",
            "colour",
        ]
    );
    assert!(problems.contains(&"tries: expected a number from 1 to 16, got 17".to_owned()));
}

#[test]
fn what_is_not_toml_is_said_with_its_place() {
    let problems = problems("server = ");
    assert!(problems[0].starts_with("expected TOML: "), "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("line 1")), "{problems:?}");
}

#[test]
fn every_setting_is_documented_and_every_documented_one_is_known() {
    let mut text = String::from(GOOD);
    for setting in SETTINGS {
        if !text.contains(&format!("\n{} = ", setting.name)) && setting.name != "probes" {
            // A date is the wrong type for every setting, so that each known one complains of it.
            text = format!("{} = 2026-01-01\n{text}", setting.name);
        }
    }
    let wrong = problems(&text);
    assert!(!wrong.iter().any(|p| p.ends_with("is not a setting")), "{wrong:?}");
    let asked = SETTINGS.iter().filter(|s| !GOOD.contains(&format!("\n{} = ", s.name))).count();
    // All but the probes, which are tables and good here.
    assert_eq!(wrong.len(), asked - 1, "{wrong:?}");
}

#[test]
fn mirrors_are_addresses_of_http_and_nothing_else() {
    let with = |mirrors: &str| GOOD.replacen('\n', &format!("\nmirrors = {mirrors}\n"), 1);
    let good = with(r#"["https://cdn.example/repo/", "http://10.0.0.2:8080"]"#);
    let config = Config::parse(&good, Path::new("/etc/lazaret")).unwrap();
    assert_eq!(config.mirrors, ["https://cdn.example/repo", "http://10.0.0.2:8080"]);
    for bad in [
        r#"["ftp://cdn.example"]"#,
        r#"["https://"]"#,
        r#"["https://user@cdn.example"]"#,
        r#"["https://cdn.example/?x=1"]"#,
        r#"["cdn.example"]"#,
    ] {
        let problems = problems(&with(bad));
        assert!(problems.iter().any(|problem| problem.starts_with("mirrors: ")), "{problems:?}");
    }
    let many = format!("[{}]", [r#""http://a""#; MIRRORS_MAX + 1].join(","));
    assert_eq!(problems(&with(&many)), ["mirrors: expected at most 8, got 9"]);
}

/// A good file whose key is not a file, with these lines in `[key]`.
fn with_key(lines: &str) -> String {
    format!("{}\n[key]\n{lines}\n", GOOD.replace("allow_software_keys = true\n", ""))
}

#[test]
fn a_key_in_hardware_needs_no_leave_for_software_keys() {
    let config = Config::parse(&with_key("store = \"tpm2\""), Path::new("/etc/lazaret")).unwrap();
    let tpm2 = HelperStore::Tpm2 { tcti: "device:/dev/tpmrm0".into(), folder: None };
    let helper = HelperConfig { program: None, timeout_ms: 30_000, store: tpm2 };
    assert_eq!(config.key, KeyConfig::Helper(helper));
    let text = with_key(
        "store = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = \"t\"\npin_file = \"pin\"\n\
         helper = \"keys\"\ntimeout_ms = 100",
    );
    let config = Config::parse(&text, Path::new("/etc/lazaret")).unwrap();
    let pkcs11 = HelperStore::Pkcs11 {
        module: "/m.so".into(),
        token: "t".into(),
        label: "lazaret-device".into(),
        pin_file: "/etc/lazaret/pin".into(),
    };
    let program = Some("/etc/lazaret/keys".into());
    let helper = HelperConfig { program, timeout_ms: 100, store: pkcs11 };
    assert_eq!(config.key, KeyConfig::Helper(helper));
    // Neither the helper nor the PIN is there.
    let missing: Vec<String> = config.key.problems().into_iter().map(|p| p.setting).collect();
    assert_eq!(missing, ["key.helper", "key.module", "key.pin_file"]);
}

#[test]
fn what_is_wrong_about_the_key_is_said_in_one_go() {
    let named = |lines: &str| -> Vec<String> { problems(&with_key(lines)) };
    let software = "allow_software_keys: expected true";
    assert!(named("")[0].starts_with(software));
    assert!(named("store = \"file\"")[0].starts_with(software));
    assert_eq!(
        named("store = \"tpm\""),
        ["key.store: expected one of file, tpm2, pkcs11, got \"tpm\""]
    );
    assert_eq!(
        named("store = \"pkcs11\""),
        ["key.module: is required", "key.token: is required", "key.pin_file: is required",]
    );
    assert_eq!(
        named("store = \"tpm2\"\ntoken = \"t\"\ncolour = 1\ntimeout_ms = 1"),
        [
            "key.timeout_ms: expected a number from 100 to 120000, got 1",
            "key.token: is no setting of store = \"tpm2\"",
            "key.colour: is not a setting",
        ]
    );
    let tcti = named("store = \"file\"\ntcti = \"device:/dev/tpm0\"");
    assert_eq!(tcti[0], "key.tcti: is no setting of store = \"file\"");
    let table = format!("key = 7\n{GOOD}");
    assert_eq!(problems(&table), ["key: expected a table [key], got 7"]);
}

#[test]
fn a_pin_that_others_may_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for name in ["pin", "module"] {
        std::fs::File::create(folder.path().join(name)).unwrap();
    }
    let text =
        with_key("store = \"pkcs11\"\nmodule = \"module\"\ntoken = \"t\"\npin_file = \"pin\"");
    let config = Config::parse(&text, folder.path()).unwrap();
    let named = |mode: u32| -> Vec<String> {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join("pin"), mode).unwrap();
        config.key.problems().into_iter().map(|problem| problem.setting).collect()
    };
    assert_eq!(named(0o644), ["key.pin_file"]);
    assert_eq!(named(0o600), Vec::<String>::new());
}

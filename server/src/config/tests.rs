//! Every setting that is wrong is named, all of them at once.

use super::*;

fn written(dir: &Path, text: &str) -> PathBuf {
    use std::io::Write as _;
    let path = dir.join("server.toml");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    path
}

const GOOD: &str = r#"
data = "data"
online_keys = "online"
[devices]
address = "127.0.0.1:8443"
certificate = "s.pem"
key = "s.key"
client_ca = "d.pem"
[operators]
address = "127.0.0.1:8443"
certificate = "s.pem"
key = "s.key"
client_ca = "o.pem"
[issuing]
certificate = "d.pem"
key = "d.key"
certificate_hours = 0
[polls]
interval_ms = 1
"#;

#[test]
fn every_wrong_setting_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&written(dir.path(), GOOD)).unwrap();
    let problems = config.problems();
    for name in [
        "polls.interval_ms",
        "issuing.certificate_hours",
        "operators.address",
        "devices.certificate",
        "issuing.key",
        "online_keys",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(name)), "{name} is not in {problems:#?}");
    }
}

#[test]
fn an_unknown_setting_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &format!("connection_max = 3\n{GOOD}"));
    assert!(matches!(Config::load(&path), Err(ConfigError::Malformed { .. })));
}

#[test]
fn paths_are_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&written(dir.path(), GOOD)).unwrap();
    assert_eq!(config.data, dir.path().join("data"));
}

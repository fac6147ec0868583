//! A page that names what is not there is found. If one of these failed, the pages could promise
//! tests that nobody wrote.

use std::fs;

use tempfile::TempDir;

use super::{check, settings};
use crate::finding::as_lines;
use crate::tree::{SourceFile, Tree};

/// What is found on a page with this text, in a tree with one source file and one other page.
fn found_on(page: &str) -> Vec<String> {
    let folder = TempDir::new().expect("a temporary folder");
    for (path, text) in [
        ("docs/page.md", page),
        ("docs/other.md", "# Other\n"),
        ("agent/src/drive.rs", "//! Drives.\n#[test]\nfn older_order_is_refused_durably() {}\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        let mut file = fs::File::create(path).expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    }
    let findings = check(&Tree::at(folder.path())).expect("the pages are read");
    findings.into_iter().map(|finding| finding.why).collect()
}

#[test]
fn link_to_nowhere_is_found() {
    let page = "[a](other.md#x) [b](../agent/src/drive.rs) [c](gone.md) [d](https://example.org)\n";
    assert_eq!(found_on(page), ["the link to gone.md leads nowhere"]);
}

#[test]
fn path_that_does_not_exist_is_found() {
    let page = "See `agent/src/drive.rs`, `agent/src/NAME.rs` and `agent/src/gone.rs`.\n";
    assert_eq!(found_on(page), ["there is no agent/src/gone.rs"]);
}

#[test]
fn test_that_does_not_exist_is_found() {
    let page =
        "`older_order_is_refused_durably` holds it, `newer_order_is_refused_too` does not.\n";
    assert_eq!(found_on(page), ["there is no test newer_order_is_refused_too"]);
}

/// One source file of each program, with one setting of each form.
fn settings_of_each_program() -> Vec<SourceFile> {
    let files = [
        (
            "server/src/config.rs",
            "struct Config { pub(crate) data: PathBuf, #[serde(default)] polls: PollConfig,\n\
             audit: Option<AuditConfig> }\n\
             struct AuditConfig { origin: Option<String> }\n\
             struct PollConfig { interval_ms: u64 }\n",
        ),
        (
            "agent/src/config/settings.rs",
            "const S: &[Setting] = &[setting(\"tries\", \"3\", \"starts\")];\n",
        ),
        (
            "agent/src/probes.rs",
            "fn a(from: &mut Reader) { from.number(\"timeout_ms\", 1, 1..=2); }\n",
        ),
        ("agent/src/probes/file.rs", "fn a(from: &mut Reader) { from.path(\"path\"); }\n"),
        ("cli/src/settings.rs", "struct ConfigFile { server_ca: Option<PathBuf> }\n"),
    ];
    let file = |(path, text): (&str, &str)| SourceFile { path: path.into(), text: text.into() };
    files.map(file).into()
}

const SETTINGS_PAGE: &str = "## Server\n| `data` | x |\n| `polls.interval_ms` | x |\n\
    | `audit.origin` | x |\n\
    ## Agent\n| `tries` | x |\n| `probes.timeout_ms` | x |\n| `probes.path` | x |\n\
    ## Command line\n| `server_ca` | x |\n";

fn found_among_settings(page: &str) -> Vec<(String, String)> {
    let findings = settings::check(&settings_of_each_program(), page);
    findings.into_iter().map(|finding| (finding.place, finding.why)).collect()
}

#[test]
fn setting_without_a_row_is_found_in_each_program() {
    assert_eq!(found_among_settings(SETTINGS_PAGE), []);
    for (key, heading, source) in [
        ("data", "Server", "server/src/config.rs"),
        ("polls.interval_ms", "Server", "server/src/config.rs"),
        ("audit.origin", "Server", "server/src/config.rs"),
        ("tries", "Agent", "agent/src/config/settings.rs"),
        ("probes.timeout_ms", "Agent", "agent/src/probes.rs"),
        ("probes.path", "Agent", "agent/src/probes/file.rs"),
        ("server_ca", "Command line", "cli/src/settings.rs"),
    ] {
        let page = SETTINGS_PAGE.replace(&format!("| `{key}` | x |\n"), "");
        let why = format!("`{key}` has no row under {heading} in docs/CONFIG.md");
        assert_eq!(found_among_settings(&page), [(source.to_owned(), why)]);
    }
}

#[test]
fn row_of_a_setting_that_the_program_does_not_have_is_found() {
    let page = SETTINGS_PAGE.replace("| `data`", "| `tries` | x |\n| `data`");
    let why = "no source has a setting `tries` for Server".to_owned();
    assert_eq!(found_among_settings(&page), [("docs/CONFIG.md:2".to_owned(), why)]);
}

#[test]
fn this_trees_pages_name_only_what_is_there() {
    let findings = check(&Tree::of_this_workspace()).expect("the pages are read");
    assert!(findings.is_empty(), "{}", as_lines(&findings));
}

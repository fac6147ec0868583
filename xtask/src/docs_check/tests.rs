//! A page that names what is not there is found. If one of these failed, the pages could promise
//! tests that nobody wrote.

use std::fs;

use tempfile::TempDir;

use super::check;
use crate::finding::as_lines;
use crate::tree::Tree;

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

#[test]
fn this_trees_pages_name_only_what_is_there() {
    let findings = check(&Tree::of_this_workspace()).expect("the pages are read");
    assert!(findings.is_empty(), "{}", as_lines(&findings));
}

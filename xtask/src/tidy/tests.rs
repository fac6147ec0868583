//! Each rule meets a planted violation, and a clean file beside it. If one of these failed, a rule
//! of STYLE would be a wish.

use std::fs;

use tempfile::TempDir;

use super::{changelog, check, codes, manifests, names, texts};
use crate::finding::{Finding, as_lines};
use crate::tree::{SourceFile, Tree};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fn rules(findings: &[Finding]) -> Vec<(&'static str, &str)> {
    findings.iter().map(|finding| (finding.rule, finding.place.as_str())).collect()
}

#[test]
fn this_tree_is_tidy() {
    let findings = check(&Tree::of_this_workspace()).expect("this tree is checked");
    assert!(findings.is_empty(), "{}", as_lines(&findings));
}

#[test]
fn line_over_a_hundred_columns_is_found_and_one_of_a_hundred_is_not() {
    let fits = format!("//! {}\n", "ab ".repeat(32));
    let wide = format!("//! {}c\n", "ab ".repeat(32));
    assert_eq!(texts::check(&file("cli/src/a.rs", &fits)), []);
    let found = texts::check(&file("cli/src/a.rs", &wide));
    assert_eq!(rules(&found), [("columns", "cli/src/a.rs:1")]);
}

#[test]
fn columns_are_characters_and_an_unbreakable_word_may_stand_out() {
    let umlauts = format!("//! {}\n", "ä ".repeat(47));
    assert_eq!(texts::check(&file("cli/src/a.rs", &umlauts)), []);
    let digest = format!("//! Words.\nconst A: &str = \"{}\";\n", "0".repeat(120));
    assert_eq!(texts::check(&file("cli/src/a.rs", &digest)), []);
}

#[test]
fn file_that_does_not_say_what_lives_in_it_is_found() {
    let found = texts::check(&file("cli/src/a.rs", "use std::fs;\n"));
    assert_eq!(rules(&found), [("opening", "cli/src/a.rs:1")]);
}

#[test]
fn file_over_five_hundred_lines_is_found_but_its_tests_are_not_counted() {
    let long = format!("//! Words.\n{}", "const A: u8 = 0;\n".repeat(500));
    assert_eq!(rules(&texts::check(&file("cli/src/a.rs", &long))), [("length", "cli/src/a.rs")]);
    assert_eq!(texts::check(&file("cli/src/a/tests.rs", &long)), []);
    let inline =
        format!("//! Words.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "const A: u8 = 0;\n".repeat(500));
    assert_eq!(texts::check(&file("cli/src/a.rs", &inline)), []);
}

#[test]
fn word_that_puts_work_off_is_found() {
    let ignored = concat!("#[", "ignore]\n");
    let panics = concat!("#[should", "_panic]\n");
    for line in [
        concat!("fn a() { to", "do!() }\n"),
        concat!("fn a() { unimple", "mented!() }\n"),
        concat!("fn a() { d", "bg!(1) }\n"),
        concat!("// FIX", "ME: later\n"),
        concat!("// XX", "X later\n"),
        ignored,
        panics,
    ] {
        let found = texts::check(&file("cli/src/tests.rs", &format!("//! Words.\n{line}")));
        assert_eq!(rules(&found), [("words", "cli/src/tests.rs:2")], "{line}");
    }
}

#[test]
fn banned_word_inside_another_word_or_a_string_is_not_found() {
    let text = "//! Words.\nconst A: &str = \"todo! lazaret-XXXXXX\";\n";
    assert_eq!(texts::check(&file("cli/src/a.rs", text)), []);
}

#[test]
fn name_that_names_no_room_is_found() {
    let found = names::check(&file("cli/src/string_utils.rs", "//! Words.\n"));
    assert_eq!(rules(&found), [("names", "cli/src/string_utils.rs")]);
    let found = names::check(&file("cli/src/main.rs", "//! Words.\n\nmod test_helper;\n"));
    assert_eq!(rules(&found), [("names", "cli/src/main.rs:3")]);
    assert_eq!(names::check(&file("cli/src/commonwealth.rs", "//! Words.\n")), []);
}

#[test]
fn mod_rs_that_does_work_is_found() {
    for item in [
        "fn work() { if true {} }",
        "pub(crate) struct Work { a: u8 }",
        "pub const fn work() -> u8 { 0 }",
        "impl Work { fn a() {} }",
        "mod inline { fn work() {} }",
    ] {
        let text = format!("//! Rooms.\n\nmod sled;\n\n{item}\nuse sled::A;\n");
        let found = names::check(&file("server/src/http/mod.rs", &text));
        assert_eq!(rules(&found), [("mod-rs", "server/src/http/mod.rs:5")], "{item}");
    }
}

#[test]
fn mod_rs_that_lists_rooms_is_clean() {
    let text = "//! Rooms.\n\nmod grub;\npub mod uboot;\npub(crate) use grub::{A, B};\n\n/// All.\n\
                pub const ALL: &[Row] = &[Row { name: \"grub\" }];\n\n#[cfg(test)]\nmod tests { fn \
                t() {} }\n";
    assert_eq!(names::check(&file("agent/src/slots/mod.rs", text)), []);
}

#[test]
fn crate_with_lints_of_its_own_is_found() {
    let folder = TempDir::new().expect("a temporary folder");
    let tree = Tree::at(folder.path());
    let write = |path: &str, text: &str| {
        let path = tree.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::copy(text_file(text).path(), path).expect("written");
    };
    write("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n");
    write("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n");
    write("b/Cargo.toml", "[package]\nname = \"b\"\n");
    let found = manifests::check(&tree).expect("the manifests are read");
    assert_eq!(rules(&found), [("lints", "b/Cargo.toml")]);
}

fn text_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    file
}

#[test]
fn code_without_a_row_and_row_without_a_code_are_found() {
    let refusal = file(
        "protocol/src/refusal.rs",
        "//! R.\nconst fn as_str(self) -> &'static str { match self { A => \"not-found\" } }\n",
    );
    let error = file(
        "protocol/tuf/src/error.rs",
        "//! E.\nfn code(&self) -> &'static str { match self { B => \"tuf-expired\" } }\n",
    );
    let page = "# Errors\n\n| code | meaning |\n|---|---|\n| `not-found` | a |\n| `gone` | b |\n";
    let found = codes::check(&[refusal, error], page);
    assert_eq!(
        rules(&found),
        [("codes", "protocol/tuf/src/error.rs"), ("codes", "docs/ERRORS.md:6")]
    );
}

#[test]
fn code_that_is_given_in_place_needs_a_row() {
    for line in [
        "fn a() { refuse(next, order, \"no-space\", Reason::new(\"not a code\")) }",
        "fn a() { LogEvent::Refused { order, code: \"no-space\".into() } }",
        "fn a() { return Some((\"no-space\", text)); }",
        "fn a() { let code = match b { C => \"no-space\" }; }",
    ] {
        let file = file("agent/core/src/offer.rs", &format!("//! O.\n{line}\n"));
        let found = codes::check(&[file], "");
        assert_eq!(rules(&found), [("codes", "agent/core/src/offer.rs")], "{line}");
    }
}

#[test]
fn error_text_that_is_a_sentence_is_found() {
    for text in ["It broke", "it broke."] {
        let text = format!("//! E.\n#[error(\"{text}\")]\nstruct E;\n");
        let found = texts::check(&file("cli/src/a.rs", &text));
        assert_eq!(rules(&found), [("error-text", "cli/src/a.rs:2")]);
    }
    for text in ["it broke", "TLS broke", "{what} broke", "\u{0}"] {
        let text = format!("//! E.\n#[error(\"{text}\")]\nstruct E;\n");
        assert_eq!(texts::check(&file("cli/src/a.rs", &text)), []);
    }
}

#[test]
fn changelog_of_another_form_is_found() {
    let good = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A\n\n## [0.1.0] - 2026-11-23\n";
    assert_eq!(changelog::check(good), []);
    for (bad, place) in [
        (good.replace("## [Unreleased]", ""), "CHANGELOG.md"),
        (good.replace("### Added", "### News"), "CHANGELOG.md:5"),
        (good.replace("[0.1.0] - 2026-11-23", "0.1"), "CHANGELOG.md:9"),
    ] {
        assert_eq!(rules(&changelog::check(&bad)), [("changelog", place)]);
    }
}

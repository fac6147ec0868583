//! The changelog keeps the form of Keep a Changelog 1.1.0: what is not released yet comes first,
//! and every change stands under one of six headings.

use crate::finding::Finding;

/// The page.
pub(crate) const PAGE: &str = "CHANGELOG.md";
const RULE: &str = "changelog";
/// The headings there are.
const HEADINGS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// All that is wrong with the form of `page`.
pub(crate) fn check(page: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let releases = (1..)
        .zip(page.lines())
        .filter_map(|(number, line)| line.strip_prefix("## ").map(|release| (number, release)));
    match releases.clone().next() {
        Some((_, "[Unreleased]")) => {}
        _ => findings.push(Finding::at(PAGE, RULE, "expected `## [Unreleased]` to come first")),
    }
    for (number, release) in releases.filter(|(_, release)| *release != "[Unreleased]") {
        if !is_dated_version(release) {
            let why = format!("expected `[1.2.3] - 2026-11-23`, got {release}");
            findings.push(Finding::on(PAGE, number, RULE, why));
        }
    }
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(heading) = line.strip_prefix("### ").filter(|h| !HEADINGS.contains(h)) {
            let why = format!("expected one of {}, got {heading}", HEADINGS.join(", "));
            findings.push(Finding::on(PAGE, number, RULE, why));
        }
    }
    findings
}

fn is_dated_version(release: &str) -> bool {
    let Some((version, date)) = release.split_once(" - ") else { return false };
    let parts = version.trim_matches(['[', ']']).split('.');
    let numbers = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let dated = date.len() == 10 && date.split('-').all(numbers);
    version.starts_with('[')
        && parts.clone().count() == 3
        && parts.into_iter().all(numbers)
        && dated
}

//! What sweeps are fed with: bills of materials, advisories, and what people type to name a
//! component. The files come from whoever makes software and whoever finds its faults.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_server_domain::sweep::{
    AFFECTED_MAX, COMPONENTS_MAX, Component, Package, Read, Wanted, csaf, cyclonedx, osv,
};

pub(crate) fn bill_seeds() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    let bill = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{{"name":"openssl",
        "version":"3.0.13","purl":"pkg:deb/debian/openssl@3.0.13-1?arch=arm64","components":[
        {{"name":"libssl","hashes":[{{"alg":"SHA-256","content":"{hash}"}}]}}]}}]}}"#
    );
    vec![bill.into_bytes()]
}

pub(crate) fn bill(input: &[u8]) {
    let Ok(file) = serde_json::from_slice::<cyclonedx::File>(input) else { return };
    let _ = file.format();
    let Ok(components) = file.components() else { return };
    assert!(components.len() <= COMPONENTS_MAX, "{} components", components.len());
    for component in &components {
        kept(component);
    }
}

pub(crate) fn osv_seeds() -> Vec<Vec<u8>> {
    let advisory = r#"{"id":"OSV-1","aliases":["CVE-2026-1"],"summary":"x","affected":[{"package":
        {"ecosystem":"Debian:12","name":"openssl","purl":"pkg:deb/debian/openssl"},"ranges":[{
        "type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.14-1"},{"introduced":"3.1"},
        {"last_affected":"3.1.2"}]},{"type":"GIT","events":[]}],"versions":["3.0.1-1"]}]}"#;
    vec![advisory.into()]
}

pub(crate) fn osv_file(input: &[u8]) {
    if let Ok(file) = serde_json::from_slice::<osv::File>(input) {
        followed(file.read().ok());
    }
}

pub(crate) fn csaf_seeds() -> Vec<Vec<u8>> {
    let advisory = r#"{"document":{"csaf_version":"2.0","title":"x","tracking":{"id":"A-1"}},
        "product_tree":{"branches":[{"category":"product_name","name":"openssl","branches":[{
        "category":"product_version_range","name":"vers:deb/>=3.0|<3.0.14","product":{
        "product_id":"P1"}}]}],"full_product_names":[{"product_id":"P2",
        "product_identification_helper":{"purl":"pkg:npm/a@1.0.0"}}],"product_groups":[{
        "group_id":"G","product_ids":["P1","P2"]}]},"vulnerabilities":[{"cve":"CVE-2026-1",
        "product_status":{"known_affected":["P1","G"],"last_affected":["P2"]}}]}"#;
    vec![advisory.into()]
}

pub(crate) fn csaf_file(input: &[u8]) {
    if let Ok(file) = serde_json::from_slice::<csaf::File>(input) {
        followed(file.read().ok());
    }
}

pub(crate) fn component_seeds() -> Vec<Vec<u8>> {
    ["openssl>=3.0,<3.0.14", "pkg:deb/debian/zlib@1:1.2.13?arch=arm64", "left-pad=1.0.0-rc.1+b"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

pub(crate) fn component(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(wanted) = Wanted::parse(text) else { return };
    assert!(!wanted.package.name.is_empty(), "a package without a name");
    asked(&wanted);
}

/// What an advisory says has room in a record, and can be asked.
fn followed(read: Option<Read>) {
    let Some(read) = read else { return };
    assert!(read.affected.len() <= AFFECTED_MAX, "{} packages", read.affected.len());
    read.affected.iter().for_each(asked);
}

/// A component is written and read as the same.
fn kept(component: &Component) {
    let text = serde_json::to_vec(component).expect("it can be written");
    let again: Component = serde_json::from_slice(&text).expect("it can be read");
    assert!(again == *component, "it is read as another");
}

/// What is wanted is written and read as the same, and every kind of component can be held against
/// it.
fn asked(wanted: &Wanted) {
    let text = serde_json::to_vec(wanted).expect("it can be written");
    let again: Wanted = serde_json::from_slice(&text).expect("it can be read");
    assert!(again == *wanted, "it is read as another");
    for version in [None, Some("1.0"), Some("1:3.0.13-1+deb12u2"), Some("not a version")] {
        let component = Component {
            package: Package::clone(&wanted.package),
            version: version.map(Into::into),
            sha256: Some(Sha256Digest::of(b"x")),
        };
        let _ = wanted.matches(&component);
    }
    let _ = wanted.in_words();
}

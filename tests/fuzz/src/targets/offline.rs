//! An offline bundle, which comes on a stick from anybody.

use std::io::Write as _;

use lazaret_agent::offline::OfflineBundle;
use serde_json::json;

pub(crate) fn run(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
    file.write_all(input).expect("a scratch file");
    if let Ok(bundle) = OfflineBundle::open_file(file.path()) {
        let _expire = bundle.offline_roles_expire();
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let image = b"image";
    let digest = lazaret_protocol::digest::Sha256Digest::of(image).to_string();
    let path = "targets/gw2/1.0/ab.image";
    let manifest = json!({
        "format": lazaret_protocol::offline::BUNDLE_FORMAT, "model": "gw2", "version": "1.0",
        "made": 1, "fresh_until": 2, "deltas_from": [],
        "files": [{"path": path, "length": image.len(), "sha256": digest}],
    });
    let mut tar = tar::Builder::new(Vec::new());
    let manifest = manifest.to_string();
    let name = lazaret_protocol::offline::MANIFEST_PATH;
    for (name, content) in [(name, manifest.as_bytes()), (path, image)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).expect("an entry");
    }
    vec![tar.into_inner().expect("a tar")]
}

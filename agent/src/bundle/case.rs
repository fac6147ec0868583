//! What a bundle holds in the words of CASE/UCO (JSON-LD): an investigation, the act of collecting,
//! the device, the program, and every file with its digest, for tools that read that ontology. It
//! says nothing that the manifest does not, and proves nothing; the manifest does.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::time::Timestamp;
use serde_json::{Value, json};

/// Below this the nodes of all bundles are named.
const NAMES: &str = "https://lazaret.dev/kb/";

/// Who collected what, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act<'a> {
    pub(super) bundle: &'a BundleId,
    pub(super) device: &'a DeviceId,
    pub(super) serial: &'a str,
    pub(super) at: Timestamp,
}

/// One file: path, digest, length.
pub(super) type Named = (String, Sha256Digest, u64);

/// The document.
pub(super) fn document(act: &Act<'_>, files: &[Named]) -> Vec<u8> {
    let id = |what: &str| json!({ "@id": name(act.bundle, what) });
    let of_files: Vec<Value> = files.iter().map(|(path, ..)| id(path)).collect();
    let mut objects = of_files.clone();
    objects.extend([id("device"), id("action"), id("provenance"), id("tool")]);
    let results = [&[id("provenance")], of_files.as_slice()].concat();
    let mut graph = vec![
        json!({
            "@id": name(act.bundle, "investigation"),
            "@type": "case-investigation:Investigation",
            "uco-core:name": act.bundle,
            "uco-core:object": objects,
        }),
        json!({
            "@id": name(act.bundle, "action"),
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": "collected",
            "uco-action:startTime": {
                "@type": "xsd:dateTime",
                "@value": act.at.to_rfc3339(),
            },
            "uco-action:instrument": id("tool"),
            "uco-action:object": [id("device")],
            "uco-action:result": results,
        }),
        json!({
            "@id": name(act.bundle, "device"),
            "@type": "uco-observable:Device",
            "uco-core:name": act.device,
            "uco-core:hasFacet": [{
                "@id": name(act.bundle, "device facet"),
                "@type": "uco-observable:DeviceFacet",
                "uco-observable:serialNumber": act.serial,
            }],
        }),
        json!({
            "@id": name(act.bundle, "provenance"),
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": "files of an evidence bundle; the device signed \
                                         manifest.dsse.json over them",
            "case-investigation:exhibitNumber": act.bundle,
            "uco-core:object": of_files,
        }),
        json!({
            "@id": name(act.bundle, "tool"),
            "@type": "uco-tool:Tool",
            "uco-core:name": "lazaret-agent",
            "uco-tool:version": env!("CARGO_PKG_VERSION"),
        }),
    ];
    graph.extend(files.iter().map(|file| of_file(act.bundle, file)));
    let uco = |part: &str| format!("https://ontology.unifiedcyberontology.org/uco/{part}/");
    let document = json!({
        "@context": {
            "case-investigation": "https://ontology.caseontology.org/case/investigation/",
            "uco-action": uco("action"),
            "uco-core": uco("core"),
            "uco-observable": uco("observable"),
            "uco-tool": uco("tool"),
            "uco-types": uco("types"),
            "uco-vocabulary": uco("vocabulary"),
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@graph": graph,
    });
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn of_file(bundle: &BundleId, (path, sha256, length): &Named) -> Value {
    let file_name = path.rsplit('/').next().unwrap_or(path);
    json!({
        "@id": name(bundle, path),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [
            {
                "@id": name(bundle, &format!("{path} as a file")),
                "@type": "uco-observable:FileFacet",
                "uco-observable:fileName": file_name,
                "uco-observable:filePath": path,
                "uco-observable:sizeInBytes": {
                    "@type": "xsd:integer",
                    "@value": length.to_string(),
                },
            },
            {
                "@id": name(bundle, &format!("{path} as bytes")),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:hash": [{
                    "@id": name(bundle, &format!("{path} hashed")),
                    "@type": "uco-types:Hash",
                    "uco-types:hashMethod": "SHA256",
                    "uco-types:hashValue": {
                        "@type": "xsd:hexBinary",
                        "@value": sha256.to_string(),
                    },
                }],
            },
        ],
    })
}

/// The name of a node, made of the bundle and what it is, so that the same bundle has the same
/// names: a UUID in the form of version 5, which `case_validate` asks for, from SHA-256 in place of
/// SHA-1.
fn name(bundle: &BundleId, what: &str) -> String {
    let digest = Sha256Digest::of(format!("{bundle}\n{what}").as_bytes()).to_string();
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default().to_owned();
    let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
    format!("{NAMES}{a}-{b}-5{c}-8{d}-{e}")
}

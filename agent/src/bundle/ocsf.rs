//! Which class of the Open Cybersecurity Schema Framework (OCSF 1.3) an entry of the log is of.
//! Kinds that no class of it describes have none: a wrong class is worse than none.

use lazaret_protocol_evidence::device_log::record::Record;
use serde_json::{Value, json};

/// The version of the schema.
const VERSION: &str = "1.3.0";

/// A class with its category.
#[derive(Debug, Clone, Copy)]
struct Class {
    uid: u32,
    name: &'static str,
    category: u32,
}

const DETECTION: Class = Class { uid: 2004, name: "Detection Finding", category: 2 };
const AUTHENTICATION: Class = Class { uid: 3002, name: "Authentication", category: 3 };
const LIFECYCLE: Class = Class { uid: 6002, name: "Application Lifecycle", category: 6 };
const REMEDIATION: Class = Class { uid: 7001, name: "Remediation Activity", category: 7 };

/// Severities of the schema.
const INFORMATIONAL: u32 = 1;
const MEDIUM: u32 = 3;
const HIGH: u32 = 4;

/// Kinds of the log: class, activity within it, severity.
const KINDS: &[(&str, Class, u32, u32)] = &[
    ("started", LIFECYCLE, 3, INFORMATIONAL),
    ("stage-ended", LIFECYCLE, 1, INFORMATIONAL),
    ("kept", LIFECYCLE, 8, INFORMATIONAL),
    ("applied-by-hand", LIFECYCLE, 8, MEDIUM),
    ("rolled-back", LIFECYCLE, 8, MEDIUM),
    ("quarantined", REMEDIATION, 1, HIGH),
    ("console-login", AUTHENTICATION, 1, MEDIUM),
    ("console-logout", AUTHENTICATION, 2, INFORMATIONAL),
    ("order-refused", DETECTION, 1, MEDIUM),
    ("verification-refused", DETECTION, 1, HIGH),
    ("log-damaged", DETECTION, 1, HIGH),
    ("log-tail-cut", DETECTION, 1, INFORMATIONAL),
    ("time-floor-fell", DETECTION, 1, MEDIUM),
    ("clock-step", DETECTION, 1, MEDIUM),
    ("case-opened", DETECTION, 1, HIGH),
    ("usb-inserted", DETECTION, 1, MEDIUM),
    ("unexpected-slot", DETECTION, 1, HIGH),
    ("state-refused", DETECTION, 1, HIGH),
];

/// The entry as an event of the schema, none where it has no class for it.
#[allow(clippy::indexing_slicing, reason = "a JSON object that is made here")]
pub(super) fn event(record: &Record, message: &str) -> Option<Value> {
    let kind = record.kind.as_str();
    let (_, class, activity, severity) = KINDS.iter().find(|(known, ..)| *known == kind)?;
    let Class { uid, name, category } = *class;
    let mut event = json!({
        "class_uid": uid,
        "class_name": name,
        "category_uid": category,
        "activity_id": activity,
        "type_uid": uid.saturating_mul(100).saturating_add(*activity),
        "severity_id": severity,
        "message": message,
        "metadata": {
            "version": VERSION,
            "product": { "name": "lazaret-agent", "vendor_name": "Lazaret" },
            "sequence": record.seq,
        },
    });
    if let Some(at) = record.at {
        event["time"] = at.as_ms().into();
    }
    // What the class requires beside that.
    let text = |key: &str| {
        let found = record.detail.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.to_string())
    };
    match uid {
        2004 => {
            let uid = format!("{}-{}", record.boot, record.seq);
            event["finding_info"] = json!({ "title": kind, "uid": uid });
        }
        3002 => {
            event["user"] = json!({ "name": text("user").unwrap_or_else(|| "unknown".into()) });
        }
        6002 => event["app"] = json!({ "name": "lazaret-agent", "vendor_name": "Lazaret" }),
        _ => event["command_uid"] = json!(text("order").unwrap_or_else(|| kind.into())),
    }
    Some(event)
}

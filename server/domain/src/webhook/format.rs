//! Events as other systems take them: a line of syslog (RFC 5424), CEF (Common Event Format,
//! version 0), OCSF (Open Cybersecurity Schema Framework 1.3). What stands in an event may come
//! from an attacker: nothing in it ends a field, a line or a record.

use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::operator::{EventView, NoticeFormat};
use serde_json::{Value, json};

/// The facility *log audit* (RFC 5424, 6.2.1).
const FACILITY: u8 = 13;

/// Most characters of one field of CEF or of one parameter of syslog; the whole event stands in the
/// body.
const FIELD_CHARS_MAX: usize = 1024;

/// How bad an event is (RFC 5424, 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody has to act now.
    Alert = 1,
    /// Something failed, or is suspicious.
    Warning = 4,
    /// Somebody did something that matters.
    Notice = 5,
    /// It happened.
    Informational = 6,
}

/// Kinds of events that are more than informational. What is not listed is that.
const SEVERITIES: &[(Severity, &[&str])] = &[
    (
        Severity::Alert,
        &[
            "anomaly-suspected",
            "clone-suspected",
            "log-forked",
            "log-regressed",
            "measurement-unexpected",
            "evidence-damaged",
            "not-contained",
            "rollout-halted",
            "incident-due",
            "cord-pulled",
        ],
    ),
    (
        Severity::Warning,
        &[
            "claim-reused",
            "factory-reused",
            "number-changed",
            "number-shared",
            "poll-replayed",
            "regressed",
            "role-expires",
            "webhook-gave-up",
            "overtaken",
            "quarantined",
            "second-person-asked",
        ],
    ),
];

/// What kind an event is of.
#[must_use]
pub fn kind(event: &EventView) -> &str {
    event.event.get("event").and_then(Value::as_str).unwrap_or_default()
}

/// Score at which a suspicion is more than suspicious (`anomaly::Rule::score`).
const SCORE_ALERTS_MIN: u64 = 50;

/// How bad an event is: by its kind, and by what it says where one kind can be both.
#[must_use]
pub fn severity(event: &EventView) -> Severity {
    let kind = kind(event);
    let said = |name: &str| event.event.get(name);
    match kind {
        // A quarter of the time is left, and no more.
        "incident-due" if said("state").and_then(Value::as_str) != Some("late") => {
            return Severity::Warning;
        }
        "anomaly-suspected"
            if said("score").and_then(Value::as_u64).is_some_and(|it| it < SCORE_ALERTS_MIN) =>
        {
            return Severity::Warning;
        }
        _ => {}
    }
    let listed = SEVERITIES.iter().find(|(_, kinds)| kinds.contains(&kind));
    match listed {
        Some((severity, _)) => *severity,
        // Who did what to rollouts, incidents, people and devices.
        None if kind.starts_with("incident-") || kind.starts_with("rollout-") => Severity::Notice,
        None => Severity::Informational,
    }
}

/// One message of syslog, without what frames it. The body is the event in this format.
#[must_use]
pub fn syslog(event: &EventView, host: &str, format: NoticeFormat) -> String {
    let kind = kind(event);
    let severity = severity(event) as u8;
    let priority = FACILITY.saturating_mul(8).saturating_add(severity);
    // Names of at most so many printable characters of ASCII (RFC 5424, 6).
    let name = |text: &str, max: usize| {
        let plain: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
        if plain.is_empty() { "-".to_string() } else { plain }
    };
    let parameter = |name: &str| match event.event.get(name).and_then(Value::as_str) {
        Some(value) => format!(" {name}=\"{}\"", parameter_value(value)),
        None => String::new(),
    };
    let parameters: String =
        ["device", "incident", "rollout", "by"].into_iter().map(parameter).collect();
    let body = body(event, format);
    let (at, sequence, host, id) = (event.at, event.sequence, name(host, 255), name(kind, 32));
    format!(
        "<{priority}>1 {at} {host} lazaret-server - {id} \
         [lazaret@32473 sequence=\"{sequence}\"{parameters}] {body}"
    )
}

/// A value of a parameter of structured data: `"`, `\` and `]` are escaped (RFC 5424, 6.3.3).
fn parameter_value(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars().take(FIELD_CHARS_MAX) {
        match c {
            '"' | '\\' | ']' => value.extend(['\\', c]),
            c if ends_a_line(c) => value.push(' '),
            c => value.push(c),
        }
    }
    value
}

/// Whether somebody may take a character for the end of a line, or it is none that is shown.
fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// One event in one line.
#[must_use]
pub fn body(event: &EventView, format: NoticeFormat) -> String {
    match format {
        NoticeFormat::Cef => cef(event),
        NoticeFormat::Ocsf => one_line(&ocsf(event).to_string()),
        _ => one_line(&serde_json::to_string(event).unwrap_or_default()),
    }
}

/// JSON in which nothing ends a line for anybody: its own escapes leave these out.
fn one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}

/// One event in CEF.
#[must_use]
pub fn cef(event: &EventView) -> String {
    let kind = kind(event);
    let grade = match severity(event) {
        Severity::Alert => 9,
        Severity::Warning => 6,
        Severity::Notice => 4,
        Severity::Informational => 2,
    };
    let field = |name: &str| event.event.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut text = format!(
        "CEF:0|Lazaret|lazaret-server|1|{}|{}|{grade}|rt={} externalId={}",
        header(kind),
        header(&event.what),
        event.at.as_ms(),
        event.sequence
    );
    for (key, value) in [
        ("dvchost", field("device")),
        ("suser", field("by")),
        ("reason", field("reason")),
        ("msg", event.what.as_str()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!(" {key}={}", extension(value)));
        }
    }
    text
}

/// A field of the header of CEF: `|` and `\` are escaped, and it is one line.
fn header(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars().take(FIELD_CHARS_MAX) {
        match c {
            '|' | '\\' => value.extend(['\\', c]),
            c if ends_a_line(c) => value.push(' '),
            c => value.push(c),
        }
    }
    value
}

/// A value of an extension of CEF: `=` and `\` are escaped, and so are the ends of lines.
fn extension(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars().take(FIELD_CHARS_MAX) {
        match c {
            '=' | '\\' => value.extend(['\\', c]),
            '\n' => value.push_str("\\n"),
            '\r' => value.push_str("\\r"),
            c if ends_a_line(c) => value.push(' '),
            c => value.push(c),
        }
    }
    value
}

/// One event in OCSF: incidents are Incident Findings, what is suspicious a Detection Finding, and
/// everything else API Activity.
#[must_use]
pub fn ocsf(event: &EventView) -> Value {
    let kind = kind(event);
    let grade = severity(event);
    let (class, class_name, category) = match grade {
        _ if kind.starts_with("incident-") => (2005u32, "Incident Finding", 2u32),
        Severity::Alert | Severity::Warning => (2004, "Detection Finding", 2),
        _ => (6003, "API Activity", 6),
    };
    let (severity_id, severity) = match grade {
        Severity::Alert => (4, "High"),
        Severity::Warning => (3, "Medium"),
        Severity::Notice => (2, "Low"),
        Severity::Informational => (1, "Informational"),
    };
    // Create of findings, Other of calls: what was called stands in the operation.
    let activity = if category == 2 { 1u32 } else { 99 };
    let by = event.event.get("by").and_then(Value::as_str).unwrap_or("lazaret-server");
    let at = event.at.as_ms();
    let id = event.sequence.to_string();
    json!({
        "class_uid": class, "class_name": class_name, "category_uid": category,
        "activity_id": activity, "type_uid": class.saturating_mul(100).saturating_add(activity),
        "time": at, "severity_id": severity_id, "severity": severity, "message": event.what,
        "metadata": {
            "version": "1.3.0", "uid": id, "event_code": kind,
            "product": { "name": "Lazaret", "vendor_name": "Lazaret" },
        },
        "finding_info": { "uid": id, "title": kind, "created_time": at },
        "finding_info_list": [{ "uid": id, "title": kind, "created_time": at }],
        "api": { "operation": kind },
        "src_endpoint": { "name": "lazaret-server" },
        "status_id": if kind == "incident-advanced" { 2u32 } else { 1 },
        "assignee": { "name": by },
        "actor": { "user": { "name": by } },
        "device": { "hostname": event.event.get("device"), "type_id": 7 },
        "unmapped": event.event,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_protocol::time::Timestamp;

    fn event(reason: &str) -> EventView {
        EventView {
            sequence: 7,
            at: Timestamp::from_ms(1_795_428_000_000),
            what: format!("ana put d-1 in quarantine: {reason}"),
            event: json!({
            "event": "quarantined", "device": "d-1", "by": "ana", "reason": reason
            }),
        }
    }

    /// What an attacker who chooses a text would like to write.
    const HOSTILE: &str = "x\"] <11>1 - forged\n<11>1 forged|9|a=b \\ \r\u{7}\u{85}\u{2028}";

    #[test]
    fn a_message_of_syslog_has_its_parts_and_is_one_line() {
        let text = syslog(&event("worm"), "update.example", NoticeFormat::Json);
        let head = "<108>1 2026-11-23T10:00:00Z update.example lazaret-server - quarantined \
                    [lazaret@32473 sequence=\"7\" device=\"d-1\" by=\"ana\"] {";
        assert!(text.starts_with(head), "{text}");
        for format in [NoticeFormat::Json, NoticeFormat::Cef, NoticeFormat::Ocsf] {
            let text = syslog(&event(HOSTILE), "bad host\n", format);
            let ends = ['\n', '\r', '\u{7}', '\u{85}', '\u{2028}'];
            assert!(!text.contains(ends), "{text:?}");
            assert!(text.contains(" badhost lazaret-server "), "{text}");
        }
        assert_eq!(parameter_value("a\"b]c\\d\n"), "a\\\"b\\]c\\\\d ");
    }

    #[test]
    fn no_text_ends_a_field_of_cef() {
        let text = cef(&event(HOSTILE));
        // Within the extension a bar is a character as any other.
        let (head, _) = text.split_once("rt=").unwrap();
        let bare = head.replace("\\\\", "").replace("\\|", "");
        assert_eq!(bare.matches('|').count(), 7, "{text}");
        assert!(
            text.contains("reason=x\"] <11>1 - forged\\n<11>1 forged|9|a\\=b \\\\ \\r   "),
            "{text}"
        );
        assert!(
            cef(&event("worm")).starts_with("CEF:0|Lazaret|lazaret-server|1|quarantined|ana put")
        );
    }

    #[test]
    fn an_event_of_ocsf_says_its_class_and_type() {
        let event = ocsf(&event("worm"));
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(2004), &json!(200_401)));
        assert_eq!(
            (&event["severity_id"], &event["metadata"]["version"]),
            (&json!(3), &json!("1.3.0"))
        );
        assert_eq!(event["unmapped"]["reason"], "worm");
    }

    #[test]
    fn what_matters_is_above_what_only_happened() {
        let of = |fact: Value| severity(&EventView { event: fact, ..event("x") });
        assert_eq!(of(json!({ "event": "clone-suspected" })), Severity::Alert);
        assert_eq!(of(json!({ "event": "incident-opened" })), Severity::Notice);
        assert_eq!(of(json!({ "event": "ordered" })), Severity::Informational);
        let due = |state: &str| of(json!({ "event": "incident-due", "state": state }));
        assert_eq!((due("late"), due("soon")), (Severity::Alert, Severity::Warning));
        let suspected = |score: u64| of(json!({ "event": "anomaly-suspected", "score": score }));
        assert_eq!((suspected(50), suspected(49)), (Severity::Alert, Severity::Warning));
        assert!(Severity::Alert < Severity::Informational, "as syslog counts");
    }
}

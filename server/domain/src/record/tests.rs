//! A record that cannot be written takes its whole decision with it: what rests on it must not be
//! committed without it.

use alloc::string::ToString as _;

use serde::ser::Error as _;

use super::*;

/// A record whose serialisation fails for as long as it says so.
#[derive(Debug, Deserialize)]
struct Fickle {
    writable: bool,
}

impl Serialize for Fickle {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.writable {
            true => serializer.serialize_unit(),
            false => Err(S::Error::custom("has no form")),
        }
    }
}

impl Record for Fickle {
    const KIND: &'static str = "fickle";
    fn name(&self) -> String {
        "one".to_string()
    }
}

#[test]
fn record_without_bytes_fails_the_decision_whatever_is_said_after_it() {
    let decision = Decision::reply(())
        .put(&Fickle { writable: false })
        .put(&Fickle { writable: true })
        .with_reply("done");
    assert!(!decision.changes_nothing());
    let refused = decision.into_parts().unwrap_err();
    let why = "has no form".to_string();
    assert_eq!(refused, RecordError::Malformed { key: "fickle/one".to_string(), why });
}

#[test]
fn record_with_bytes_is_written_under_its_key() {
    let parts = Decision::reply(()).put(&Fickle { writable: true }).into_parts().unwrap();
    let bytes = br#"{"format":1,"record":null}"#.to_vec();
    assert_eq!(parts.put, [("fickle/one".to_string(), bytes)]);
}

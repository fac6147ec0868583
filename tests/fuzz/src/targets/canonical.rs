//! Canonical JSON: what has a canonical form has one only.

use lazaret_protocol::canonical;
use serde_json::Value;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"b":[1,-2,null],"a":{"z":"\u00e9\n\"\\","y":true}}"#,
        r#"[0,18446744073709551615,-9223372036854775808,"",{},[]]"#,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn run(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let Ok(json) = canonical::to_json(&value) else { return };
    let again: Value = serde_json::from_slice(&json).expect("what we write, we read");
    assert_eq!(again, value, "nothing is lost");
    assert_eq!(canonical::to_json(&again).ok(), Some(json), "there is one spelling only");
    let olpc = canonical::value_to_bytes(&value).expect("both forms refuse the same");
    if let Ok(again) = serde_json::from_slice::<Value>(&olpc) {
        assert_eq!(again, value, "OLPC's form says the same where it is JSON");
    }
}

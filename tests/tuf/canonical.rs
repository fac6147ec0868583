//! Canonical JSON as OLPC defined it: what is signed must have the same bytes for everybody who
//! signs and verifies. securesystemslib, which signs nearly all TUF repositories there are, is the
//! oracle.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use lazaret_protocol::canonical;
use lazaret_tests::python_tuf;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// From the definition (wiki.laptop.org, Canonical JSON): no space, keys sorted, no escapes but of
/// the quote and the backslash, no leading zeros, no fractions.
const VECTORS: &[(&str, &str)] = &[
    ("{}", "{}"),
    ("[]", "[]"),
    (r#" "" "#, r#""""#),
    (" [ 1 , 2 , 3 ] ", "[1,2,3]"),
    (r#"{"b": 1, "a": 2, "": 3, "B": 4}"#, r#"{"":3,"B":4,"a":2,"b":1}"#),
    (r#"{"a": {"d": null, "c": [true, false]}}"#, r#"{"a":{"c":[true,false],"d":null}}"#),
    (r#""\"\\\/""#, r#""\"\\/""#),
    (r#""\b\f\n\r\t""#, "\"\u{8}\u{c}\n\r\t\""),
    (r#""\u0000\u001f\u007f""#, "\"\u{0}\u{1f}\u{7f}\""),
    (r#""\u00e9 \ud83d\ude00""#, "\"\u{e9} \u{1f600}\""),
    // Not normalised: two spellings of one character are two texts.
    (r#"["e\u0301", "\u00e9"]"#, "[\"e\u{301}\",\"\u{e9}\"]"),
    // Sorted by code point, not by UTF-16 unit: U+FF5E comes before U+1F600.
    (r#"{"\ud83d\ude00": 1, "\uff5e": 2}"#, "{\"\u{ff5e}\":2,\"\u{1f600}\":1}"),
    (
        "[0, -1, 9223372036854775807, -9223372036854775808]",
        "[0,-1,9223372036854775807,-9223372036854775808]",
    ),
    ("18446744073709551615", "18446744073709551615"),
];

#[test]
fn canonical_json_is_as_olpc_defined_it() {
    for (text, expected) in VECTORS {
        let value: Value = serde_json::from_str(text).unwrap();
        let canonical = canonical::value_to_bytes(&value).unwrap();
        assert_eq!(String::from_utf8(canonical).unwrap(), *expected, "of {text}");
    }
}

#[test]
fn securesystemslib_writes_the_same_canonical_json() -> anyhow::Result<()> {
    let mut runner = TestRunner::deterministic();
    let mut values: Vec<Value> =
        VECTORS.iter().map(|(text, _)| serde_json::from_str(text).unwrap()).collect();
    for _ in 0..500 {
        values.push(documents().new_tree(&mut runner).map_err(anyhow::Error::msg)?.current());
    }
    let theirs = by_securesystemslib(&values)?;
    assert_eq!(theirs.len(), values.len());
    for (value, theirs) in values.iter().zip(theirs) {
        assert_eq!(hex::encode(canonical::value_to_bytes(value)?), theirs, "of {value}");
    }
    Ok(())
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\/\u{0}-\u{1f}é😀]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn by_securesystemslib(values: &[Value]) -> anyhow::Result<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuf/python/canonical.py");
    let mut python = Command::new(python_tuf::python()?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output()?;
    writer.join().unwrap()?;
    anyhow::ensure!(output.status.success(), "securesystemslib cannot be asked");
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

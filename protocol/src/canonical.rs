//! Canonical JSON as OLPC defined it and TUF uses it, narrowed to integers and strings: what is
//! signed has exactly one spelling. Floats have several, so they are refused (DESIGN section 3).

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::Value;

use crate::limits::JSON_DEPTH_MAX;

/// A value that has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// A number with a fraction or an exponent, or beyond 64 bits.
    #[error("expected integers only, got the number {got}")]
    NotAnInteger {
        /// The number as it came.
        got: String,
    },
    /// Nested more than [`JSON_DEPTH_MAX`] deep.
    #[error("expected at most {JSON_DEPTH_MAX} levels of nesting")]
    TooDeep,
    /// A type that JSON cannot say, such as a map with keys that are no strings.
    #[error("value cannot be said in JSON: {why}")]
    NotJson {
        /// What the serialiser said.
        why: String,
    },
}

/// The canonical bytes of anything that serialises.
///
/// # Errors
/// The value holds a float, is nested too deep, or is not JSON at all.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value)
        .map_err(|err| CanonicalError::NotJson { why: alloc::format!("{err}") })?;
    value_to_bytes(&value)
}

/// The bytes of anything that serialises as JSON that every parser reads: the rules of [`to_bytes`]
/// and its order of keys, but with the escapes that RFC 8259 wants. OLPC leaves control characters
/// as they are, so that a text with a line break has a canonical form which is no JSON. For what is
/// signed as bytes and parsed again.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let not_json = |err| CanonicalError::NotJson { why: alloc::format!("{err}") };
    let value = sorted(serde_json::to_value(value).map_err(not_json)?);
    value_to_bytes(&value)?;
    serde_json::to_vec(&value).map_err(not_json)
}

/// The same value with every object's keys in order, whatever map type serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.into_iter().map(|(key, item)| (key, sorted(item))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The canonical bytes of a JSON value that is at hand.
///
/// # Errors
/// As [`to_bytes`].
pub fn value_to_bytes(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if depth > JSON_DEPTH_MAX {
        return Err(CanonicalError::TooDeep);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) if n.is_i64() || n.is_u64() => {
            out.extend_from_slice(alloc::format!("{n}").as_bytes());
        }
        Value::Number(n) => {
            return Err(CanonicalError::NotAnInteger { got: alloc::format!("{n}") });
        }
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, depth.saturating_add(1), out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Sorted here and not left to the map type: some crate of the workspace may switch on
            // serde_json's `preserve_order`, and a signature must not depend on that.
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(item, depth.saturating_add(1), out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Only the quote and the backslash are escaped; every other byte, control characters included,
/// stands for itself (OLPC canonical JSON).
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn canonical(json: &str) -> Result<String, CanonicalError> {
        let value: Value = serde_json::from_str(json).unwrap();
        value_to_bytes(&value).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn keys_are_sorted_and_space_is_gone() {
        let out = canonical(r#"{ "b": [1, -2], "a": {"z": null, "y": true} }"#).unwrap();
        assert_eq!(out, r#"{"a":{"y":true,"z":null},"b":[1,-2]}"#);
    }

    #[test]
    fn only_quote_and_backslash_are_escaped() {
        assert_eq!(canonical(r#""a\"b\\c\nd\u0001é""#).unwrap(), "\"a\\\"b\\\\c\nd\u{1}é\"");
    }

    #[test]
    fn floats_are_refused() {
        let refused = canonical("[1.5]").unwrap_err();
        assert_eq!(refused, CanonicalError::NotAnInteger { got: "1.5".to_string() });
    }
}

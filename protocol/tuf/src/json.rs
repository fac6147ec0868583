//! Reading JSON of strangers into a value: objects that name a member twice, numbers that are no
//! 64-bit integers, and more values than allowed are refused. Two readers that disagree about which
//! of two members counts would disagree about what was signed.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON document of at most `values_max` values.
///
/// # Errors
/// Why it is not such a document. Nesting is limited by serde_json (128 levels) while reading, and
/// to 32 levels by the canonical form of what is signed.
pub(crate) fn read(bytes: &[u8], values_max: usize) -> Result<Value, String> {
    let left = Cell::new(values_max);
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { left: &left }.deserialize(&mut from).map_err(|err| err.to_string())?;
    from.end().map_err(|err| err.to_string())?;
    Ok(value)
}

/// Reads one value, and takes it from what may still come.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom("more values than allowed"))?);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with integers only")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    /// serde_json hands integers beyond 64 bits over as floats too: both have no canonical form.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format!("expected 64-bit integers only, got {value}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("member {name:?} comes twice")));
            }
            let value = members.next_value_seed(self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_refused() {
        assert!(read(br#"{"a":1,"b":{"a":1}}"#, 10).is_ok());
        assert!(read(br#"{"a":1,"a":1}"#, 10).unwrap_err().contains("comes twice"));
        assert!(read(br#"{"b":[{"a":1,"\u0061":2}]}"#, 10).unwrap_err().contains("comes twice"));
    }

    #[test]
    fn integers_of_64_bits_are_kept_exactly_and_others_are_refused() {
        let text = b"[18446744073709551615,-9223372036854775808]";
        assert_eq!(read(text, 10).unwrap().to_string().as_bytes(), text);
        for bad in ["18446744073709551616", "1.0", "1e3", "-0"] {
            assert!(read(bad.as_bytes(), 10).is_err(), "{bad} was read");
        }
    }

    #[test]
    fn values_nesting_and_what_follows_are_limited() {
        assert!(read(b"[1,2]", 3).is_ok());
        assert!(read(b"[1,2]", 2).is_err());
        assert!(read("[".repeat(100_000).as_bytes(), 1_000_000).is_err());
        assert!(read(b"{} {}", 10).is_err());
    }
}

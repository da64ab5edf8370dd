//! What the stream says only because it is the stream, taken out of its lines for callers who asked for another format.
//!
//! Everything else of a line stays as it is, byte for byte.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A line without these fields, and without these words in the list `capabilities`. None if nothing is to be taken out.
pub(crate) fn without(line: &[u8], fields: &[&str], capabilities: &[&str]) -> Option<Vec<u8>> {
    let contains = |word: &&str| memchr::memmem::find(line, word.as_bytes()).is_some();
    if !fields.iter().chain(capabilities).any(contains) {
        return None;
    }
    let object: Object = serde_json::from_slice(line).ok()?;
    let mut trimmed = Vec::with_capacity(line.len());
    for (key, value) in object.0.iter().filter(|(key, _)| !fields.contains(&key.as_str())) {
        trimmed.push(if trimmed.is_empty() { b'{' } else { b',' });
        trimmed.extend_from_slice(serde_json::to_string(key).ok()?.as_bytes());
        trimmed.push(b':');
        match serde_json::from_str::<Vec<&RawValue>>(value.get()).ok().filter(|_| key == "capabilities") {
            Some(words) => {
                let is_kept = |word: &&&RawValue| !capabilities.contains(&word.get().trim_matches('"'));
                let kept: Vec<&str> = words.iter().filter(is_kept).map(|word| word.get()).collect();
                trimmed.extend_from_slice(format!("[{}]", kept.join(",")).as_bytes());
            }
            None => trimmed.extend_from_slice(value.get().as_bytes()),
        }
    }
    trimmed.extend_from_slice(if trimmed.is_empty() { b"{}" } else { b"}" });
    trimmed.extend_from_slice(if line.ends_with(b"\n") { b"\n" } else { b"" });
    Some(trimmed)
}

/// The fields of an object in their order.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(line: &str) -> Option<String> {
        without(line.as_bytes(), &["begun"], &["b_v1"]).map(|line| String::from_utf8(line).expect("text"))
    }

    #[test]
    fn the_rest_stays_byte_for_byte() {
        let table = [
            (r#"{"a":1,"begun":["x",{"y":2}],"z":"\u2028é"}"#, Some(r#"{"a":1,"z":"\u2028é"}"#)),
            (r#"{"begun":1}"#, Some("{}")),
            ("{\"b\":1.50e3,\"begun\":[]}\n", Some("{\"b\":1.50e3}\n")),
            (r#"{"capabilities":["a_v1","b_v1","c"],"x":["b_v1"]}"#, Some(r#"{"capabilities":["a_v1","c"],"x":["b_v1"]}"#)),
            (r#"{"a":"\ud83d","begun":0}"#, Some(r#"{"a":"\ud83d"}"#)),
            (r#"{"a":1}"#, None),
            ("begun", None),
        ];
        for (line, expected) in table {
            assert_eq!(trimmed(line).as_deref(), expected, "{line}");
        }
    }
}

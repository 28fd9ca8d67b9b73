//! JSON as `serde_json` reads it, except that an object which has a key twice is an error: one of the
//! two values would be lost without a word.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::{Problem, describe};

/// Reads one row, which begins on `line` of its file.
pub(crate) fn parse_row(bytes: &[u8], line: u64) -> Result<Map<String, Value>, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, error, line))?;
    match parse(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(value) => Err(Problem::row(
            "unparsable_row",
            "a JSON object",
            describe(&value),
            "write each row as `{\"prompt\": \"…\", \"response\": \"…\"}`",
        )),
        Err(error) => Err(unparsable(&error, line)),
    }
}

/// Makes a field a text; its bytes begin on `line`.
pub(crate) fn text(bytes: Vec<u8>, line: u64) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let utf8 = error.utf8_error();
        invalid_utf8(error.as_bytes(), utf8, line)
    })
}

/// The problem of bytes that are not UTF-8, the first of which begin at `line`.
fn invalid_utf8(bytes: &[u8], error: std::str::Utf8Error, line: u64) -> Problem {
    let (before, rest) = bytes.split_at(error.valid_up_to());
    let line = line + line_ends(before);
    let is_end = |&byte: &u8| matches!(byte, b'\n' | b'\r');
    let begin = before.iter().rposition(is_end).map_or(0, |end| end + 1);
    let column = before.len() - begin + 1;
    if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = rest {
        return lone_surrogate(line);
    }
    let byte = rest.first().copied().unwrap_or_default();
    Problem::row(
        "invalid_utf8",
        "text in UTF-8",
        format!("the byte `0x{byte:02x}` at line {line}, byte {column}"),
        "save the file as UTF-8",
    )
}

/// Counts the lines that end in `bytes`: with a line feed, a carriage return, or both.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|&(place, &byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(place + 1) != Some(&b'\n'),
            _ => false,
        });
    ends.count() as u64
}

/// The problem of a half of what is one character in UTF-16.
fn lone_surrogate(line: u64) -> Problem {
    Problem::row(
        "lone_surrogate",
        "whole characters",
        format!("half of a surrogate pair at line {line}"),
        "write the whole character, or delete it",
    )
}

fn unparsable(error: &serde_json::Error, first_line: u64) -> Problem {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let line = first_line + (error.line() as u64).saturating_sub(1);
    let fix = if error.is_eof() {
        "the row is cut off: write it again, or delete it"
    } else {
        "mend the JSON at that place"
    };
    let found = format!("`{what}` at line {line}, column {}", error.column());
    Problem::row("unparsable_row", "a JSON object", found, fix)
}

fn parse(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let value = object.next_value_seed(Strict)?;
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} twice")));
            }
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str) -> String {
        parse_row(text.as_bytes(), 7).unwrap_err().found
    }

    #[test]
    fn values_are_those_of_serde_json() {
        let text = r#"{"a": [1, -2, 3.5, true, null, "x\u00e9"], "b": {"c": {}}}"#;
        let fields = parse_row(text.as_bytes(), 1).unwrap();
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(fields), expected);
        assert_eq!(expected["a"][5], json!("xé"));
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        assert!(found(r#"{"a": 1, "a": 2}"#).contains("the key \"a\" twice"));
        assert!(found(r#"{"m": [{"a": 1, "a": 1}]}"#).contains("the key \"a\" twice"));
    }

    #[test]
    fn a_mistake_is_placed_on_its_line_of_the_file() {
        assert!(found("{\n\"a\" 1}").contains("at line 8, column 5"));
    }

    #[test]
    fn a_row_that_is_no_object_is_refused() {
        assert_eq!(found("[1]"), "a list");
        assert_eq!(found("12"), "the number `12`");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_placed() {
        let problem = parse_row(b"{\n\"a\": \"\xff\"}", 7).unwrap_err();
        assert_eq!(problem.code, "invalid_utf8");
        assert_eq!(problem.found, "the byte `0xff` at line 8, byte 7");
    }

    #[test]
    fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
        let nested = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(found(&format!("{{\"a\": {nested}}}")).contains("recursion limit"));
    }
}

//! Files as spreadsheets and editors write them.

use llmopt_dataset::{Encoding, Format};
use serde_json::json;

use crate::cases::{File, ROWS, json_line, value};

/// The two bytes of a unit of UTF-16.
pub(crate) type Order = fn(u16) -> [u8; 2];

pub(crate) const LITTLE: Order = u16::to_le_bytes;
pub(crate) const BIG: Order = u16::to_be_bytes;

/// Writes UTF-16 with its byte order mark.
pub(crate) fn utf16(units: impl Iterator<Item = u16>, order: Order) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(units);
    units.flat_map(order).collect()
}

#[test]
fn every_format_may_be_in_utf16() {
    let lines: Vec<String> = (1..=ROWS).map(json_line).collect();
    let expected: Vec<_> = (1..=ROWS).map(value).collect();
    let table = "a;b\r\n\"x\r\ny 😀\";日本\r\n";
    for (order, encoding) in [(LITTLE, Encoding::Utf16Le), (BIG, Encoding::Utf16Be)] {
        let file = |name, text: &str| File::new(name, &utf16(text.encode_utf16(), order));
        let files = [
            file("rows.jsonl", &lines.join("\r\n")),
            file("rows.json", &format!("[{}]", lines.join(","))),
            file("rows", &lines.join("\n")),
        ];
        for file in files {
            assert_eq!(file.values(), expected);
            assert_eq!(file.open().encoding(), encoding);
        }
        let values = file("a.csv", table).values();
        assert_eq!(values, [json!({"a": "x\r\ny 😀", "b": "日本"})]);
    }
}

#[test]
fn what_a_spreadsheet_saves_as_unicode_text_is_a_table() {
    let text = "prompt\tresponse\r\nwas, kostet das?\t5 €\r\n";
    let file = File::new("Mappe1.txt", &utf16(text.encode_utf16(), LITTLE));
    assert_eq!(file.open().format(), Format::Csv);
    let expected = json!({"prompt": "was, kostet das?", "response": "5 €"});
    assert_eq!(file.values(), [expected]);
}

#[test]
fn a_table_or_a_text_that_is_not_utf8_is_windows_1252_and_says_so() {
    let bytes = b"frage;antwort\r\nWas kostet das?;5 \x80 f\xfcr 2 \x96 3\r\n";
    let file = File::new("a.csv", bytes);
    assert_eq!(file.open().encoding(), Encoding::Windows1252);
    let expected = json!({"frage": "Was kostet das?", "antwort": "5 € für 2 – 3"});
    assert_eq!(file.values(), [expected]);

    let file = File::new("a.txt", b"na\xefve\ncaf\xe9\n");
    assert_eq!(file.open().encoding(), Encoding::Windows1252);
    assert_eq!(
        file.values(),
        [json!({"text": "naïve"}), json!({"text": "café"})]
    );
}

#[test]
fn json_that_is_not_utf8_is_refused_in_its_row() {
    for (name, text) in [
        ("a.jsonl", &b"{\"a\": \"x\"}\n{\"a\": \"caf\xe9\"}\n"[..]),
        ("a.json", b"[{\"a\": \"x\"},\n{\"a\": \"caf\xe9\"}]"),
    ] {
        let file = File::new(name, text);
        assert_eq!(file.open().encoding(), Encoding::Utf8);
        let finding = file.read().remove(1).unwrap_err();
        let place = (finding.place.row, finding.place.line);
        assert_eq!(
            (finding.code.as_str(), place),
            ("invalid_utf8", (Some(2), Some(2)))
        );
        assert!(
            finding.found.contains("`0xe9` at line 2, byte 11"),
            "{finding}"
        );
    }
}

#[test]
fn rows_after_one_with_half_a_character_are_read() {
    let units = "{\"a\": \"1\"}\n{\"a\": \"?\"}\n{\"a\": \"3\"}\n".encode_utf16();
    let units = units.map(|unit| {
        if unit == u16::from(b'?') {
            0xdc00
        } else {
            unit
        }
    });
    let results = File::new("a.jsonl", &utf16(units, BIG)).read();
    let numbers: Vec<_> = results.iter().flatten().map(|row| row.number).collect();
    assert_eq!((numbers, results.len()), (vec![1, 3], 3));
}

#[test]
fn a_mark_of_utf8_makes_it_utf8() {
    let file = File::new("a.csv", b"\xef\xbb\xbfa,b\n1,2\n3,caf\xe9\n");
    assert_eq!(file.open().encoding(), Encoding::Utf8);
    let finding = file.read().remove(1).unwrap_err();
    assert_eq!(
        (finding.code.as_str(), finding.place.row),
        ("invalid_utf8", Some(2))
    );
}

//! Parquet files as `pyarrow`, `polars` and `duckdb` write them (`tests/parquet/make.py`), and what is left of them when they are broken.

use std::{fs, path::Path};

use llmopt_dataset::{Format, open};
use serde_json::{Value, json};

use crate::cases::File;

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parquet"));
    fs::read(folder.join(name).with_extension("parquet")).unwrap()
}

fn pairs() -> Vec<Value> {
    let row = |i| json!({"prompt": format!("count {i}"), "response": format!("it is {i}")});
    (0..6).map(row).collect()
}

#[test]
fn rows_of_every_layout_and_codec_that_is_read_are_the_same() {
    let of_pyarrow = ["pairs", "plain", "gzip", "sums", "zstd", "zstd2", "lz4"];
    let of_others = ["polars", "duckdb_zstd", "duckdb_lz4_raw"];
    for name in of_pyarrow.into_iter().chain(of_others) {
        let file = File::new("rows", &bytes(name));
        assert_eq!(file.open().format(), Format::Parquet);
        assert_eq!(file.values(), pairs(), "{name}");
        let numbers = file.read().into_iter().map(|row| row.unwrap().number);
        assert!(numbers.eq(1..=6), "{name}");
    }
}

#[test]
fn messages_are_the_json_that_they_stand_for() {
    let turn = |role: &str, text: String| json!({"role": role, "content": text});
    let row = |i| {
        let turns = [
            turn("user", format!("hello {i}")),
            turn("assistant", format!("hi {i}")),
        ];
        json!({"messages": turns})
    };
    let expected: Vec<_> = (0..3).map(row).collect();
    assert_eq!(
        File::new("rows.parquet", &bytes("messages")).values(),
        expected
    );
}

#[test]
fn every_type_is_the_json_that_it_stands_for() {
    let expected = [
        json!({
            "b": true, "i8": 1, "u64": u64::MAX, "f32": 0.1, "f64": 1.5, "day": "2024-02-29",
            "ms": "2024-02-29T12:30:01.005Z", "us": "2024-02-29T12:30:01.000005Z", "dec": "12.50",
            "bin": "text", "tags": ["a", "b"], "map": {"k": "v"}, "deep": {"a": [{"x": 1, "y": null}]},
        }),
        json!({
            "b": null, "i8": -2, "u64": 0, "f32": null, "f64": -0.25, "day": null, "ms": null, "us": null,
            "dec": "-0.05", "bin": "café", "tags": [], "map": {}, "deep": {"a": null},
        }),
        json!({
            "b": false, "i8": null, "u64": null, "f32": null, "f64": null, "day": "1969-12-31", "ms": null,
            "us": null, "dec": null, "bin": null, "tags": null, "map": null, "deep": null,
        }),
    ];
    assert_eq!(File::new("rows", &bytes("values")).values(), expected);
}

#[test]
fn a_file_without_rows_has_none() {
    assert!(File::new("rows", &bytes("empty")).read().is_empty());
}

#[test]
fn a_row_that_is_no_text_is_refused_and_the_next_is_read() {
    let results = File::new("rows", &bytes("no_utf8")).read();
    let finding = results[1].as_ref().unwrap_err();
    let place = &finding.place;
    assert_eq!(finding.code, "invalid_utf8");
    assert_eq!(
        (place.row, place.line, place.field.as_deref()),
        (Some(2), None, Some("a"))
    );
    assert_eq!(results[2].as_ref().unwrap().number, 3);
}

#[test]
fn a_codec_that_is_not_read_is_said_with_what_to_do() {
    let finding = File::new("rows", &bytes("brotli"))
        .read()
        .remove(0)
        .unwrap_err();
    assert_eq!(
        (finding.code.as_str(), finding.place.row),
        ("unsupported_codec", None)
    );
    assert!(
        finding.found.contains("`brotli`") && finding.fix.contains("`zstd`"),
        "{finding}"
    );
}

#[test]
fn no_end_of_a_file_goes_unnoticed() {
    for name in ["pairs", "messages", "zstd", "lz4"] {
        let bytes = bytes(name);
        for length in 4..bytes.len() {
            let results = File::new("rows.parquet", &bytes[..length]).read();
            let [Err(finding)] = &results[..] else {
                panic!("{name} of {length} bytes: {results:?}")
            };
            assert_eq!(
                (finding.code.as_str(), finding.place.row),
                ("broken_parquet", None)
            );
        }
    }
}

#[test]
fn no_flipped_bit_panics() {
    for name in [
        "pairs", "messages", "values", "gzip", "zstd2", "lz4", "polars",
    ] {
        let bytes = bytes(name);
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << (place % 8);
            let file = File::new("rows.parquet", &flipped);
            if let Ok(reader) = open(&file.path) {
                reader.take(10_000).for_each(drop);
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_page_with_a_checksum_is_noticed() {
    let bytes = bytes("sums");
    let text = b"it is 3";
    let place = bytes.windows(text.len()).position(|it| it == text).unwrap();
    for bit in 0..8 * text.len() {
        let mut flipped = bytes.clone();
        flipped[place + bit / 8] ^= 1 << (bit % 8);
        let finding = File::new("rows.parquet", &flipped)
            .read()
            .remove(0)
            .unwrap_err();
        assert_eq!(
            (finding.code.as_str(), finding.place.row),
            ("broken_parquet", Some(1))
        );
    }
}

#[test]
fn a_file_that_is_packed_again_is_refused() {
    let packed = crate::broken::gzip(&bytes("pairs"), flate2::Compression::fast());
    let error = open(&File::new("rows.parquet.gz", &packed).path).unwrap_err();
    assert!(
        error.to_string().contains("compressed with gzip"),
        "{error}"
    );
}

//! Files that are packed, as the usual tools pack them.

use flate2::Compression as Level;
use llmopt_dataset::{Compression, Encoding, Format};
use serde_json::json;

use crate::{
    broken::{gzip, zstd},
    cases::{File, ROWS, json_line, value},
    encodings::{LITTLE, utf16},
};

fn lines() -> String {
    (1..=ROWS).map(|it| json_line(it) + "\n").collect()
}

fn expected() -> Vec<serde_json::Value> {
    (1..=ROWS).map(value).collect()
}

#[test]
fn a_packed_file_is_told_by_its_bytes_whatever_its_name_is() {
    for name in [
        "rows.jsonl.gz",
        "rows.jsonl",
        "rows",
        "rows.gz",
        "rows.json.zst",
    ] {
        for (bytes, compression) in [
            (
                gzip(lines().as_bytes(), Level::default()),
                Compression::Gzip,
            ),
            (zstd(lines().as_bytes()), Compression::Zstd),
        ] {
            let file = File::new(name, &bytes);
            assert_eq!(file.open().compression(), Some(compression));
            assert_eq!(file.values(), expected(), "{name}");
        }
    }
    assert_eq!(
        File::new("rows.jsonl.gz", lines().as_bytes()).values(),
        expected()
    );
}

#[test]
fn every_format_and_encoding_may_be_packed() {
    let text = utf16("a\tb\r\n1\t2\r\n".encode_utf16(), LITTLE);
    let file = File::new("a.tsv.gz", &gzip(&text, Level::fast()));
    assert_eq!(file.values(), [json!({"a": "1", "b": "2"})]);
    let file = File::new("a.csv.zst", &zstd(b"a;b\r\ncaf\xe9;2\r\n"));
    assert_eq!(file.open().encoding(), Encoding::Windows1252);
    assert_eq!(file.values(), [json!({"a": "café", "b": "2"})]);
    let file = File::new("a.txt.gz", &gzip(b"one\ntwo\n", Level::fast()));
    assert_eq!(file.open().format(), Format::Text);
    assert_eq!(file.values().len(), 2);
}

#[test]
fn members_with_every_optional_field_are_read() {
    let member = gzip(lines().as_bytes(), Level::default());
    let mut with_fields = member[..10].to_vec();
    with_fields[3] = 0b1_1110;
    with_fields.extend(b"\x03\0abcname\0comment\0\x12\x34");
    with_fields.extend(&member[10..]);
    let empty = gzip(b"", Level::default());
    let file = File::new("a", &[&with_fields[..], &empty, &member].concat());
    assert_eq!(file.values(), [expected(), expected()].concat());
}

#[test]
fn frames_without_data_between_others_are_skipped() {
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let frame = zstd(lines().as_bytes());
    let file = File::new("a", &[&skipped[..], &frame, skipped, &frame].concat());
    assert_eq!(file.values(), [expected(), expected()].concat());
}

/// 300 rows as `zstd -19` packs them.
const OF_ZSTD: &[u8] = b"(\xb5/\xfd\x04h\xc5\x01\x00\x84\x02{\"a\": \"the same again and\", \"b\": 0}\x0a12}\x0a\x04\x00\xb70`\xf8\x01\xa0\xab\xa9\xe2+V\xc6^J.\x8a";

/// The same as `gzip -9` packs them.
const OF_GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xcd!\x0e\x83P\x10@A\xcf)6\xab\x11\x80\xecm\xb6\x81\x14\x04\x98\xe2H\xef\xde&\xbd\xc0\x0fz\xdc\x13/\x99++\x1f\x91\xe7\xba\xc4\xbb\xf6%\xeaU\xdb\x11u\xcc\xff\xca>\xf2\xf9\x1b\x86Ow\xb5\x9dc\xf395\x9ft:\x9dN\xa7\xd3\xe9t:\x9dN\xa7\xd3\xe9t:\x9dN\xa7\xd3\xe9t:\x9dN\xa7\xd3\xe9t:\x9dN\xa7\xd3\xe9t:\x9dN\xa7\xd3\xe97\xf4/([\x8cM81\x00\x00";

#[test]
fn what_the_usual_tools_pack_is_read() {
    for bytes in [OF_ZSTD, OF_GZIP] {
        let rows = File::new("rows.jsonl", bytes).values();
        let row = |it| json!({"a": "the same again and again", "b": it % 3});
        assert_eq!(rows, (0..300).map(row).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_behind_a_row_limit_is_not_unpacked() {
    let bomb = gzip(&vec![b' '; 64 << 20], Level::fast());
    let file = File::new("a.jsonl", &bomb);
    let finding = file.read().remove(0).unwrap_err();
    assert_eq!(finding.code, "row_too_long");
}

#[test]
fn a_file_that_is_packed_twice_is_refused() {
    let twice = gzip(&gzip(lines().as_bytes(), Level::fast()), Level::fast());
    let error = llmopt_dataset::open(&File::new("a.jsonl.gz.gz", &twice).path).unwrap_err();
    assert!(error.to_string().contains("unpack it once"), "{error}");
}

#[test]
fn a_table_that_is_cut_off_in_its_last_field_has_no_such_row() {
    let packed = gzip(b"a,b\n1,2\n3,forty\n", Level::none());
    let file = File::new("a.csv", &packed[..packed.len() - 8 - 3]);
    let mut results = file.read();
    let finding = results.pop().unwrap().unwrap_err();
    assert_eq!((results.len(), finding.place.row), (1, Some(2)));
    assert_eq!(finding.found, "the end of the file after row 1");
}

/// Tells whether a file is refused, or gives exactly the rows that it was made of.
fn is_refused_or_whole(bytes: &[u8]) -> bool {
    let file = File::new("rows.jsonl", bytes);
    let Ok(reader) = llmopt_dataset::open(&file.path) else {
        return true;
    };
    let rows: Result<Vec<_>, _> = reader.collect();
    rows.map_or(true, |rows| {
        let rows = rows.into_iter().map(|row| row.fields.into());
        rows.collect::<Vec<serde_json::Value>>() == expected()
    })
}

#[test]
fn no_flipped_bit_in_any_byte_of_a_packed_file_changes_a_row_unnoticed() {
    let lines = lines();
    for packed in [
        gzip(lines.as_bytes(), Level::default()),
        zstd(lines.as_bytes()),
    ] {
        for place in 0..packed.len() {
            let mut flipped = packed.clone();
            flipped[place] ^= 1 << (place % 8);
            assert!(is_refused_or_whole(&flipped), "byte {place}");
        }
    }
}

#[test]
fn no_end_of_a_packed_file_goes_unnoticed() {
    let lines = lines();
    for packed in [
        gzip(lines.as_bytes(), Level::default()),
        zstd(lines.as_bytes()),
    ] {
        for length in 1..packed.len() {
            let file = File::new("rows.jsonl", &packed[..length]);
            let errors = file.read().iter().filter(|row| row.is_err()).count();
            assert_eq!(errors, 1, "{length} bytes");
        }
    }
}

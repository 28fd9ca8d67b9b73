use std::fs;

use super::*;
use crate::testing::{data, file};
use serde_json::json;

fn rows(extension: &str, bytes: &[u8]) -> Vec<Result<Row, String>> {
    let file = file(extension, bytes);
    open(file.path())
        .unwrap()
        .map(|row| row.map_err(|error| error.to_string()))
        .collect()
}

#[test]
fn the_three_formats_give_the_same_rows() {
    let expected: Vec<_> = [("a", "1,\n2"), ("é\"", "")]
        .map(|(x, y)| json!({"x": x, "y": y}))
        .to_vec();
    for (extension, text) in [
        (
            ".jsonl",
            "\u{feff}{\"x\":\"a\",\"y\":\"1,\\n2\"}\r\n\r\n{\"x\":\"é\\\"\",\"y\":\"\"}",
        ),
        (
            ".json",
            "[{\"x\":\"a\",\"y\":\"1,\\n2\"},\n{\"x\":\"é\\\"\",\"y\":\"\"}]\n",
        ),
        (".csv", "\u{feff}x,y\r\na,\"1,\n2\"\r\n\"é\"\"\",\r\n"),
        (
            ".txt",
            "{\"x\":\"a\",\"y\":\"1,\\n2\"}\n{\"x\":\"é\\\"\",\"y\":\"\"}",
        ),
    ] {
        let found: Vec<_> = rows(extension, text.as_bytes())
            .into_iter()
            .map(|row| Value::Object(row.unwrap().fields))
            .collect();
        assert_eq!(found, expected, "{extension}");
    }
}

#[test]
fn rows_know_their_number_and_line() {
    let found = rows(".csv", b"x,y\n1,\"a\nb\"\n2,c\n");
    let places: Vec<_> = found
        .into_iter()
        .map(|row| row.unwrap())
        .map(|row| (row.number, row.line))
        .collect();
    assert_eq!(places, [(1, 2), (2, 4)]);
    let found = rows(".jsonl", b"\n{}\n\n{}\n");
    let places: Vec<_> = found
        .into_iter()
        .map(|row| row.unwrap())
        .map(|row| (row.number, row.line))
        .collect();
    assert_eq!(places, [(1, 2), (2, 4)]);
}

#[test]
fn a_broken_row_is_named_and_the_next_is_read() {
    let found = rows(
        ".jsonl",
        b"{\"x\":1}\n{\"x\":\n[1]\n{\"x\":\"\xff\"}\n{\"x\":1,\"x\":2}\n{\"x\":2}\n",
    );
    assert_eq!(found.len(), 6);
    for (index, expected) in [
        (1, "row 2 (line 2)"),
        (2, "row 3 (line 3)"),
        (3, "not UTF-8"),
        (4, "the key `x` twice"),
    ] {
        let error = found[index].as_ref().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(found[5].as_ref().unwrap().number, 6);
}

#[test]
fn a_ragged_csv_row_is_named() {
    let found = rows(".csv", b"x,y\n1\n1,2\n");
    let error = found[0].as_ref().unwrap_err();
    assert!(
        error.contains("row 1 (line 2): expected 2 values, as in the header, found 1"),
        "{error}"
    );
    assert!(found[1].is_ok());
}

#[test]
fn a_header_with_one_name_twice_is_refused() {
    let file = file(".csv", b"x,x\n1,2\n");
    let error = open(file.path()).unwrap_err().to_string();
    assert!(error.contains("two columns called `x`"), "{error}");
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for extension in [".jsonl", ".json"] {
        let found = rows(extension, "[".repeat(100_000).as_bytes());
        assert!(found.len() == 1 && found[0].is_err());
        let nested = format!(
            "[{{\"x\":{}1{}}}]",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(rows(extension, nested.as_bytes())[0].is_err());
    }
}

#[test]
fn what_is_no_dataset_is_refused_by_what_it_begins_with() {
    let parquet = file(".parquet", b"PAR1");
    let error = open(parquet.path()).unwrap_err().to_string();
    assert!(error.contains("found `PAR1…`"), "{error}");
    let empty = file("", b"");
    assert!(
        open(empty.path())
            .unwrap_err()
            .to_string()
            .contains("an empty file")
    );
    assert!(matches!(
        open(Path::new("no-such.jsonl")),
        Err(DatasetError::Io { .. })
    ));
}

#[test]
fn the_csv_spectrum_is_read_as_it_says() {
    let Some(root) = data("csv_spectrum") else {
        return;
    };
    let mut checked = 0;
    for entry in fs::read_dir(root.join("csvs")).unwrap() {
        let path = entry.unwrap().path();
        // Its two halves disagree about a telephone number.
        if path.ends_with("location_coordinates.csv") {
            continue;
        }
        let expected = root
            .join("json")
            .join(path.file_stem().unwrap())
            .with_extension("json");
        let expected: Value = serde_json::from_slice(&fs::read(expected).unwrap()).unwrap();
        let found: Vec<Value> = open(&path)
            .unwrap()
            .map(|row| Value::Object(row.unwrap().fields))
            .collect();
        assert_eq!(Value::Array(found), expected, "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn the_json_suite_is_accepted_and_refused_as_it_says() {
    let Some(root) = data("json_test_suite/test_parsing") else {
        return;
    };
    let (mut accepted, mut refused) = (0, 0);
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read(&path).unwrap();
        // Any document may stand as a field's value. A line end within it would end the row.
        if text.contains(&b'\n') || text.contains(&b'\r') {
            continue;
        }
        let row = [b"{\"x\":", &text[..], b"}"].concat();
        let found = rows(".jsonl", &row);
        let parsed = found.len() == 1 && found[0].is_ok();
        match name.as_bytes()[0] {
            b'y' => accepted += usize::from(parsed || panic!("{name}: {found:?}")),
            // `n_structure_object_with_trailing_garbage` and its like cannot become valid by being wrapped.
            b'n' => refused += usize::from(!parsed || panic!("{name} was accepted")),
            _ => {}
        }
    }
    assert!(accepted > 80 && refused > 150, "{accepted} {refused}");
}

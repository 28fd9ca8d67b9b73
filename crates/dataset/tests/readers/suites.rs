//! Files that others collected to break readers.

use std::{fs, path::PathBuf};

use crate::cases::File;

/// Returns the folder of outside data, or says that the test is skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find outside data through this one variable"
)]
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA");
    if folder.is_none() {
        println!("skipped: LLMOPT_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

/// Two keys that are alike, of which one value would be lost: JSON allows it, and a dataset does not.
const TWICE: [&str; 2] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

#[test]
fn every_value_of_the_json_test_suite_is_a_column_or_refused_as_it_says() {
    let Some(data) = test_data() else { return };
    let mut files = 0;
    for entry in fs::read_dir(data.join("json_test_suite/test_parsing")).unwrap() {
        let entry = entry.unwrap();
        let (name, bytes) = (entry.file_name(), fs::read(entry.path()).unwrap());
        check_value(name.to_str().unwrap(), &bytes);
        files += 1;
    }
    assert_eq!(files, 318);
}

/// Reads a value as the only column of the only row, of a list and of JSON lines.
fn check_value(name: &str, bytes: &[u8]) {
    let row = [b"{\"value\": ", bytes, b"}"].concat();
    let list = [b"[", &row[..], b"]"].concat();
    // Outside strings, where alone JSON may have it, a line feed is as good as a space.
    let line = row
        .iter()
        .map(|&byte| if byte == b'\n' { b' ' } else { byte });
    let line = if name.starts_with("y_") {
        line.collect()
    } else {
        row.clone()
    };
    for (file, bytes) in [("rows.json", list), ("rows.jsonl", line)] {
        let results = File::new(file, &bytes).read();
        let is_refused = results.iter().any(Result::is_err);
        match &name[..2] {
            "y_" => assert_eq!(is_refused, TWICE.contains(&name), "{name}: {results:?}"),
            "n_" => assert!(is_refused, "{name} as {file}: {results:?}"),
            _ => assert_eq!(results.len(), 1, "{name}: {results:?}"),
        }
    }
}

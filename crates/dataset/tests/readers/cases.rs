//! Files that are broken at a place that is known because it was put there.

use std::{fs, path::PathBuf};

use llmopt_dataset::{DatasetError, Reader, Row, open};
use llmopt_domain::Finding;
use serde_json::{Value, json};

/// How many rows a file has before it is broken.
pub(crate) const ROWS: u64 = 8;

/// A file in a folder of its own, gone with the value.
pub(crate) struct File {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    pub(crate) fn open(&self) -> Reader {
        open(&self.path).unwrap()
    }

    /// Reads everything; what fails otherwise than by its content fails the test.
    pub(crate) fn read(&self) -> Vec<Result<Row, Box<Finding>>> {
        let rows = self.open().map(|row| {
            row.map_err(|error| match error {
                DatasetError::Content(finding) => finding,
                error => panic!("{error:?}"),
            })
        });
        rows.collect()
    }

    /// Reads everything, of which nothing may be broken.
    pub(crate) fn values(&self) -> Vec<Value> {
        let rows = self.read().into_iter();
        rows.map(|row| Value::Object(row.unwrap().fields)).collect()
    }
}

/// The columns of row `number`, of which no two are alike.
pub(crate) fn columns(number: u64) -> [String; 2] {
    let words = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [
        format!("what is {words:x} and {:x}", words.rotate_left(17)),
        format!("it is {:x} of {number}", words.rotate_left(31)),
    ]
}

/// Row `number` as it is read.
pub(crate) fn value(number: u64) -> Value {
    let [prompt, response] = columns(number);
    json!({"prompt": prompt, "response": response})
}

/// Row `number` as one line of JSON, without its end.
pub(crate) fn json_line(number: u64) -> String {
    value(number).to_string()
}

/// All rows as lines, `write` of which writes each without its end, except that `number` is `broken`.
pub(crate) fn lines_with(number: u64, broken: &[u8], write: fn(u64) -> String) -> Vec<u8> {
    let line = |it| {
        if it == number {
            broken.to_vec()
        } else {
            write(it).into_bytes()
        }
    };
    let lines = (1..=ROWS).map(line);
    lines.flat_map(|line| [&line[..], b"\n"].concat()).collect()
}

/// Puts `inserted` into the middle of `text`.
pub(crate) fn insert(text: &str, inserted: &[u8]) -> Vec<u8> {
    let (before, after) = text.as_bytes().split_at(text.len() / 2);
    [before, inserted, after].concat()
}

/// A broken file and the first finding that it must give.
pub(crate) struct Case {
    pub(crate) what: String,
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) code: &'static str,
    /// The row, or none where the file as a whole is broken.
    pub(crate) row: Option<u64>,
    /// How many rows come before the finding.
    pub(crate) good: u64,
    /// What they are, where that is known.
    pub(crate) value: Option<fn(u64) -> Value>,
}

impl Case {
    /// A file whose row `number` is broken.
    pub(crate) fn row(
        number: u64,
        code: &'static str,
        (name, bytes): (&'static str, Vec<u8>),
    ) -> Self {
        Self {
            what: String::new(),
            name,
            bytes,
            code,
            row: Some(number),
            good: number - 1,
            value: Some(value),
        }
    }

    /// A file that is broken behind `good` rows.
    pub(crate) fn file(
        good: u64,
        code: &'static str,
        (name, bytes): (&'static str, Vec<u8>),
    ) -> Self {
        Self {
            what: String::new(),
            name,
            bytes,
            code,
            row: None,
            good,
            value: Some(value),
        }
    }

    /// Says how it is broken.
    pub(crate) fn by(mut self, what: &str) -> Self {
        self.what = what.to_owned();
        self
    }

    /// Reads the file, and checks everything up to the first finding.
    pub(crate) fn check(&self) {
        let context = format!("{} in {:?} of `{}`", self.what, self.row, self.name);
        let results = File::new(self.name, &self.bytes).read();
        let mut read = 0;
        for row in results.iter().map_while(|result| result.as_ref().ok()) {
            read += 1;
            assert_eq!(row.number, read, "{context}");
            if let Some(value) = self.value {
                assert_eq!(Value::Object(row.fields.clone()), value(read), "{context}");
            }
        }
        assert_eq!(read, self.good, "{context}: {results:?}");
        let Some(Err(finding)) = results.get(read as usize) else {
            panic!("{context} was not found");
        };
        assert_eq!(finding.code, self.code, "{context}: {finding}");
        assert_eq!(finding.place.row, self.row, "{context}: {finding}");
        for said in [&finding.expected, &finding.found, &finding.fix] {
            assert!(!said.is_empty(), "{context}");
        }
        if self.row.is_none() && self.code == "broken_compression" {
            let last = format!("after row {}", self.good);
            assert!(finding.found.ends_with(&last), "{context}: {finding}");
        }
    }
}

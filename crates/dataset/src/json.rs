use std::io;

use crate::{
    jsonl::too_long,
    problem::Problem,
    reader::Found,
    source::{MAX_ROW_BYTES, Source},
    strict::parse_row,
};

/// The elements of a JSON list, or JSON values one after the other, without ever holding more than one.
///
/// Only brackets and quotes are followed here, to find where an element ends; what is between them is
/// checked when the element is parsed.
#[derive(Debug)]
pub(crate) struct Elements {
    pub(crate) source: Source,
    element: Vec<u8>,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Beginning,
    FirstOrEnd,
    CommaOrEnd,
    /// Values one after the other, without a list around them.
    ValueOrEnd,
    Nothing,
}

impl Elements {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            element: Vec::new(),
            expects: Expects::Beginning,
        }
    }

    /// Reads the next element.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.expects == Expects::Nothing {
            return Ok(None);
        }
        self.source.skip_whitespace()?;
        let byte = self.source.peek()?;
        match (self.expects, byte) {
            (Expects::Nothing, _) | (Expects::ValueOrEnd, None) => Ok(None),
            (Expects::Beginning, None) => self.broken("a list of rows", "an empty file"),
            (Expects::Beginning, Some(b'[')) => {
                self.source.bump()?;
                self.expects = Expects::FirstOrEnd;
                self.next()
            }
            (Expects::Beginning, Some(_)) => {
                self.expects = Expects::ValueOrEnd;
                self.element()
            }
            (Expects::FirstOrEnd | Expects::CommaOrEnd, None) => {
                self.broken("`]` at the end of the list", "the end of the file")
            }
            (Expects::FirstOrEnd | Expects::CommaOrEnd, Some(b']')) => self.close(),
            (Expects::CommaOrEnd, Some(b',')) => {
                self.source.bump()?;
                self.source.skip_whitespace()?;
                self.element()
            }
            (Expects::CommaOrEnd, Some(_)) => self.unexpected("`,` or `]` after a row"),
            (Expects::FirstOrEnd | Expects::ValueOrEnd, Some(_)) => self.element(),
        }
    }

    fn close(&mut self) -> io::Result<Option<Found>> {
        self.source.bump()?;
        self.source.skip_whitespace()?;
        if self.source.peek()?.is_some() {
            return self.unexpected("nothing after the list");
        }
        self.expects = Expects::Nothing;
        Ok(None)
    }

    fn element(&mut self) -> io::Result<Option<Found>> {
        let line = self.source.line();
        if let Err(problem) = self.scan()? {
            self.expects = Expects::Nothing;
            return Ok(Some((line, Err(problem))));
        }
        if self.element.is_empty() {
            return self.unexpected("a row");
        }
        if self.expects == Expects::FirstOrEnd {
            self.expects = Expects::CommaOrEnd;
        }
        Ok(Some((line, parse_row(&self.element, line))))
    }

    /// Takes one element's bytes.
    fn scan(&mut self) -> io::Result<Result<(), Problem>> {
        self.element.clear();
        let mut depth = 0_u64;
        while let Some(byte) = self.source.peek()? {
            match byte {
                b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => {
                    return Ok(Ok(()));
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.take()?;
            if byte == b'"'
                && let Err(problem) = self.scan_text()?
            {
                return Ok(Err(problem));
            }
            if self.element.len() > MAX_ROW_BYTES {
                return Ok(Err(too_long()));
            }
            if depth == 0 && matches!(byte, b'}' | b']' | b'"') {
                return Ok(Ok(()));
            }
        }
        let closed = depth == 0;
        Ok(closed.then_some(()).ok_or_else(|| cut_off(depth)))
    }

    /// Takes the rest of a string after its opening quote.
    fn scan_text(&mut self) -> io::Result<Result<(), Problem>> {
        let line = self.source.line();
        loop {
            match self.take()? {
                Some(b'"') => return Ok(Ok(())),
                Some(b'\\') => {
                    self.take()?;
                }
                Some(b'\n') | None => return Ok(Err(unclosed_text(line))),
                Some(_) if self.element.len() > MAX_ROW_BYTES => return Ok(Err(too_long())),
                Some(_) => {}
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.source.bump()?;
        self.element.extend(byte);
        Ok(byte)
    }

    fn unexpected(&mut self, expected: &str) -> io::Result<Option<Found>> {
        let found = match self.source.peek()? {
            Some(byte) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Some(byte) => format!("the byte `0x{byte:02x}`"),
            None => "the end of the file".to_owned(),
        };
        self.broken(expected, &found)
    }

    /// Ends the stream: where the next row begins cannot be told.
    fn broken(&mut self, expected: &str, found: &str) -> io::Result<Option<Found>> {
        self.expects = Expects::Nothing;
        let fix = "mend the JSON there; nothing after it was read";
        let problem = Problem::file("broken_file", expected, found, fix);
        Ok(Some((self.source.line(), Err(problem))))
    }
}

fn cut_off(depth: u64) -> Problem {
    Problem::row(
        "unparsable_row",
        "a row with all its brackets closed",
        format!("the end of the file with {depth} open"),
        "the row is cut off: write it again, or delete it",
    )
}

fn unclosed_text(line: u64) -> Problem {
    Problem::row(
        "unparsable_row",
        "a closing `\"`",
        format!("the end of line {line} in a string"),
        "close the quote, and write line feeds in strings as `\\n`; nothing after it was read",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::testing::{File, numbers_and_lines, rows_and_errors, test_data};

    fn errors(text: &str) -> Vec<String> {
        let (_, errors) = rows_and_errors(&File::new("a.json", text.as_bytes()));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_over_many_lines_is_read_row_by_row() {
        let text = "\u{feff}\r\n[\r\n  {\"a\": \"]},{\\\"\"},\n  {\n\"a\": {\"b\": [1]}}\n]\n";
        let file = File::new("a.json", text.as_bytes());
        assert_eq!(numbers_and_lines(&file), [(1, 3), (2, 4)]);
    }

    #[test]
    fn objects_without_a_list_around_them_are_rows() {
        let file = File::new("a.json", b"{\"a\": 1}\n{\"a\":\n2}");
        assert_eq!(numbers_and_lines(&file), [(1, 1), (2, 2)]);
    }

    #[test]
    fn an_empty_list_has_no_rows() {
        let (rows, errors) = rows_and_errors(&File::new("a.json", b" [ ] "));
        assert!(rows.is_empty() && errors.is_empty());
    }

    #[test]
    fn rows_after_one_that_does_not_parse_are_read() {
        let file = File::new("a.json", b"[{\"a\": 1}, {a: 2}, 3, {\"a\": 4}]");
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            [1, 4]
        );
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn a_list_that_is_no_json_is_refused() {
        for text in [
            "",
            "[",
            "[{}",
            "[{},",
            "[{},]",
            "[,{}]",
            "[{} {}]",
            "[{}]]",
            "[{}] x",
            "{} }",
            "[{\"a\": \"\n\"}]",
        ] {
            assert_eq!(errors(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_list_that_was_cut_off_says_where() {
        let said = errors("[{\"a\": 1},\n{\"a\": [2");
        assert!(
            said[0].contains("row 2 (line 2)") && said[0].contains("cut off"),
            "{said:?}"
        );
    }

    #[test]
    fn a_hundred_thousand_brackets_are_an_error() {
        assert_eq!(errors(&"[".repeat(100_000)).len(), 1);
        let closed = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(errors(&closed)[0].contains("recursion limit"));
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_back(texts in prop::collection::vec(".*", 0..8)) {
            let rows: Vec<Value> = texts.iter().map(|text| json!({"a": text, "b": [text]})).collect();
            let file = File::new("a.json", serde_json::to_string_pretty(&rows).unwrap().as_bytes());
            let (read, errors) = rows_and_errors(&file);
            prop_assert!(errors.is_empty());
            let read: Vec<Value> = read.into_iter().map(|row| Value::Object(row.fields)).collect();
            prop_assert_eq!(read, rows);
        }
    }

    #[test]
    fn the_json_test_suite_is_read_or_refused_as_it_says() {
        let Some(data) = test_data() else { return };
        let folder = data.join("json_test_suite/test_parsing");
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (name, bytes) = (entry.file_name(), fs::read(entry.path()).unwrap());
            let name = name.to_str().unwrap();
            for copy in [name.to_owned(), format!("{name}l")] {
                check_suite_file(name, &File::new(&copy, &bytes));
            }
            files += 1;
        }
        assert_eq!(files, 318);
    }

    fn check_suite_file(name: &str, file: &File) {
        let Ok(reader) = crate::open(&file.path) else {
            assert!(!name.starts_with("y_"), "{name}");
            return;
        };
        let results: Vec<_> = reader.collect();
        let refused = results.iter().any(Result::is_err);
        let blank = fs::read(&file.path).unwrap();
        let blank = file.path.extension() == Some("jsonl".as_ref())
            && blank
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(&blank)
                .trim_ascii()
                .is_empty();
        if name.starts_with("n_") {
            assert!(refused || blank, "{name}");
        } else if name.starts_with("y_object_") {
            let twice = name.contains("duplicated_key");
            let lines = name == "y_object_with_newlines.json"
                && file.path.extension() == Some("jsonl".as_ref());
            assert_eq!(refused, twice || lines, "{name}: {results:?}");
        }
    }
}

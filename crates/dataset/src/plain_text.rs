use std::io;

use serde_json::{Map, Value};

use crate::{
    jsonl::too_long,
    problem::Problem,
    reader::Found,
    source::{MAX_ROW_BYTES, Source},
    strict::text,
};

/// What is a row of a text without any structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRows {
    /// Each line that is not blank.
    Lines,
    /// Each paragraph, which is what stands between blank lines; its lines are joined by line feeds.
    Paragraphs,
}

/// The column that a text's rows have.
const COLUMN: &str = "text";

/// The rows of a plain text. Lines end with a line feed, a carriage return, or both.
#[derive(Debug)]
pub(crate) struct PlainText {
    pub(crate) source: Source,
    rows: TextRows,
    line: Vec<u8>,
    ended: bool,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Line,
    Text,
    TooLong,
}

impl PlainText {
    pub(crate) fn new(source: Source, rows: TextRows) -> Self {
        Self {
            source,
            rows,
            line: Vec::new(),
            ended: false,
        }
    }

    /// Reads the next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let (mut row, mut first) = (Vec::new(), self.source.line());
        while !self.ended {
            let number = self.source.line();
            let end = self.read_line(MAX_ROW_BYTES - row.len())?;
            self.ended = end != End::Line;
            if end == End::TooLong {
                return Ok(Some((first, Err(too_long()))));
            }
            let is_blank = self.line.trim_ascii().is_empty();
            if row.is_empty() {
                first = number;
            } else if is_blank {
                break;
            }
            if !is_blank {
                row.append(&mut self.line);
                row.push(b'\n');
            }
            if self.rows == TextRows::Lines && !is_blank {
                break;
            }
        }
        // Without the last line feed; a row without any is none.
        Ok(row.pop().map(|_| (first, fields(row, first))))
    }

    /// Takes the next line without its end, where it has less than `room` bytes.
    fn read_line(&mut self, room: usize) -> io::Result<End> {
        self.line.clear();
        loop {
            match self.source.bump()? {
                None => return Ok(End::Text),
                Some(byte @ (b'\n' | b'\r')) => {
                    self.source.end_line(byte)?;
                    return Ok(End::Line);
                }
                Some(_) if self.line.len() + 1 >= room => return Ok(End::TooLong),
                Some(byte) => self.line.push(byte),
            }
        }
    }
}

fn fields(row: Vec<u8>, line: u64) -> Result<Map<String, Value>, Problem> {
    let text = text(row, line)?;
    Ok(Map::from_iter([(COLUMN.to_owned(), text.into())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReadOptions, open_with,
        testing::{File, numbers_and_lines, rows_and_errors},
    };

    fn texts(file: &File, rows: TextRows) -> Vec<(u64, u64, String)> {
        let options = ReadOptions {
            text_rows: Some(rows),
            ..ReadOptions::default()
        };
        let rows = open_with(&file.path, &options).unwrap().map(|row| {
            let row = row.unwrap();
            let text = row.fields["text"].as_str().unwrap().to_owned();
            (row.number, row.line, text)
        });
        rows.collect()
    }

    fn row(number: u64, line: u64, text: &str) -> (u64, u64, String) {
        (number, line, text.to_owned())
    }

    #[test]
    fn each_line_that_is_not_blank_is_a_row() {
        let file = File::new("a.txt", b"\n one, two \r\n\r\n  \n{three\rfour");
        let expected = [
            row(1, 2, " one, two "),
            row(2, 5, "{three"),
            row(3, 6, "four"),
        ];
        assert_eq!(texts(&file, TextRows::Lines), expected);
        assert_eq!(numbers_and_lines(&file), [(1, 2), (2, 5), (3, 6)]);
    }

    #[test]
    fn lines_between_blank_lines_are_a_paragraph() {
        let text = b"# one\n\n\ntwo\r\nthree\r\n \nfour\rfive\r\rsix\n\n";
        let file = File::new("a.txt", text);
        let expected = [
            row(1, 1, "# one"),
            row(2, 4, "two\nthree"),
            row(3, 7, "four\nfive"),
            row(4, 10, "six"),
        ];
        assert_eq!(texts(&file, TextRows::Paragraphs), expected);
    }

    #[test]
    fn paragraphs_are_the_rows_of_markdown() {
        let file = File::new("a.md", b"one\ntwo\n\nthree");
        assert_eq!(numbers_and_lines(&file), [(1, 1), (2, 4)]);
    }

    #[test]
    fn a_line_that_is_no_text_is_refused_and_the_next_is_read() {
        let file = File::new("a.txt", b"caf\xc3\xa9\ncaf\xe9\nthree");
        let (rows, errors) = rows_and_errors(&file);
        let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
        assert_eq!((numbers, errors.len()), (vec![1, 3], 1));
        let place = &errors[0].place;
        assert_eq!(errors[0].code, "invalid_utf8");
        assert_eq!((place.row, place.line), (Some(2), Some(2)));
    }

    #[test]
    fn a_line_without_end_is_not_loaded() {
        let file = File::new("a.txt", &vec![b'x'; MAX_ROW_BYTES + 2]);
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!((rows.len(), errors.len()), (0, 1));
        assert_eq!(errors[0].code, "row_too_long");
    }

    #[test]
    fn a_paragraph_without_end_is_not_loaded() {
        let file = File::new("a.md", &b"words\n".repeat(MAX_ROW_BYTES / 6 + 1));
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!((rows.len(), errors.len()), (0, 1));
        assert_eq!(errors[0].code, "row_too_long");
    }
}

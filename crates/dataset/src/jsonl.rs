use std::io;

use crate::{
    problem::Problem,
    reader::Found,
    source::{Line, MAX_ROW_BYTES, Source},
    strict::parse_row,
};

/// The rows of a file that has one JSON object on each line.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) source: Source,
    buffer: Vec<u8>,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            ended: false,
        }
    }

    /// Reads the next line that is not blank.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        while !self.ended {
            let line = self.source.line();
            match self.source.read_line(&mut self.buffer)? {
                Line::Read => {
                    let text = self.buffer.trim_ascii();
                    if !text.is_empty() {
                        return Ok(Some((line, parse_row(text, line))));
                    }
                }
                Line::TooLong => {
                    self.ended = true;
                    return Ok(Some((line, Err(too_long()))));
                }
                Line::End => self.ended = true,
            }
        }
        Ok(None)
    }
}

/// The problem of a row that is larger than any row can be.
pub(crate) fn too_long() -> Problem {
    Problem::row(
        "row_too_long",
        format!("a row of at most {} MiB", MAX_ROW_BYTES >> 20),
        "a longer one; what comes after it was not read",
        "end each row with a line feed, and close every quote and bracket",
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, numbers_and_lines, rows_and_errors};

    #[test]
    fn blank_lines_do_not_count_and_line_endings_do_not_matter() {
        let file = File::new(
            "a.jsonl",
            b"\xef\xbb\xbf{\"a\": 1}\r\n\r\n  \n{\"a\": 2}\n\n{\"a\": 3}",
        );
        assert_eq!(numbers_and_lines(&file), [(1, 1), (2, 4), (3, 6)]);
    }

    #[test]
    fn rows_after_a_broken_one_are_read() {
        let file = File::new(
            "a.jsonl",
            b"{\"a\": 1}\n{\"a\": \n{\"a\": \"\xff\"}\n{\"a\": 4}\n",
        );
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            [1, 4]
        );
        assert_eq!(errors[0].code, "unparsable_row");
        assert_eq!(
            (errors[0].place.row, errors[0].place.line),
            (Some(2), Some(2))
        );
        assert_eq!(errors[1].code, "invalid_utf8");
        assert!(errors[1].found.contains("line 3"));
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_an_error_that_says_so() {
        let file = File::new("a.jsonl", b"{\"a\": 1}\n{\"a\": \"hel");
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!((rows.len(), errors.len()), (1, 1));
        assert!(errors[0].fix.contains("cut off"), "{}", errors[0]);
    }

    #[test]
    fn a_line_without_end_is_not_loaded() {
        let file = File::new("a.jsonl", &vec![b'['; (16 << 20) + 2]);
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!((rows.len(), errors.len()), (0, 1));
        assert_eq!(errors[0].code, "row_too_long");
    }

    #[test]
    fn an_empty_file_has_no_rows() {
        let (rows, errors) = rows_and_errors(&File::new("a.jsonl", b""));
        assert!(rows.is_empty() && errors.is_empty());
    }
}

use std::{collections::HashSet, io};

use serde_json::{Map, Value};

use crate::{
    jsonl::too_long,
    problem::{Problem, quoted, shortened},
    reader::Found,
    source::{MAX_ROW_BYTES, Source},
    strict::{line_ends, text},
};

/// The records of a CSV file (RFC 4180, and `;` or tabs as separators, and lines that end with a carriage return
/// alone) under the names of its header.
///
/// Stricter than is usual: a quote that is never closed, or text after a closing quote, is an error and
/// not a longer field.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) source: Source,
    separators: Separators,
    separator: u8,
    header: Option<Vec<String>>,
    ended: bool,
}

/// What a table's columns may be separated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separators {
    /// Commas, semicolons or tabs.
    Any,
    /// Tabs wherever there is one, because the file's name says so.
    TabsFirst,
}

type Record = Vec<Vec<u8>>;

/// What comes after a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Field,
    Record,
}

impl Table {
    pub(crate) fn new(source: Source, separators: Separators) -> Self {
        Self {
            source,
            separators,
            separator: b',',
            header: None,
            ended: false,
        }
    }

    /// Reads the next record.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.header.is_none() && !self.ended {
            self.separator = separator(&self.source.table_line()?, self.separators);
            if let Some(problem) = self.read_header()? {
                self.ended = true;
                return Ok(Some(problem));
            }
        }
        let Some((line, record)) = self.filled_record()? else {
            return Ok(None);
        };
        let header = self.header.as_deref().unwrap_or_default();
        Ok(Some((line, record.and_then(|it| fields(header, it, line)))))
    }

    fn read_header(&mut self) -> io::Result<Option<Found>> {
        let Some((line, record)) = self.filled_record()? else {
            return Ok(None);
        };
        let header = record.and_then(|record| {
            let names = record.into_iter().map(|name| text(name, line));
            check_header(names.collect::<Result<Vec<_>, _>>()?)
        });
        Ok(match header {
            Ok(names) => {
                self.header = Some(names);
                None
            }
            Err(problem) => Some((line, Err(problem.of_file()))),
        })
    }

    /// Reads the next record that is not a blank line.
    fn filled_record(&mut self) -> io::Result<Option<(u64, Result<Record, Problem>)>> {
        while !self.ended && self.source.peek()?.is_some() {
            let line = self.source.line();
            let record = self.record()?;
            if !matches!(record.as_deref(), Ok([only]) if only.is_empty()) {
                return Ok(Some((line, record)));
            }
        }
        self.ended = true;
        Ok(None)
    }

    fn record(&mut self) -> io::Result<Result<Record, Problem>> {
        let (mut record, mut size) = (Vec::new(), 0);
        loop {
            let mut field = Vec::new();
            let room = MAX_ROW_BYTES.saturating_sub(size);
            let after = match self.field(&mut field, room)? {
                Ok(after) => after,
                Err(problem) => return Ok(Err(problem)),
            };
            size += field.len();
            record.push(field);
            if after == After::Record {
                return Ok(Ok(record));
            }
        }
    }

    fn field(&mut self, field: &mut Vec<u8>, room: usize) -> io::Result<Result<After, Problem>> {
        let is_quoted = self.source.peek()? == Some(b'"');
        if is_quoted && let Err(problem) = self.quoted_text(field, room)? {
            return Ok(Err(problem));
        }
        loop {
            match self.source.bump()? {
                None => return Ok(Ok(After::Record)),
                Some(byte @ (b'\n' | b'\r')) => {
                    self.source.end_line(byte)?;
                    return Ok(Ok(After::Record));
                }
                Some(byte) if byte == self.separator => return Ok(Ok(After::Field)),
                Some(_) if is_quoted => return self.text_after_quote().map(Err),
                Some(_) if field.len() >= room => return Ok(Err(self.end_too_long())),
                Some(byte) => field.push(byte),
            }
        }
    }

    /// Takes text in quotes, in which two quotes stand for one.
    fn quoted_text(&mut self, field: &mut Vec<u8>, room: usize) -> io::Result<Result<(), Problem>> {
        let line = self.source.line();
        self.source.bump()?;
        loop {
            match self.source.bump()? {
                None => return Ok(Err(unclosed_quote(line))),
                Some(b'"') if self.source.peek()? == Some(b'"') => {
                    self.source.bump()?;
                    field.push(b'"');
                }
                Some(b'"') => return Ok(Ok(())),
                Some(_) if field.len() >= room => return Ok(Err(self.end_too_long())),
                Some(byte) => {
                    field.push(byte);
                    self.source.count_line(byte)?;
                }
            }
        }
    }

    /// Goes to the next line, where the next record probably begins.
    fn text_after_quote(&mut self) -> io::Result<Problem> {
        let line = self.source.line();
        while let Some(byte) = self.source.bump()? {
            if matches!(byte, b'\n' | b'\r') {
                self.source.end_line(byte)?;
                break;
            }
        }
        Ok(Problem::row(
            "unparsable_row",
            "a separator or the end of the line after a closing quote",
            format!("other text on line {line}"),
            "write quotes inside a quoted field twice (`\"\"`)",
        ))
    }

    fn end_too_long(&mut self) -> Problem {
        self.ended = true;
        too_long()
    }
}

fn unclosed_quote(line: u64) -> Problem {
    Problem::row(
        "unparsable_row",
        "a closing `\"`",
        format!("the end of the file in a field whose quote opens on line {line}"),
        "close the quote; write quotes inside a quoted field twice (`\"\"`)",
    )
}

/// Tells what separates the columns: what the header has most of, outside quotes.
fn separator(header: &[u8], separators: Separators) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for &byte in header {
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if !is_quoted => {
                let counted = counts.iter_mut().find(|(separator, _)| *separator == byte);
                counted.into_iter().for_each(|(_, count)| *count += 1);
            }
            _ => {}
        }
    }
    let [comma, semicolon, tab] = counts;
    if separators == Separators::TabsFirst && tab.1 > 0 {
        return b'\t';
    }
    let most = |best: (u8, u32), it: (u8, u32)| if it.1 > best.1 { it } else { best };
    [semicolon, tab].into_iter().fold(comma, most).0
}

fn check_header(names: Vec<String>) -> Result<Vec<String>, Problem> {
    let mut known = HashSet::new();
    for name in &names {
        if !known.insert(name) {
            return Err(Problem::file(
                "broken_header",
                "a different name for each column",
                format!("{} twice", quoted([name.as_str()])),
                "rename or remove one of the columns",
            ));
        }
    }
    Ok(names)
}

fn fields(header: &[String], record: Record, line: u64) -> Result<Map<String, Value>, Problem> {
    if record.len() != header.len() {
        return Err(Problem::row(
            "ragged_row",
            format!("{} fields, as in the header", header.len()),
            record.len().to_string(),
            "put fields that contain separators, quotes or line feeds in quotes",
        ));
    }
    let mut line = line;
    let mut fields = Map::new();
    for (name, field) in header.iter().zip(record) {
        let breaks = line_ends(&field);
        let value = text(field, line).map_err(|it| it.in_field(shortened(name)))?;
        fields.insert(name.clone(), value.into());
        line += breaks;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use crate::testing::{File, numbers_and_lines, rows_and_errors, test_data};

    fn values(bytes: &[u8]) -> Value {
        let (rows, errors) = rows_and_errors(&File::new("a.csv", bytes));
        assert!(errors.is_empty(), "{errors:?}");
        rows.into_iter()
            .map(|row| Value::Object(row.fields))
            .collect()
    }

    fn error(bytes: &[u8]) -> String {
        let (_, errors) = rows_and_errors(&File::new("a.csv", bytes));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn a_field_in_quotes_may_have_quotes_separators_and_line_feeds() {
        let file = b"\xef\xbb\xbfa,b\r\n\"x, \"\"y\"\"\r\nz\",2\r\n\r\n3,\n";
        assert_eq!(
            values(file),
            json!([{"a": "x, \"y\"\r\nz", "b": "2"}, {"a": "3", "b": ""}])
        );
        assert_eq!(
            numbers_and_lines(&File::new("a.csv", file)),
            [(1, 2), (2, 5)]
        );
    }

    #[test]
    fn semicolons_and_tabs_separate_where_the_header_has_them() {
        assert_eq!(values(b"a;b\n1,5;2\n"), json!([{"a": "1,5", "b": "2"}]));
        assert_eq!(values(b"\"a,b\"\tc\n1\t2"), json!([{"a,b": "1", "c": "2"}]));
    }

    #[test]
    fn tabs_separate_where_the_name_says_so_and_the_header_has_one() {
        let values = |bytes| {
            let (rows, _) = rows_and_errors(&File::new("a.tsv", bytes));
            Value::Object(rows[0].fields.clone())
        };
        let expected = json!({"a,b,c": "1", "d": "2"});
        assert_eq!(values(b"a,b,c\td\n1\t2\n"), expected);
        assert_eq!(values(b"a,b\n1,2\n"), json!({"a": "1", "b": "2"}));
    }

    #[test]
    fn lines_may_end_with_a_carriage_return_alone() {
        let file = b"a,b\r1,\"x\ry\r\nz\"\r\r2,3\r\n4,5";
        assert_eq!(
            values(file),
            json!([{"a": "1", "b": "x\ry\r\nz"}, {"a": "2", "b": "3"}, {"a": "4", "b": "5"}])
        );
        let file = File::new("a.csv", file);
        assert_eq!(numbers_and_lines(&file), [(1, 2), (2, 6), (3, 7)]);
    }

    #[test]
    fn blank_lines_before_the_header_change_nothing() {
        assert_eq!(values(b"\n\r\na;b\n1;2\n"), json!([{"a": "1", "b": "2"}]));
        let mut file = vec![b'\n'; (1 << 16) - 1];
        file.extend_from_slice(b"a;b\n1;2\n");
        let file = File::new("a.csv", &file);
        assert_eq!(numbers_and_lines(&file), [(1, (1 << 16) + 1)]);
        assert_eq!(rows_and_errors(&file).0[0].fields["b"], "2");
    }

    #[test]
    fn a_header_of_a_million_names_is_checked_in_no_time() {
        let names: String = (0..1_000_000).map(|i| format!("{i},")).collect();
        let said = error(format!("{names}0\n").as_bytes());
        assert!(said.contains("`0` twice"), "{said}");
    }

    #[test]
    fn a_row_with_more_or_fewer_fields_is_refused_and_the_next_is_read() {
        let file = File::new("a.csv", b"a,b\n1\n1,2\n1,2,3\n4,5\n");
        let (rows, errors) = rows_and_errors(&file);
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            [2, 4]
        );
        assert_eq!(errors.len(), 2);
        assert!(
            errors[1]
                .to_string()
                .contains("row 3 (line 4): expected 2 fields"),
            "{}",
            errors[1]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused_where_it_opens() {
        assert!(error(b"a,b\n1,\"2\n3,4\n").contains("opens on line 2"));
    }

    #[test]
    fn text_after_a_closing_quote_is_refused() {
        assert!(error(b"a,b\n\"1\"x,2\n3,4\n").contains("row 1 (line 2)"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_line_and_column() {
        let said = error(b"a,\xc3\xa9\n\"1\n2\",caf\xe9\n");
        assert!(
            said.contains("row 1 (line 2), field `é`") && said.contains("line 3"),
            "{said}"
        );
    }

    #[test]
    fn a_header_with_a_name_twice_is_refused() {
        let said = error(b"a,b,a\n1,2,3\n");
        assert!(
            said.contains("`a` twice") && !said.contains("row 1"),
            "{said}"
        );
    }

    #[test]
    fn a_header_alone_or_nothing_has_no_rows() {
        assert_eq!(values(b"a,b\n"), json!([]));
        assert_eq!(values(b""), json!([]));
    }

    #[test]
    fn csv_spectrum_is_read_as_it_says() {
        let Some(data) = test_data() else { return };
        let mut files = 0;
        for entry in fs::read_dir(data.join("csv_spectrum/csvs")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let json = fs::read(data.join(format!("csv_spectrum/json/{name}.json"))).unwrap();
            let read = values(&fs::read(&path).unwrap());
            match serde_json::from_slice(&json).unwrap() {
                // Its JSON is an object with another telephone number.
                Value::Object(_) => assert_eq!(read[0]["Cities"], "Modesto"),
                expected => assert_eq!(read, expected, "{name}"),
            }
            files += 1;
        }
        assert_eq!(files, 12);
    }
}

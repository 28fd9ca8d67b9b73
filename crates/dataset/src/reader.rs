use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    DatasetError,
    error::{Defect, io_at},
    json_array::{ArrayElements, Element},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file holds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Comma-separated values below a header.
    Csv,
}

/// A row as it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counted from 1; a CSV header and blank lines are no rows.
    pub number: u64,
    /// The line on which the row begins, counted from 1.
    pub line: u64,
    /// The values by column, in the file's order.
    pub fields: Map<String, Value>,
}

/// The rows of a file, one at a time.
///
/// A broken row is an error; the rows after it can still be read.
pub struct Reader {
    path: PathBuf,
    format: Format,
    source: Source,
    number: u64,
}

enum Source {
    Lines {
        input: BufReader<File>,
        line: u64,
    },
    Array(ArrayElements<BufReader<File>>),
    Csv {
        records: csv::ByteRecordsIntoIter<BufReader<File>>,
        header: Vec<String>,
    },
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("path", &self.path)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Opens a dataset. The format is told by the file's extension, else by what it begins with.
///
/// # Errors
/// [`DatasetError::Io`], [`DatasetError::Format`], or a finding about the CSV header.
pub fn open(path: &Path) -> Result<Reader, DatasetError> {
    let mut input = File::open(path).map(BufReader::new).map_err(io_at(path))?;
    let start = input.fill_buf().map_err(io_at(path))?;
    if start.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let format = format_of(path, &mut input)?;
    let source = match format {
        Format::Jsonl => Source::Lines { input, line: 0 },
        Format::Json => Source::Array(ArrayElements::new(input)),
        Format::Csv => open_csv(path, input)?,
    };
    Ok(Reader {
        path: path.to_owned(),
        format,
        source,
        number: 0,
    })
}

fn format_of(path: &Path, input: &mut BufReader<File>) -> Result<Format, DatasetError> {
    let start = input.fill_buf().map_err(io_at(path))?;
    let first = start
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .copied();
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    match (extension.to_ascii_lowercase().as_str(), first) {
        ("jsonl" | "ndjson", _) => Ok(Format::Jsonl),
        ("csv", _) => Ok(Format::Csv),
        (_, Some(b'[')) => Ok(Format::Json),
        (_, Some(b'{')) => Ok(Format::Jsonl),
        ("json", _) => Ok(Format::Json),
        _ => {
            let start = String::from_utf8_lossy(&start[..start.len().min(24)]).into_owned();
            let found = if start.is_empty() {
                "an empty file".to_owned()
            } else {
                format!("`{start}…`")
            };
            Err(DatasetError::Format {
                path: path.to_owned(),
                found,
            })
        }
    }
}

fn open_csv(path: &Path, input: BufReader<File>) -> Result<Source, DatasetError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let defect = |found: String| {
        let expected = "a header line of distinct column names".to_owned();
        let fix = "name every column once in the first line";
        Defect {
            code: "csv_header",
            field: None,
            expected,
            found,
            fix,
        }
        .at(path, None, Some(1))
    };
    let record = reader
        .byte_headers()
        .map_err(|error| defect(error.to_string()))?;
    let header: Result<Vec<String>, _> = record
        .iter()
        .map(|name| String::from_utf8(name.to_vec()))
        .collect();
    let header = header.map_err(|_| defect("bytes that are not UTF-8".to_owned()))?;
    let repeated = header
        .iter()
        .enumerate()
        .find(|(index, name)| header[..*index].contains(name));
    if let Some((_, name)) = repeated {
        return Err(defect(format!("two columns called `{name}`")));
    }
    Ok(Source::Csv {
        records: reader.into_byte_records(),
        header,
    })
}

impl Reader {
    /// Returns the file's format.
    pub fn format(&self) -> Format {
        self.format
    }

    fn next_row(&mut self) -> Result<Option<Row>, DatasetError> {
        let path = &self.path;
        let next = match &mut self.source {
            Source::Lines { input, line } => next_line(input, line).map_err(io_at(path))?,
            Source::Array(elements) => match elements.next().map_err(io_at(path))? {
                Some(Element::Broken { problem, line }) => {
                    return Err(broken_array(problem).at(path, None, Some(line)));
                }
                Some(Element::Text { text, line }) => Some((line, parse_object(&text))),
                None => None,
            },
            Source::Csv { records, header } => match records.next() {
                Some(Err(error)) => return Err(csv_error(path, error)),
                Some(Ok(record)) => Some((
                    record.position().map_or(0, csv::Position::line),
                    fields_of(header, &record),
                )),
                None => None,
            },
        };
        let Some((line, fields)) = next else {
            return Ok(None);
        };
        self.number += 1;
        let fields = fields.map_err(|defect| defect.at(path, Some(self.number), Some(line)))?;
        Ok(Some(Row {
            number: self.number,
            line,
            fields,
        }))
    }
}

impl Iterator for Reader {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

type Parsed = (u64, Result<Map<String, Value>, Defect>);

/// Returns the next line that is not blank.
fn next_line(input: &mut BufReader<File>, line: &mut u64) -> std::io::Result<Option<Parsed>> {
    let mut text = Vec::new();
    while input.read_until(b'\n', &mut text)? > 0 {
        *line += 1;
        if !text.trim_ascii().is_empty() {
            return Ok(Some((*line, parse_object(&text))));
        }
        text.clear();
    }
    Ok(None)
}

fn parse_object(text: &[u8]) -> Result<Map<String, Value>, Defect> {
    let utf8 = std::str::from_utf8(text).map_err(|error| not_utf8(error.valid_up_to()))?;
    let parsed: Result<Fields, _> = serde_json::from_str(utf8);
    parsed.map(|Fields(fields)| fields).map_err(|error| Defect {
        code: "unparsable_row",
        field: None,
        expected: "a JSON object".to_owned(),
        found: error.to_string(),
        fix: "correct the row's JSON: double quotes, commas, closing brackets",
    })
}

fn not_utf8(at: usize) -> Defect {
    Defect {
        code: "invalid_utf8",
        field: None,
        expected: "UTF-8 text".to_owned(),
        found: format!("a byte that is not UTF-8 after {at} bytes"),
        fix: "save the file as UTF-8",
    }
}

fn broken_array(problem: &str) -> Defect {
    Defect {
        code: "broken_array",
        field: None,
        expected: "one JSON array of objects".to_owned(),
        found: problem.to_owned(),
        fix: "the file may be cut off: write it anew, or save it as JSON lines",
    }
}

fn csv_error(path: &Path, error: csv::Error) -> DatasetError {
    let line = error.position().map(csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => io_at(path)(source),
        other => {
            let (expected, found) = ("a CSV row".to_owned(), format!("{other:?}"));
            let fix = "correct the row's quotes and commas";
            Defect {
                code: "unparsable_row",
                field: None,
                expected,
                found,
                fix,
            }
            .at(path, None, line)
        }
    }
}

fn fields_of(header: &[String], record: &csv::ByteRecord) -> Result<Map<String, Value>, Defect> {
    if record.len() != header.len() {
        return Err(Defect {
            code: "ragged_row",
            field: None,
            expected: format!("{} values, as in the header", header.len()),
            found: record.len().to_string(),
            fix: "put quotes around values that hold commas or line ends",
        });
    }
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Value::String(text.to_owned())),
        Err(error) => Err(not_utf8(error.valid_up_to())),
    };
    header
        .iter()
        .zip(record)
        .map(|(name, bytes)| Ok((name.clone(), text(bytes)?)))
        .collect()
}

/// A JSON object in which every key stands once. Which of two values was meant nobody can tell.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Distinct;

        impl<'de> Visitor<'de> for Distinct {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if fields.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the key `{key}` twice")));
                    }
                    fields.insert(key, value);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Distinct)
    }
}

#[cfg(test)]
mod tests;

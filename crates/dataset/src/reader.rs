use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use llmopt_domain::{ColumnMap, Digest, Place};
use serde_json::{Map, Value};

use crate::{
    Compression, DatasetError, Encoding, Format, ReadPosition, TextRows,
    csv::Table,
    damage::Damage,
    json::Elements,
    jsonl::Lines,
    layers::Layers,
    mapping::{Renamed, renamed},
    parquet::Records,
    plain_text::PlainText,
    problem::{Problem, Scope},
    source::Source,
};

/// One row of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The row, counted from 1; blank lines and a CSV header do not count.
    pub number: u64,
    /// The line of the file on which it begins, counted from 1; 0 where the file has no lines.
    pub line: u64,
    /// Its columns, in the order of the file, under the names that they are mapped to.
    pub fields: Map<String, Value>,
    /// Its columns that are called as another is mapped to; they are not read.
    pub set_aside: Map<String, Value>,
}

impl Row {
    pub(crate) fn place(&self, file: &str) -> Place {
        Place {
            file: file.to_owned(),
            row: Some(self.number),
            line: (self.line > 0).then_some(self.line),
            field: None,
        }
    }
}

/// How a file is read, where it does not tell itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is a row of plain text; by default a line, and in Markdown, whose lines say nothing, a paragraph.
    pub text_rows: Option<TextRows>,
    /// Which of the file's columns stand for those that are recognised.
    pub columns: ColumnMap,
}

impl From<ColumnMap> for ReadOptions {
    fn from(columns: ColumnMap) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }
}

/// The rows of a file, one after the other, in constant memory.
///
/// A row that is broken is an error that names it; the rows after it are still read where the format
/// tells where they begin.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    encoding: Encoding,
    compression: Option<Compression>,
    columns: ColumnMap,
    rows: Rows,
    number: u64,
    failed: bool,
}

#[derive(Debug)]
enum Rows {
    Lines(Lines),
    Elements(Elements),
    Table(Table),
    Text(PlainText),
    Records(Records),
}

/// A row or a problem, with the line on which it begins.
pub(crate) type Found = (u64, Result<Map<String, Value>, Problem>);

/// Opens the dataset at `path`.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn open(path: &Path) -> Result<Reader, DatasetError> {
    open_with(path, &ReadOptions::default())
}

/// Opens the dataset at `path`, which is read as `options` say.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn open_with(path: &Path, options: &ReadOptions) -> Result<Reader, DatasetError> {
    open_at(path, options, &ReadPosition::default())
}

/// As [`open_with`], and `position` tells how far the file is read.
pub(crate) fn open_at(
    path: &Path,
    options: &ReadOptions,
    position: &ReadPosition,
) -> Result<Reader, DatasetError> {
    let failed = |source| read_error(path, source);
    let layers = Layers::open_at(path, position).map_err(failed)?;
    let (compression, marked) = (layers.compression, layers.encoding);
    let encoding = marked.unwrap_or(Encoding::Utf8);
    let mut source = layers.text(encoding).map_err(failed)?;
    let head = source.head().map_err(failed)?;
    let format = match Format::detect(path, &head) {
        // The damage says more than that nothing can be told.
        Err(_) if head.is_empty() && source.is_damaged() => Format::Jsonl,
        format => format?,
    };
    if let (Format::Parquet, Some(compression)) = (format, compression) {
        return Err(packed_parquet(path, compression));
    }
    let (encoding, source) = match (marked, format) {
        (None, Format::Csv | Format::Text) => unmarked(path, source, position).map_err(failed)?,
        _ => (encoding, source),
    };
    Ok(Reader {
        path: path.to_owned(),
        format,
        encoding,
        compression,
        columns: options.columns.clone(),
        rows: Rows::new(format, source, path, options, position)?,
        number: 0,
        failed: false,
    })
}

/// Tells the encoding of a file that has no byte order mark and that a spreadsheet or an editor may have written,
/// and reads it so. JSON is UTF-8 (RFC 8259, section 8.1).
fn unmarked(
    path: &Path,
    source: Source,
    position: &ReadPosition,
) -> io::Result<(Encoding, Source)> {
    let encoding = Encoding::of_text(Layers::open(path)?.bytes);
    Ok(match encoding {
        Encoding::Windows1252 => {
            let layers = Layers::open_at(path, position)?;
            (encoding, layers.text(encoding)?)
        }
        _ => (encoding, source),
    })
}

/// A Parquet file is read from its end, which a stream that is unpacked does not have.
fn packed_parquet(path: &Path, compression: Compression) -> DatasetError {
    DatasetError::Unsupported {
        path: path.to_owned(),
        found: format!("a Parquet file, compressed with {compression}"),
        fix: "unpack it: it is compressed in itself",
    }
}

impl Rows {
    fn new(
        format: Format,
        source: Source,
        path: &Path,
        options: &ReadOptions,
        position: &ReadPosition,
    ) -> Result<Self, DatasetError> {
        Ok(match format {
            Format::Jsonl => Self::Lines(Lines::new(source)),
            Format::Json => Self::Elements(Elements::new(source)),
            Format::Csv => Self::Table(Table::new(source, Format::separators(path))),
            Format::Parquet => Self::Records(Records::open(path, position)?),
            Format::Text => {
                let rows = options.text_rows.unwrap_or(Format::text_rows(path));
                Self::Text(PlainText::new(source, rows))
            }
        })
    }

    fn next(&mut self) -> io::Result<Option<Found>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Elements(elements) => elements.next(),
            Self::Table(table) => table.next(),
            Self::Text(text) => text.next(),
            Self::Records(records) => Ok(records.next()),
        }
    }

    /// Returns the text that rows are read from, where it is one.
    fn source(&mut self) -> Option<&mut Source> {
        match self {
            Self::Lines(lines) => Some(&mut lines.source),
            Self::Elements(elements) => Some(&mut elements.source),
            Self::Table(table) => Some(&mut table.source),
            Self::Text(text) => Some(&mut text.source),
            Self::Records(_) => None,
        }
    }
}

/// Computes the digest of the file's bytes.
///
/// # Errors
/// [`DatasetError::Read`].
pub fn digest(path: &Path) -> Result<Digest, DatasetError> {
    let digest = File::open(path).and_then(Digest::of_reader);
    digest.map_err(|source| read_error(path, source))
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> DatasetError {
    let path = path.to_owned();
    DatasetError::Read { path, source }
}

impl Reader {
    /// Returns how the file lays out its rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns how its bytes stand for characters.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns what its bytes are packed with.
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Returns what stands for the columns that are recognised.
    pub fn columns(&self) -> &ColumnMap {
        &self.columns
    }

    /// Returns the file's name, as it was given.
    pub(crate) fn file(&self) -> String {
        self.path.display().to_string()
    }

    fn found(&mut self, (line, found): Found) -> Result<Row, DatasetError> {
        let fields = found.map_err(|problem| self.problem(line, problem))?;
        let Renamed { fields, set_aside } = renamed(fields, &self.columns);
        self.number += 1;
        Ok(Row {
            number: self.number,
            line,
            fields,
            set_aside,
        })
    }

    fn problem(&mut self, line: u64, problem: Problem) -> DatasetError {
        self.number += u64::from(problem.scope == Scope::Row);
        DatasetError::Content(Box::new(problem.at(Place {
            file: self.file(),
            row: Some(self.number),
            line: (line > 0).then_some(line),
            field: None,
        })))
    }

    fn failure(&mut self, error: io::Error) -> DatasetError {
        self.failed = true;
        match error.downcast::<Damage>() {
            Ok(Damage(problem)) => self.damage(problem),
            Err(error) => read_error(&self.path, error),
        }
    }

    /// Says after which row the file is damaged.
    fn damage(&mut self, mut problem: Problem) -> DatasetError {
        problem.found += &match self.number {
            0 => " before the first row".to_owned(),
            last => format!(" after row {last}"),
        };
        let line = self.rows.source().map_or(0, |source| source.line());
        self.problem(line, problem)
    }
}

impl Iterator for Reader {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.rows.next() {
            Ok(Some(found)) => Some(self.found(found)),
            Ok(None) => {
                let damage = self.rows.source()?.take_damage()?;
                Some(Err(self.damage(damage)))
            }
            Err(error) => Some(Err(self.failure(error))),
        }
    }
}

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use llmopt_domain::{Digest, Place};
use serde_json::{Map, Value};

use crate::{
    Compression, DatasetError, Encoding, Format, TextRows,
    csv::Table,
    damage::Damage,
    json::Elements,
    jsonl::Lines,
    layers::Layers,
    plain_text::PlainText,
    problem::{Problem, Scope},
    source::Source,
};

/// One row of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The row, counted from 1; blank lines and a CSV header do not count.
    pub number: u64,
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// Its columns, in the order of the file.
    pub fields: Map<String, Value>,
}

impl Row {
    pub(crate) fn place(&self, file: &str) -> Place {
        Place {
            file: file.to_owned(),
            row: Some(self.number),
            line: Some(self.line),
            field: None,
        }
    }
}

/// How a file is read, where it does not tell itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is a row of plain text; by default a line, and in Markdown, whose lines say nothing, a paragraph.
    pub text_rows: Option<TextRows>,
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
    let failed = |source| read_error(path, source);
    let layers = Layers::open(path).map_err(failed)?;
    let (compression, marked) = (layers.compression, layers.encoding);
    let encoding = marked.unwrap_or(Encoding::Utf8);
    let mut source = layers.text(encoding).map_err(failed)?;
    let head = source.head().map_err(failed)?;
    let format = match Format::detect(path, &head) {
        // The damage says more than that nothing can be told.
        Err(_) if head.is_empty() && source.is_damaged() => Format::Jsonl,
        format => format?,
    };
    let encoding = match marked {
        None => unmarked(path, format).map_err(failed)?,
        Some(encoding) => encoding,
    };
    if encoding == Encoding::Windows1252 {
        let layers = Layers::open(path).map_err(failed)?;
        source = layers.text(encoding).map_err(failed)?;
    }
    Ok(Reader {
        path: path.to_owned(),
        format,
        encoding,
        compression,
        rows: Rows::new(format, source, path, options),
        number: 0,
        failed: false,
    })
}

/// Tells the encoding of a file that has no byte order mark: JSON is UTF-8 (RFC 8259, section 8.1), and
/// what a spreadsheet or an editor wrote may not be.
fn unmarked(path: &Path, format: Format) -> io::Result<Encoding> {
    match format {
        Format::Jsonl | Format::Json => Ok(Encoding::Utf8),
        Format::Csv | Format::Text => Ok(Encoding::of_text(Layers::open(path)?.bytes)),
    }
}

impl Rows {
    fn new(format: Format, source: Source, path: &Path, options: &ReadOptions) -> Self {
        match format {
            Format::Jsonl => Self::Lines(Lines::new(source)),
            Format::Json => Self::Elements(Elements::new(source)),
            Format::Csv => Self::Table(Table::new(source, Format::separators(path))),
            Format::Text => {
                let rows = options.text_rows.unwrap_or(Format::text_rows(path));
                Self::Text(PlainText::new(source, rows))
            }
        }
    }

    fn next(&mut self) -> io::Result<Option<Found>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Elements(elements) => elements.next(),
            Self::Table(table) => table.next(),
            Self::Text(text) => text.next(),
        }
    }

    fn source(&mut self) -> &mut Source {
        match self {
            Self::Lines(lines) => &mut lines.source,
            Self::Elements(elements) => &mut elements.source,
            Self::Table(table) => &mut table.source,
            Self::Text(text) => &mut text.source,
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

fn read_error(path: &Path, source: io::Error) -> DatasetError {
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

    fn found(&mut self, (line, found): Found) -> Result<Row, DatasetError> {
        let fields = found.map_err(|problem| self.problem(line, problem))?;
        self.number += 1;
        Ok(Row {
            number: self.number,
            line,
            fields,
        })
    }

    fn problem(&mut self, line: u64, problem: Problem) -> DatasetError {
        self.number += u64::from(problem.scope == Scope::Row);
        DatasetError::Content(Box::new(problem.at(Place {
            file: self.path.display().to_string(),
            row: Some(self.number),
            line: Some(line),
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
        let line = self.rows.source().line();
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
                let damage = self.rows.source().take_damage()?;
                Some(Err(self.damage(damage)))
            }
            Err(error) => Some(Err(self.failure(error))),
        }
    }
}

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use llmopt_domain::{Digest, Place};
use serde_json::{Map, Value};

use crate::{
    DatasetError, Format,
    csv::Table,
    json::Elements,
    jsonl::Lines,
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

/// The rows of a file, one after the other, in constant memory.
///
/// A row that is broken is an error that names it; the rows after it are still read where the format
/// tells where they begin.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    rows: Rows,
    number: u64,
    failed: bool,
}

#[derive(Debug)]
enum Rows {
    Lines(Lines),
    Elements(Elements),
    Table(Table),
}

/// A row or a problem, with the line on which it begins.
pub(crate) type Found = (u64, Result<Map<String, Value>, Problem>);

/// Opens the dataset at `path`.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn open(path: &Path) -> Result<Reader, DatasetError> {
    let mut source = Source::open(path).map_err(|source| read_error(path, source))?;
    let head = source.head().map_err(|source| read_error(path, source))?;
    let format = Format::detect(path, &head)?;
    let rows = match format {
        Format::Jsonl => Rows::Lines(Lines::new(source)),
        Format::Json => Rows::Elements(Elements::new(source)),
        Format::Csv => Rows::Table(Table::new(source)),
    };
    Ok(Reader {
        path: path.to_owned(),
        format,
        rows,
        number: 0,
        failed: false,
    })
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

    fn found(&mut self, (line, found): Found) -> Result<Row, DatasetError> {
        let of_file = matches!(&found, Err(problem) if problem.scope == Scope::File);
        self.number += u64::from(!of_file);
        let number = self.number;
        match found {
            Ok(fields) => Ok(Row {
                number,
                line,
                fields,
            }),
            Err(problem) => Err(DatasetError::Content(Box::new(problem.at(Place {
                file: self.path.display().to_string(),
                row: Some(number),
                line: Some(line),
                field: None,
            })))),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = match &mut self.rows {
            Rows::Lines(lines) => lines.next(),
            Rows::Elements(elements) => elements.next(),
            Rows::Table(table) => table.next(),
        };
        match found {
            Ok(found) => found.map(|found| self.found(found)),
            Err(source) => {
                self.failed = true;
                Some(Err(read_error(&self.path, source)))
            }
        }
    }
}

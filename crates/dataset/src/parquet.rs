mod budget;
mod packing;
mod pages;

use std::{collections::HashSet, fmt, fs::File, path::Path, sync::Arc};

use parquet::{
    basic::Compression,
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
    record::{
        Row,
        reader::{ReaderIter, TreeBuilder},
    },
    schema::types::Type,
};
use serde_json::{Map, Value};

use self::{
    packing::Packing,
    pages::{Group, Source},
};
use crate::{
    DatasetError, ReadPosition,
    damage::Damage,
    guard::{Broke, guarded},
    parquet_value::object,
    problem::{Problem, quoted},
    reader::{Found, read_error},
};

/// No file has more rows than this for each of its bytes: one that says so would have rows without end that no
/// byte stands for.
const MOST_ROWS_PER_BYTE: u64 = 1024;

/// The rows of a Parquet file, one row group after the other.
///
/// Holds the file's metadata, and of each column its dictionary, one page, and the values of at most 1,024 rows,
/// so that what bounds the memory is how large the writer made its pages: about 1 MiB each unless it was told
/// otherwise, and never more than a budget for all of them, whatever the file says or unpacks to.
pub(crate) struct Records {
    rows: Result<Rows, Option<Problem>>,
    share: Share,
}

/// Which share of the rows was read, as a position in the file.
struct Share {
    read: u64,
    rows: u64,
    size_bytes: u64,
    position: ReadPosition,
}

impl Share {
    fn advance(&mut self) {
        self.read += 1;
        let bytes =
            u128::from(self.size_bytes) * u128::from(self.read) / u128::from(self.rows.max(1));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.position.set(bytes.min(self.size_bytes));
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    /// Opens the file at `path`; that its content is wrong is said where its first row would be.
    pub(crate) fn open(path: &Path, position: &ReadPosition) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|source| read_error(path, source))?;
        let size_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let opened = guarded(|| rows(file, size_bytes));
        let opened = opened.unwrap_or_else(|Broke| Err(broken(CONTRADICTION)));
        let (rows, count) = match opened {
            Ok((rows, count)) => (Ok(rows), count),
            Err(problem) => (Err(Some(problem)), 0),
        };
        let share = Share {
            read: 0,
            rows: count,
            size_bytes,
            position: position.clone(),
        };
        Ok(Self { rows, share })
    }

    /// Reads the next row. What comes after a broken one cannot be told.
    pub(crate) fn next(&mut self) -> Option<Found> {
        let rows = match &mut self.rows {
            Ok(rows) => rows,
            Err(problem) => return Some((0, Err(problem.take()?))),
        };
        let row = guarded(|| rows.next());
        let row = row.map(|row| Some(row?.map_err(problem_of)));
        match row.unwrap_or_else(|Broke| Some(Err(broken_row(CONTRADICTION)))) {
            Some(Ok(row)) => {
                self.share.advance();
                Some((0, fields(row)))
            }
            end => {
                self.rows = Err(None);
                end.map(|row| (0, row.and_then(fields)))
            }
        }
    }
}

/// What is wrong where the library breaks on what a file says.
const CONTRADICTION: &str = "data that contradicts itself";

/// Makes a row what it stands for; a value that stands for nothing takes no other row with it.
fn fields(row: Row) -> Result<Map<String, Value>, Problem> {
    guarded(|| object(row)).unwrap_or_else(|Broke| {
        Err(Problem::row(
            "broken_parquet",
            "values that stand for something",
            "a time out of all bounds",
            "mend the row",
        ))
    })
}

/// Returns the rows, and how many they are.
fn rows(file: File, size_bytes: u64) -> Result<(Rows, u64), Problem> {
    let source = Source::new(file);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&source);
    let metadata = metadata.map_err(|error| problem_of(error).of_file())?;
    let count = check(&metadata, size_bytes)?;
    let rows = Rows {
        source: Arc::new(source),
        metadata,
        next_group: 0,
        of_group: None,
    };
    Ok((rows, count))
}

/// The rows as the library makes them.
struct Rows {
    source: Arc<Source>,
    metadata: ParquetMetaData,
    next_group: usize,
    of_group: Option<ReaderIter>,
}

impl Rows {
    fn next(&mut self) -> Option<Result<Row, ParquetError>> {
        loop {
            if let Some(row) = self.of_group.as_mut().and_then(Iterator::next) {
                return Some(row);
            }
            // What it holds is given back before the next group takes as much.
            self.of_group = None;
            match self.group()? {
                Ok(rows) => self.of_group = Some(rows),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn group(&mut self) -> Option<Result<ReaderIter, ParquetError>> {
        let metadata = self.metadata.row_groups().get(self.next_group)?;
        self.next_group += 1;
        let source = &self.source;
        let columns = self.metadata.file_metadata().schema_descr_ptr();
        Some(TreeBuilder::new().as_iter(columns, &Group { source, metadata }))
    }
}

/// Checks what would make rows that nothing in the file stands for; returns how many rows there are.
fn check(metadata: &ParquetMetaData, size_bytes: u64) -> Result<u64, Problem> {
    check_names(metadata.file_metadata().schema())?;
    let rows = metadata.row_groups().iter().map(RowGroupMetaData::num_rows);
    let rows = rows.map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    let rows = rows.fold(0, u64::saturating_add);
    if rows > size_bytes.saturating_mul(MOST_ROWS_PER_BYTE) {
        return Err(broken(format!("{rows} rows in {size_bytes} bytes")));
    }
    metadata.row_groups().iter().try_for_each(check_columns)?;
    Ok(rows)
}

fn check_columns(group: &RowGroupMetaData) -> Result<(), Problem> {
    for column in group.columns() {
        let path = column.column_path().string();
        let (name, values) = (quoted([path.as_str()]), column.num_values());
        if Packing::of(column.compression()).is_none() {
            return Err(unknown_codec(&name, column.compression()));
        }
        let is_flat = column.column_descr().max_rep_level() == 0;
        if is_flat && values != group.num_rows() {
            let found = format!("{values} values of {name} in {} rows", group.num_rows());
            return Err(broken(found));
        }
    }
    Ok(())
}

fn unknown_codec(name: &str, codec: Compression) -> Problem {
    let codec = codec.to_string().to_lowercase();
    // Behind the name stands a level, which was the writer's.
    let codec = codec.split('(').next().unwrap_or_default();
    Problem::file(
        "unsupported_codec",
        "columns packed with `zstd`, `snappy`, `gzip`, `lz4_raw` or not at all",
        format!("{name} packed with `{codec}`"),
        "write the file with the codec `zstd` or `snappy`, or as JSONL",
    )
}

/// Checks that no two columns have one name, of which one would be lost.
fn check_names(schema: &Type) -> Result<(), Problem> {
    if schema.is_primitive() {
        return Ok(());
    }
    let mut known = HashSet::new();
    for field in schema.get_fields() {
        if !known.insert(field.name()) {
            return Err(Problem::file(
                "broken_header",
                "a different name for each column",
                format!("{} twice", quoted([field.name()])),
                "rename or remove one of the columns",
            ));
        }
        check_names(field)?;
    }
    if known.is_empty() {
        return Err(broken("a row without columns"));
    }
    Ok(())
}

/// Takes the problem that came through the library, or says what is one to it.
fn problem_of(error: ParquetError) -> Problem {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Damage>() {
            Ok(damage) => damage.0,
            Err(other) => broken_row(other.to_string()),
        },
        error => broken_row(said(&error)),
    }
}

/// Says what the library says, without its own beginning.
fn said(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::NYI(text) | ParquetError::EOF(text) => {
            text.clone()
        }
        error => error.to_string(),
    }
}

fn broken(found: impl Into<String>) -> Problem {
    broken_row(found).of_file()
}

fn broken_row(found: impl Into<String>) -> Problem {
    Problem::row(
        "broken_parquet",
        "a sound Parquet file",
        format!("`{}`", shortened(&found.into())),
        "make the file or send it again; nothing after that place was read",
    )
}

/// Cuts what a library says to what fits into a message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).collect()
}

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_schema::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    FilesError, Manifest, PrepareOptions, PreparedFormat, PreparedRow,
    columns::{header, rows},
    manifest::MANIFEST,
    output::{ARROW_FILE, PARQUET_FILE},
};

/// Rows that are read at once.
const READ_ROWS: usize = 1_000;

/// A prepared dataset that was opened.
pub struct Prepared {
    path: PathBuf,
    /// What its rows were made into.
    pub options: PrepareOptions,
    /// What they are filled up with.
    pub pad_id: u32,
    batches: Batches,
}

type Batches = Box<dyn Iterator<Item = io::Result<RecordBatch>>>;

/// Opens the prepared dataset at `path`: a folder, whose files are held against the digests in its manifest, or a
/// Parquet file alone.
///
/// # Errors
/// [`FilesError::Read`], and [`FilesError::Damaged`] where it is not as it was written.
pub fn read_prepared(path: &Path) -> Result<Prepared, FilesError> {
    let (file, format) = rows_of(path)?;
    let opened = match format {
        PreparedFormat::Arrow => open_arrow(&file),
        PreparedFormat::Parquet => open_parquet(&file),
    };
    let (schema, batches) = opened.map_err(|error| FilesError::read(&file, error))?;
    let header = header(&schema).ok_or_else(|| FilesError::Damaged {
        path: path.to_owned(),
        what: "it does not say how its rows were made".to_owned(),
    })?;
    Ok(Prepared {
        path: path.to_owned(),
        options: header.options,
        pad_id: header.pad_id,
        batches,
    })
}

/// Returns the file that holds the rows.
fn rows_of(path: &Path) -> Result<(PathBuf, PreparedFormat), FilesError> {
    if !path.is_dir() {
        return Ok((path.to_owned(), PreparedFormat::Parquet));
    }
    if path.join(MANIFEST).is_file() {
        Manifest::read(path)?.check(path)?;
    }
    let arrow = path.join(ARROW_FILE);
    match arrow.is_file() {
        true => Ok((arrow, PreparedFormat::Arrow)),
        false => Ok((path.join(PARQUET_FILE), PreparedFormat::Parquet)),
    }
}

fn open_arrow(path: &Path) -> io::Result<(Schema, Batches)> {
    let reader = StreamReader::try_new_buffered(File::open(path)?, None);
    let reader = reader.map_err(io::Error::other)?;
    let schema = reader.schema().as_ref().clone();
    let batches = reader.map(|batch| batch.map_err(io::Error::other));
    Ok((schema, Box::new(batches)))
}

fn open_parquet(path: &Path) -> io::Result<(Schema, Batches)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?);
    let builder = builder.map_err(io::Error::other)?;
    let schema = builder.schema().as_ref().clone();
    let reader = builder.with_batch_size(READ_ROWS).build();
    let batches = reader.map_err(io::Error::other)?;
    let batches = batches.map(|batch| batch.map_err(io::Error::other));
    Ok((schema, Box::new(batches)))
}

impl Prepared {
    /// Returns the rows, in their order, in constant memory.
    pub fn rows(self) -> impl Iterator<Item = Result<PreparedRow, FilesError>> {
        let path = self.path;
        self.batches
            .flat_map(move |batch| match of_batch(&path, batch) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
    }
}

fn of_batch(path: &Path, batch: io::Result<RecordBatch>) -> Result<Vec<PreparedRow>, FilesError> {
    let batch = batch.map_err(|error| FilesError::read(path, error))?;
    rows(&batch).ok_or_else(|| FilesError::Damaged {
        path: path.to_owned(),
        what: "its columns are not those of a prepared dataset".to_owned(),
    })
}

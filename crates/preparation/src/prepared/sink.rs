use std::{
    fs::File,
    io::{self, BufWriter},
};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

use super::PreparedFormat;

/// Where row groups go, one after the other.
pub(super) enum Sink {
    /// The stream of Arrow that `datasets` maps into memory; what it writes is not packed either.
    Arrow(Box<StreamWriter<BufWriter<File>>>),
    /// Parquet, packed with Snappy, which every reader unpacks.
    Parquet(Box<ArrowWriter<File>>),
}

impl Sink {
    pub(super) fn new(file: File, format: PreparedFormat, schema: SchemaRef) -> io::Result<Self> {
        Ok(match format {
            PreparedFormat::Arrow => {
                let writer = StreamWriter::try_new_buffered(file, &schema);
                Self::Arrow(Box::new(writer.map_err(io::Error::other)?))
            }
            PreparedFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .build();
                let writer = ArrowWriter::try_new(file, schema, Some(properties));
                Self::Parquet(Box::new(writer.map_err(io::Error::other)?))
            }
        })
    }

    /// Writes a row group. Parquet's writer would hold rows back until there are a million.
    pub(super) fn write(&mut self, group: &RecordBatch) -> io::Result<()> {
        match self {
            Self::Arrow(writer) => writer.write(group).map_err(io::Error::other),
            Self::Parquet(writer) => {
                let written = writer.write(group).and_then(|()| writer.flush());
                written.map_err(io::Error::other)
            }
        }
    }

    /// Ends the file and waits until it is on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        let file = match self {
            Self::Arrow(mut writer) => {
                writer.finish().map_err(io::Error::other)?;
                let buffer = writer.into_inner().map_err(io::Error::other)?;
                buffer.into_inner()?
            }
            Self::Parquet(writer) => writer.into_inner().map_err(io::Error::other)?,
        };
        file.sync_all()
    }
}

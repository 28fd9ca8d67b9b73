use std::{fs::File, io::BufReader, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Type as PhysicalType},
    bloom_filter::Sbbf,
    column::page::{Page, PageMetadata, PageReader},
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, Length, RowGroupReader},
        serialized_reader::SerializedPageReader,
    },
    record::reader::RowIter,
    schema::types::Type,
};

use super::{
    budget::{Budget, Share},
    packing::Packing,
};

/// A file of which no more is in memory than its budget allows.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    budget: Budget,
}

impl Source {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            budget: Budget::default(),
        }
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Source {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let share = self.budget.take(length)?;
        Ok(share.of(self.file.get_bytes(start, length)?))
    }
}

/// One row group, whose pages are unpacked here.
pub(super) struct Group<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) metadata: &'a RowGroupMetaData,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, index: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata.column(index);
        let codec = column.compression();
        let unknown = || ParquetError::General(format!("the codec {codec}"));
        let packing = Packing::of(codec).ok_or_else(unknown)?;
        // So the library gives its pages as they lie in the file.
        let as_they_lie = column.clone().into_builder();
        let as_they_lie = as_they_lie
            .set_compression(Compression::UNCOMPRESSED)
            .build()?;
        let rows = usize::try_from(self.metadata.num_rows())?;
        let source = Arc::clone(self.source);
        Ok(Box::new(Pages {
            packed: SerializedPageReader::new(source, &as_they_lie, rows, None)?,
            packing,
            budget: self.source.budget.clone(),
            kind: column.column_type(),
            dictionary: None,
        }))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// The pages of a column.
struct Pages {
    packed: SerializedPageReader<Source>,
    packing: Packing,
    budget: Budget,
    kind: PhysicalType,
    /// What the values of the dictionary take, for as long as the column is read.
    dictionary: Option<Share>,
}

impl Pages {
    fn unpacked(&mut self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPage { buf, .. } => *buf = self.packing.unpack(buf, &self.budget)?,
            Page::DataPageV2 {
                is_compressed: false,
                ..
            } => {}
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                *buf = self.unpacked_behind(buf, usize::try_from(levels)?)?;
            }
            Page::DictionaryPage {
                buf, num_values, ..
            } => {
                *buf = self.packing.unpack(buf, &self.budget)?;
                self.dictionary = Some(self.dictionary(*num_values as usize, buf.len())?);
            }
        }
        Ok(page)
    }

    /// Unpacks what lies behind `levels` bytes, which are never packed.
    fn unpacked_behind(&self, bytes: &Bytes, levels: usize) -> Result<Bytes> {
        if levels > bytes.len() {
            return Err(ParquetError::EOF(
                "levels longer than their page".to_owned(),
            ));
        }
        if self.packing == Packing::None {
            return Ok(bytes.clone());
        }
        let values = self.packing.unpack(&bytes.slice(levels..), &self.budget)?;
        let share = self.budget.take(levels + values.len())?;
        Ok(share.of([&bytes[..levels], &values].concat()))
    }

    /// Takes what the values of a dictionary take, of which the library makes as many as the page says.
    fn dictionary(&self, count: usize, size: usize) -> Result<Share> {
        let smallest = match self.kind {
            PhysicalType::BYTE_ARRAY | PhysicalType::INT32 | PhysicalType::FLOAT => 4,
            PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
            PhysicalType::INT96 => 12,
            PhysicalType::BOOLEAN | PhysicalType::FIXED_LEN_BYTE_ARRAY => 1,
        };
        if count > size / smallest {
            let found = format!("{count} values in a dictionary of {size} bytes");
            return Err(ParquetError::General(found));
        }
        self.budget
            .take(count.saturating_mul(size_of::<ByteArray>()))
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.packed.get_next_page()?;
        page.map(|page| self.unpacked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.packed.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.packed.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.packed.at_record_boundary()
    }
}

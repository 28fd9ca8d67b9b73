//! How much memory a Parquet file takes whose pages unpack to far more than it says, in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

use std::{fs, io::Write as _, sync::Arc};

use flate2::write::GzEncoder;
use llmopt_dataset::{DatasetError, open};
use llmopt_domain::Finding;
use parquet::{
    basic::{Compression, Encoding, GzipLevel, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    file::{
        metadata::ColumnChunkMetaData,
        writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite},
    },
    schema::parser::parse_message_type,
};

/// What each page unpacks to, and what its header says.
const UNPACKED_BYTES: usize = 1 << 30;
const SAID_BYTES: usize = 100;
/// What all pages may take together, and some for what makes the files.
const MOST_BYTES: u64 = (256 + 64) << 20;

/// Returns the most memory that this process has had, where the system tells.
fn most_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// One gzip member after the other, all of zeros.
fn gzip() -> Vec<u8> {
    const MEMBER_BYTES: usize = 16 << 20;
    let mut member = GzEncoder::new(Vec::new(), flate2::Compression::best());
    member.write_all(&vec![0; MEMBER_BYTES]).unwrap();
    let member = member.finish().unwrap();
    member.repeat(UNPACKED_BYTES / MEMBER_BYTES)
}

/// A frame of zstd whose blocks are one byte that is repeated (RFC 8878, section 3.1.1).
fn zstd() -> Vec<u8> {
    const WINDOW_OF_8_MIB: u8 = 13 << 3;
    const BLOCK_BYTES: u32 = 128 << 10;
    const REPEATED: u32 = 1 << 1;
    const LAST: u32 = 1;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, WINDOW_OF_8_MIB];
    let count = UNPACKED_BYTES / BLOCK_BYTES as usize;
    for index in 1..=count {
        let last = if index == count { LAST } else { 0 };
        let header = (BLOCK_BYTES << 3) | REPEATED | last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A block of LZ4: one literal, repeated, and five literals behind it.
fn lz4() -> Vec<u8> {
    let mut block = vec![0x1f, 0, 1, 0];
    block.resize(block.len() + UNPACKED_BYTES / 0xff, 0xff);
    block.extend([0, 0x50, 0, 0, 0, 0, 0]);
    block
}

fn snappy() -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(&vec![0; UNPACKED_BYTES / 2])
        .unwrap()
}

fn data_page(packed: Vec<u8>) -> Page {
    Page::DataPage {
        buf: packed.into(),
        num_values: 1,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    }
}

/// Behind two bytes of levels.
fn second_data_page(packed: Vec<u8>) -> Page {
    Page::DataPageV2 {
        buf: [vec![2, 1], packed].concat().into(),
        num_values: 1,
        encoding: Encoding::PLAIN,
        num_nulls: 0,
        num_rows: 1,
        def_levels_byte_len: 2,
        rep_levels_byte_len: 0,
        is_compressed: true,
        statistics: None,
    }
}

fn dictionary(packed: Vec<u8>, num_values: u32) -> Page {
    Page::DictionaryPage {
        buf: packed.into(),
        num_values,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    }
}

/// Reads a file of one row, and returns what is wrong with it.
fn read(page: Page, codec: Compression) -> Box<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let schema = parse_message_type("message row { optional binary text (UTF8); }").unwrap();
    let file = fs::File::create(&path).unwrap();
    let mut file = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let mut pages = TrackedWrite::new(Vec::new());
    let dictionary = page.is_dictionary_page().then_some(0);
    let mut writer = SerializedPageWriter::new(&mut pages);
    let page = CompressedPage::new(page, SAID_BYTES);
    writer.write_page(page).unwrap();
    let column = file.schema_descr().column(0);
    let pages = bytes::Bytes::from(pages.into_inner().unwrap());
    let metadata = ColumnChunkMetaData::builder(column)
        .set_compression(codec)
        .set_num_values(1)
        .set_total_compressed_size(pages.len() as i64)
        .set_total_uncompressed_size(SAID_BYTES as i64)
        .set_dictionary_page_offset(dictionary)
        .build()
        .unwrap();
    let mut group = file.next_row_group().unwrap();
    let column = ColumnCloseResult {
        bytes_written: pages.len() as u64,
        rows_written: 1,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    group.append_column(&pages, column).unwrap();
    group.close().unwrap();
    file.close().unwrap();
    match open(&path).unwrap().next() {
        Some(Err(DatasetError::Content(finding))) => finding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_page_takes_more_than_is_held_of_a_file() {
    let gzip_codec = Compression::GZIP(GzipLevel::default());
    let zstd_codec = Compression::ZSTD(ZstdLevel::default());
    let (gzip, zstd, lz4, snappy) = (gzip(), zstd(), lz4(), snappy());
    let Some(before) = reset().and_then(|()| most_bytes()) else {
        println!("skipped: the system does not tell how much memory is used");
        return;
    };
    let cases = [
        (data_page(gzip), gzip_codec),
        (data_page(zstd.clone()), zstd_codec),
        (second_data_page(zstd.clone()), zstd_codec),
        (dictionary(zstd, 1), zstd_codec),
        (data_page(lz4), Compression::LZ4_RAW),
        (data_page(snappy), Compression::SNAPPY),
    ];
    for (page, codec) in cases {
        let finding = read(page, codec);
        assert_eq!(finding.code, "broken_parquet");
        assert!(finding.expected.contains("256 MiB"), "{codec}: {finding}");
    }
    let taken = most_bytes().unwrap() - before;
    println!("{taken} bytes for pages of {UNPACKED_BYTES}");
    assert!(taken < MOST_BYTES, "{taken} bytes");
}

#[test]
fn a_dictionary_has_no_more_values_than_its_bytes_can_be() {
    let finding = read(
        dictionary(vec![0; 40], u32::MAX >> 1),
        Compression::UNCOMPRESSED,
    );
    assert_eq!(finding.code, "broken_parquet");
    assert!(
        finding.found.contains("values in a dictionary of 40 bytes"),
        "{finding}"
    );
    let finding = read(dictionary(vec![0; 40], 11), Compression::UNCOMPRESSED);
    assert!(finding.found.contains("11 values"), "{finding}");
}

/// Has the system measure from now on.
fn reset() -> Option<()> {
    fs::write("/proc/self/clear_refs", "5").ok()
}

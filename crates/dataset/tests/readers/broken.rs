//! Every broken file.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::{
    broken_text::{csv, json, jsonl, text},
    cases::{Case, ROWS, json_line, lines_with},
    encodings::{BIG, LITTLE, Order, utf16},
};

pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Rows that are packed one by one, of which `number` is the last whole one or the one that is broken.
struct Pieces {
    before: Vec<u8>,
    piece: Vec<u8>,
    after: Vec<u8>,
}

impl Pieces {
    fn new(number: u64, pack: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let packed = |it| pack(format!("{}\n", json_line(it)).as_bytes());
        Self {
            before: (1..number).flat_map(packed).collect(),
            piece: packed(number),
            after: (number + 1..=ROWS).flat_map(packed).collect(),
        }
    }

    fn cut(&self, length: usize) -> Vec<u8> {
        [&self.before[..], &self.piece[..length]].concat()
    }

    fn changed(&self, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut piece = self.piece.clone();
        change(&mut piece);
        [&self.before[..], &piece, &self.after].concat()
    }
}

const GZIP: &str = "rows.jsonl.gz";
const GZIP_HEADER: usize = 10;
const GZIP_TRAILER: usize = 8;
const BROKEN: &str = "broken_compression";

fn gzipped() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 1..=ROWS {
        let pieces = Pieces::new(number, |bytes| gzip(bytes, Compression::best()));
        let stored = Pieces::new(number, |bytes| gzip(bytes, Compression::none()));
        let length = pieces.piece.len();
        let body = length - GZIP_HEADER - GZIP_TRAILER;
        let row = |what: &str, bytes| Case::row(number, BROKEN, (GZIP, bytes)).by(what);
        let file = |what: &str, bytes| Case::file(number, BROKEN, (GZIP, bytes)).by(what);
        cases.extend([
            row("the end in a header", pieces.cut(GZIP_HEADER / 2)),
            row("the end behind a header", pieces.cut(GZIP_HEADER)),
            row("the end in a body", pieces.cut(GZIP_HEADER + body / 2)),
            file(
                "the end in a trailer",
                pieces.cut(length - GZIP_TRAILER / 2),
            ),
            file(
                "the end before a trailer",
                pieces.cut(length - GZIP_TRAILER),
            ),
            file(
                "garbage",
                [pieces.cut(length), b"garbage".to_vec()].concat(),
            ),
            file("one more byte", [pieces.cut(length), vec![0x1f]].concat()),
            file("zeros", [pieces.cut(length), vec![0; 512]].concat()),
            row("another method", pieces.changed(|it| it[2] = 7)),
            row("a reserved flag", pieces.changed(|it| it[3] |= 0x80)),
            row(
                "a block of no kind",
                pieces.changed(|it| it[GZIP_HEADER] |= 0b110),
            ),
            file(
                "another checksum",
                pieces.changed(|it| it[length - GZIP_TRAILER] ^= 4),
            ),
            file("another length", pieces.changed(|it| it[length - 1] ^= 4)),
        ]);
        // A bit of the text itself, so that another row is read.
        let bytes = stored.changed(|it| {
            let place = it.len() - GZIP_TRAILER - 4;
            it[place] ^= 1;
        });
        cases.push(Case {
            value: None,
            ..file("a bit flip", bytes)
        });
    }
    cases
}

const ZSTD: &str = "rows.jsonl.zst";
const ZSTD_CHECKSUM: usize = 4;

fn zstandard() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 1..=ROWS {
        let pieces = Pieces::new(number, zstd);
        let length = pieces.piece.len();
        let row = |what: &str, bytes| Case::row(number, BROKEN, (ZSTD, bytes)).by(what);
        let file = |what: &str, bytes| Case::file(number, BROKEN, (ZSTD, bytes)).by(what);
        cases.extend([
            row("the end behind the magic number", pieces.cut(4)),
            row("the end in a block", pieces.cut(length / 2)),
            file(
                "the end in a checksum",
                pieces.cut(length - ZSTD_CHECKSUM / 2),
            ),
            file(
                "the end before a checksum",
                pieces.cut(length - ZSTD_CHECKSUM),
            ),
            file(
                "garbage",
                [pieces.cut(length), b"garbage".to_vec()].concat(),
            ),
            file("one more byte", [pieces.cut(length), vec![0x28]].concat()),
            file("another checksum", pieces.changed(|it| it[length - 1] ^= 4)),
        ]);
    }
    cases
}

fn wide() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, order) in (1..=ROWS).flat_map(|it| [(it, LITTLE), (it, BIG)]) {
        let line = json_line(number);
        let [broken, whole] = [0xd83d_u16, 0x20].map(|unit| wide_with(number, unit, order));
        let file = ("rows.jsonl", broken);
        cases.push(Case::row(number, "lone_surrogate", file).by("half of a pair"));
        let before: String = (1..number).map(|it| json_line(it) + "\n").collect();
        let units = 1 + before.len() + line.len() / 2;
        let file = ("rows.jsonl", whole[..2 * units + 1].to_vec());
        cases.push(Case::row(number, "invalid_utf16", file).by("half of a unit"));
    }
    cases
}

/// All rows in UTF-16, with one more `unit` at the end of a string of row `number`.
fn wide_with(number: u64, unit: u16, order: Order) -> Vec<u8> {
    let marked = json_line(number).replace("\"}", "\u{1}\"}");
    let text = String::from_utf8(lines_with(number, marked.as_bytes(), json_line)).unwrap();
    let units = text
        .encode_utf16()
        .map(|it| if it == 1 { unit } else { it });
    utf16(units, order)
}

#[test]
fn every_broken_file_is_found_in_the_row_that_was_broken() {
    let kinds = [
        jsonl(),
        json(),
        csv(),
        text(),
        gzipped(),
        zstandard(),
        wide(),
    ];
    kinds.iter().flatten().for_each(Case::check);
    let files: usize = kinds.iter().map(Vec::len).sum();
    println!("{files} broken files");
    assert!(files >= 500, "{files}");
}

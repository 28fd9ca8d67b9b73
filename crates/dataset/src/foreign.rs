/// Knows files that have no rows of text by how they begin: what each is, and what to do about it.
pub(crate) fn foreign(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let is_tar = head.get(257..262) == Some(b"ustar");
    let tar = is_tar.then_some(("a tar archive", "unpack it and give the file in it"));
    let known = SIGNATURES
        .iter()
        .find(|(bytes, ..)| head.starts_with(bytes));
    known.map(|&(_, found, fix)| (found, fix)).or(tar)
}

/// Tells whether a file begins as a Parquet file does: no text has the byte that follows.
pub(crate) fn is_parquet(head: &[u8]) -> bool {
    let rest = head.strip_prefix(b"PAR1");
    rest.is_some_and(|rest| {
        !rest
            .first()
            .is_some_and(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
    })
}

const CONVERT: &str = "convert it to JSONL";
const SAVE_AS_CSV: &str = "save the sheet as CSV";
const UNPACK: &str = "unpack it, or pack it with `gzip` or `zstd`";
const UNPACK_ONCE: &str = "unpack it once";

/// How files begin, the longer before the shorter. Only what no text begins with.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (
        b"PK\x03\x04",
        "a ZIP archive or an Excel workbook",
        SAVE_AS_CSV,
    ),
    (b"PK\x05\x06", "an empty ZIP archive", SAVE_AS_CSV),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook",
        SAVE_AS_CSV,
    ),
    (b"\x1f\x8b", "compressed twice", UNPACK_ONCE),
    (b"\x28\xb5\x2f\xfd", "compressed twice", UNPACK_ONCE),
    (b"BZh91AY&SY", "compressed with bzip2", UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"ARROW1\0\0", "an Arrow file", CONVERT),
    (b"Obj\x01", "an Avro file", CONVERT),
    (b"SQLite format 3\0", "an SQLite database", CONVERT),
    (b"%PDF-", "a PDF document", "save its text as `.txt`"),
    (b"\xff\xfe\0\0", "text in UTF-32", "save it as UTF-8"),
    (b"\0\0\xfe\xff", "text in UTF-32", "save it as UTF-8"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{open, testing::File};

    #[test]
    fn every_kind_of_file_that_is_not_read_says_what_it_is_and_what_to_do() {
        for (bytes, found, fix) in SIGNATURES {
            // Packed twice is what only the bytes inside tell.
            if *fix != UNPACK_ONCE {
                let said = open(&File::new("a.csv", bytes).path).unwrap_err();
                let said = said.to_string();
                assert!(said.contains(found) && said.contains(fix), "{said}");
            }
        }
    }

    #[test]
    fn a_tar_archive_is_told_by_what_it_says_later() {
        let mut archive = vec![b'a'; 512];
        archive[257..262].copy_from_slice(b"ustar");
        assert_eq!(foreign(&archive).unwrap().0, "a tar archive");
        assert_eq!(foreign(&archive[1..]), None);
    }
}

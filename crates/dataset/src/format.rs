use std::{fmt, path::Path};

use serde::Serialize;
use utoipa::ToSchema;

use crate::DatasetError;

/// How a file lays out its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object on each line.
    Jsonl,
    /// One JSON list of objects, or objects one after the other.
    Json,
    /// A header and records, separated by `,`, `;` or tabs.
    Csv,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jsonl => "JSONL",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        })
    }
}

impl Format {
    /// Tells the format of the file at `path`, which begins with `head`: by its extension, and where that
    /// does not decide, by its content.
    pub(crate) fn detect(path: &Path, head: &[u8]) -> Result<Self, DatasetError> {
        let unsupported = |found: &str, fix| DatasetError::Unsupported {
            path: path.to_owned(),
            found: found.to_owned(),
            fix,
        };
        if let Some((found, fix)) = foreign(head) {
            return Err(unsupported(found, fix));
        }
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match (extension.to_str().unwrap_or_default(), first) {
            ("csv" | "tsv", _) => Ok(Self::Csv),
            ("json", _) | (_, Some(b'[')) => Ok(Self::Json),
            ("jsonl" | "ndjson", _) | (_, Some(b'{')) => Ok(Self::Jsonl),
            (_, Some(_)) if first_line(head).iter().any(|byte| b",;\t".contains(byte)) => {
                Ok(Self::Csv)
            }
            (_, None) => Err(unsupported("an empty file", "write one row on each line")),
            _ => Err(unsupported(
                "of a kind that neither its name nor its content tells",
                "name the file `.jsonl`, `.json` or `.csv`",
            )),
        }
    }
}

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b'\n').next().unwrap_or(head)
}

/// Knows files that are no text in UTF-8 by how they begin.
fn foreign(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const SIGNATURES: [(&[u8], &str, &str); 5] = [
        (
            b"\x1f\x8b",
            "compressed with gzip",
            "unpack it with `gunzip`",
        ),
        (
            b"PK\x03\x04",
            "a ZIP archive or an Excel workbook",
            "save the sheet as CSV",
        ),
        (b"PAR1", "a Parquet file", "convert it to JSONL"),
        (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
        (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    ];
    let known = SIGNATURES
        .iter()
        .find(|(bytes, ..)| head.starts_with(bytes));
    known.map(|&(_, found, fix)| (found, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(name: &str, head: &[u8]) -> Result<Format, String> {
        Format::detect(Path::new(name), head).map_err(|error| error.to_string())
    }

    #[test]
    fn the_extension_decides() {
        assert_eq!(detect("a.jsonl", b"x"), Ok(Format::Jsonl));
        assert_eq!(detect("a.NDJSON", b""), Ok(Format::Jsonl));
        assert_eq!(detect("a.json", b"{"), Ok(Format::Json));
        assert_eq!(detect("a.csv", b"[a],b"), Ok(Format::Csv));
    }

    #[test]
    fn the_content_decides_where_the_extension_does_not() {
        assert_eq!(detect("rows", b" \n[{"), Ok(Format::Json));
        assert_eq!(detect("rows.txt", b"{\"a\""), Ok(Format::Jsonl));
        assert_eq!(detect("rows.txt", b"a,b\n"), Ok(Format::Csv));
        assert_eq!(detect("rows.jsonl", b"[{\"a\""), Ok(Format::Json));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_to_do() {
        let said = detect("a.csv", b"PK\x03\x04").unwrap_err();
        assert!(
            said.contains("Excel") && said.contains("save the sheet as CSV"),
            "{said}"
        );
        let said = detect("a.jsonl", b"\xff\xfe{\0").unwrap_err();
        assert!(said.contains("UTF-16"), "{said}");
        assert!(
            detect("notes.txt", b"hello")
                .unwrap_err()
                .contains("`.jsonl`")
        );
        assert!(detect("notes", b"").unwrap_err().contains("empty"));
    }
}

use std::{fmt, path::Path};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    DatasetError, TextRows,
    csv::Separators,
    foreign::{foreign, is_parquet},
};

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
    /// Columns of values in groups of rows; no text.
    Parquet,
    /// Text without any structure: each line or each paragraph is a row of the column `text`.
    Text,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jsonl => "JSONL",
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Text => "text",
        })
    }
}

impl Format {
    /// Tells the format of the file at `path`, whose text begins with `head`: by how it begins where that is
    /// certain, else by its extension, and where that does not decide, by its content.
    pub(crate) fn detect(path: &Path, head: &[u8]) -> Result<Self, DatasetError> {
        let unsupported = |found: &str, fix| DatasetError::Unsupported {
            path: path.to_owned(),
            found: found.to_owned(),
            fix,
        };
        if let Some((found, fix)) = foreign(head) {
            return Err(unsupported(found, fix));
        }
        if is_parquet(head) {
            return Ok(Self::Parquet);
        }
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        match (extension(path).as_str(), first) {
            ("csv" | "tsv" | "tab", _) => Ok(Self::Csv),
            ("md" | "markdown", _) => Ok(Self::Text),
            ("txt" | "text", _) => Ok(Self::of_text_file(head)),
            ("json", _) | (_, Some(b'[')) => Ok(Self::Json),
            ("jsonl" | "ndjson", _) | (_, Some(b'{')) => Ok(Self::Jsonl),
            ("parquet", Some(_)) => Err(unsupported(
                "no Parquet file, whatever its name says",
                "make the file or send it again",
            )),
            (_, Some(_)) if first_line(head).iter().any(|byte| b",;\t".contains(byte)) => {
                Ok(Self::Csv)
            }
            (_, None) => Err(unsupported("an empty file", "write one row on each line")),
            _ => Err(unsupported(
                "of a kind that neither its name nor its content tells",
                "name the file `.jsonl`, `.json`, `.csv` or `.txt`",
            )),
        }
    }

    /// Tells what is in a text file, which is no prose where it begins as JSON does, or where tabs make columns of
    /// it: spreadsheets call that text.
    fn of_text_file(head: &[u8]) -> Self {
        let mut bytes = head.iter().filter(|byte| !byte.is_ascii_whitespace());
        let beginning = (bytes.next(), bytes.next());
        let mut lines = head.split(|&byte| byte == b'\n');
        let mut tabs = || Some(count_tabs(lines.next()?));
        match (beginning, [tabs(), tabs()]) {
            ((Some(b'['), Some(b'{')), _) => Self::Json,
            ((Some(b'{'), Some(b'"')), _) => Self::Jsonl,
            (_, [Some(header @ 1..), Some(record)]) if header == record => Self::Csv,
            _ => Self::Text,
        }
    }

    /// Tells what separates the columns of the table at `path`.
    pub(crate) fn separators(path: &Path) -> Separators {
        match extension(path).as_str() {
            "tsv" | "tab" => Separators::TabsFirst,
            _ => Separators::Any,
        }
    }

    /// Tells what is a row of the text at `path`: a line, except in Markdown, which breaks lines anywhere.
    pub(crate) fn text_rows(path: &Path) -> TextRows {
        match extension(path).as_str() {
            "md" | "markdown" => TextRows::Paragraphs,
            _ => TextRows::Lines,
        }
    }
}

/// Returns the extension of a file in lower case, without that of what packed it.
fn extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_ascii_lowercase();
    let packed = [".gz", ".gzip", ".zst", ".zstd"];
    let name = packed
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    let extension = Path::new(name).extension().unwrap_or_default();
    extension.to_string_lossy().into_owned()
}

fn first_line(head: &[u8]) -> &[u8] {
    let mut lines = head.split(|byte| b"\n\r".contains(byte));
    lines.next().unwrap_or(head)
}

fn count_tabs(line: &[u8]) -> usize {
    line.iter().filter(|&&byte| byte == b'\t').count()
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
        assert_eq!(detect("a.tsv", b"a"), Ok(Format::Csv));
        assert_eq!(detect("a.txt", b"One, two.\nThree."), Ok(Format::Text));
        assert_eq!(detect("a.md", b"[{\"a\"}](b)"), Ok(Format::Text));
    }

    #[test]
    fn the_extension_of_what_packed_a_file_does_not_count() {
        assert_eq!(detect("a.csv.gz", b"[a],b"), Ok(Format::Csv));
        assert_eq!(detect("a.TXT.zst", b"One, two."), Ok(Format::Text));
        assert_eq!(detect("a.gz", b"{\"a\""), Ok(Format::Jsonl));
    }

    #[test]
    fn the_content_decides_where_the_extension_does_not() {
        assert_eq!(detect("rows", b" \n[{"), Ok(Format::Json));
        assert_eq!(detect("rows", b"{\"a\""), Ok(Format::Jsonl));
        assert_eq!(detect("rows", b"a,b\n"), Ok(Format::Csv));
        assert_eq!(detect("rows", b"PAR1\x15\0"), Ok(Format::Parquet));
        assert_eq!(detect("rows", b"PAR1,b\n"), Ok(Format::Csv));
        assert_eq!(detect("rows", b"a\rb,c\n"), detect("rows", b"a\n"));
        assert_eq!(detect("rows.jsonl", b"[{\"a\""), Ok(Format::Json));
    }

    #[test]
    fn a_text_file_may_be_json_or_what_a_spreadsheet_calls_text() {
        assert_eq!(detect("rows.txt", b"{\"a\""), Ok(Format::Jsonl));
        assert_eq!(detect("rows.txt", b"[\n {\"a\""), Ok(Format::Json));
        assert_eq!(detect("rows.txt", b"[music]\n"), Ok(Format::Text));
        assert_eq!(detect("rows.txt", b"a\tb\r\n1\t2\r\n"), Ok(Format::Csv));
        assert_eq!(detect("rows.txt", b"\tOne.\nTwo.\n"), Ok(Format::Text));
        assert_eq!(detect("rows.txt", b""), Ok(Format::Text));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_to_do() {
        let said = detect("a.csv", b"PK\x03\x04").unwrap_err();
        assert!(
            said.contains("Excel") && said.contains("save the sheet as CSV"),
            "{said}"
        );
        assert!(detect("notes", b"hello").unwrap_err().contains("`.jsonl`"));
        assert!(detect("notes", b"").unwrap_err().contains("empty"));
        let said = detect("a.parquet", b"\x15PAR1, and more").unwrap_err();
        assert!(said.contains("no Parquet file"), "{said}");
    }
}

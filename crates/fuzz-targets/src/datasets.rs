use std::{collections::BTreeSet, path::Path};

use llmopt_dataset::{
    Columns, DatasetError, Encoding, Format, ReadOptions, Row, ValidationOptions, ValidationReport,
    open, read_conversations, validate,
};
use llmopt_domain::{Conversation, Digest, Finding, Role, Severity};
use serde_json::{Map, Value};

use crate::{
    scratch::with_files,
    text::{check_error, check_message},
};

/// What a reader takes from the system at once.
const BUFFER: usize = 1 << 16;

type Found = Result<Row, Box<Finding>>;

pub(crate) fn jsonl(bytes: &[u8]) {
    check("rows.jsonl", bytes);
}

pub(crate) fn json(bytes: &[u8]) {
    check("rows.json", bytes);
}

pub(crate) fn csv(bytes: &[u8]) {
    check("rows.csv", bytes);
    check("rows.tsv", bytes);
}

/// Lines and paragraphs.
pub(crate) fn text(bytes: &[u8]) {
    check("rows.txt", bytes);
    check("rows.md", bytes);
}

pub(crate) fn packed(bytes: &[u8]) {
    check("rows.jsonl", bytes);
    check("rows.csv", bytes);
}

/// Units of UTF-16 behind the mark of either order.
pub(crate) fn utf16(bytes: &[u8]) {
    for mark in [b"\xff\xfe", b"\xfe\xff"] {
        let bytes = [&mark[..], bytes].concat();
        check("rows.jsonl", &bytes);
        check("rows.csv", &bytes);
    }
}

pub(crate) fn parquet(bytes: &[u8]) {
    check("rows.parquet", bytes);
}

/// What a file was read as, and what was read of it.
struct Read {
    format: Format,
    /// Its lines are those of its bytes.
    is_plain: bool,
    found: Vec<Found>,
}

/// Checks the file `name` with these bytes.
fn check(name: &str, bytes: &[u8]) {
    let Some(read) = read(name, bytes) else {
        return;
    };
    check_places(bytes, &read);
    if read.is_plain {
        check_buffers(name, bytes, &read.found);
    }
    check_report(name, bytes, &read.found);
    let rows: Vec<Row> = read.found.into_iter().flatten().collect();
    if !rows.is_empty() {
        check_again(read.format, rows);
    }
}

/// Rows that are written again are read as the same.
fn check_again(format: Format, rows: Vec<Row>) {
    let (name, text) = match format {
        Format::Jsonl | Format::Parquet => ("again.jsonl", json_lines(&rows)),
        Format::Json => ("again.json", json_list(&rows)),
        Format::Csv => ("again.csv", csv_text(&rows)),
        Format::Text => ("again.md", paragraphs(&rows)),
    };
    let Some(again) = read(name, text.as_bytes()) else {
        // Without what was broken before it, text may begin as another kind of file does.
        assert_eq!(format, Format::Text);
        return;
    };
    let again = again.found.into_iter();
    let again: Vec<_> = again.map(|row| row.unwrap().fields).collect();
    let rows: Vec<_> = rows.into_iter().map(|row| row.fields).collect();
    assert_eq!(rows, again, "rows that are written again are others");
}

fn read(name: &str, bytes: &[u8]) -> Option<Read> {
    with_files(&[(name, bytes)], |folder| {
        let reader = match open(&folder.join(name)) {
            Ok(reader) => reader,
            Err(error) => {
                check_error(&error);
                assert!(matches!(error, DatasetError::Unsupported { .. }), "{error}");
                return None;
            }
        };
        let is_utf16 = matches!(reader.encoding(), Encoding::Utf16Le | Encoding::Utf16Be);
        let format = reader.format();
        Some(Read {
            format,
            is_plain: reader.compression().is_none() && !is_utf16 && format != Format::Parquet,
            found: reader.map(found).collect(),
        })
    })
}

fn found(row: Result<Row, DatasetError>) -> Found {
    row.map_err(|error| match error {
        DatasetError::Content(finding) => finding,
        error => panic!("{error}"),
    })
}

/// Rows count up from 1, and begin on lines that the file has.
fn check_places(bytes: &[u8], read: &Read) {
    let ends = bytes.iter().filter(|byte| b"\n\r".contains(byte));
    let lines = ends.count() as u64 + 1;
    let (mut last_row, mut last_line) = (0, 1);
    for found in &read.found {
        let (row, line) = match found {
            Ok(row) => (Some(row.number), (row.line > 0).then_some(row.line)),
            Err(finding) => {
                check_finding(finding);
                (finding.place.row, finding.place.line)
            }
        };
        if let Some(row) = row {
            assert_eq!(row, last_row + 1, "rows do not count up");
            last_row = row;
        }
        assert_eq!(line.is_none(), read.format == Format::Parquet);
        let line = line.unwrap_or(last_line);
        assert!(line >= last_line, "line {line} after {last_line}");
        assert!(!read.is_plain || line <= lines, "line {line} of {lines}");
        last_line = line;
    }
}

fn check_finding(finding: &Finding) {
    check_message(&finding.to_string());
    for text in [
        &finding.code,
        &finding.expected,
        &finding.found,
        &finding.fix,
    ] {
        check_message(text);
    }
}

/// Where a buffer ends changes nothing: the same behind blank lines that put its end into the middle.
fn check_buffers(name: &str, bytes: &[u8], found: &[Found]) {
    let has_mark = bytes.starts_with(b"\xef\xbb\xbf");
    // It takes longer than all else.
    let is_chosen = bytes.len().is_multiple_of(8);
    if has_mark || bytes.is_empty() || !is_chosen {
        return;
    }
    let middle = usize::from(bytes[0]) % bytes.len();
    let blank = BUFFER - middle;
    let mut shifted = vec![b'\n'; blank];
    shifted.extend_from_slice(bytes);
    let blank = blank as u64;
    let shifted = read(name, &shifted).unwrap().found;
    assert_eq!(
        found.len(),
        shifted.len(),
        "blank lines change what is read"
    );
    for (found, shifted) in found.iter().zip(shifted) {
        match (found, shifted) {
            (Ok(row), Ok(shifted)) => {
                let line = row.line + blank;
                assert_eq!(
                    shifted,
                    Row {
                        line,
                        ..row.clone()
                    }
                );
            }
            (Err(finding), Err(shifted)) => {
                let line = finding.place.line.map(|line| line + blank);
                assert_eq!(finding.code, shifted.code);
                assert_eq!(
                    (finding.place.row, line),
                    (shifted.place.row, shifted.place.line)
                );
                assert_eq!(finding.place.field, shifted.place.field);
            }
            (found, shifted) => panic!("{found:?} is {shifted:?} behind blank lines"),
        }
    }
}

/// A report counts what was read, and says the same as reading for training does.
fn check_report(name: &str, bytes: &[u8], found: &[Found]) {
    let (report, conversations) = with_files(&[(name, bytes)], |folder| {
        let path = folder.join(name);
        let report = validate(&path, &ValidationOptions::default()).unwrap();
        (report, conversations(&path))
    });
    let of_rows = found.iter().filter(|found| match found {
        Ok(_) => true,
        Err(finding) => finding.place.row.is_some(),
    });
    assert_eq!(report.rows, of_rows.count() as u64);
    assert!(report.valid_rows <= report.rows);
    assert_eq!(report.digest, Digest::of_bytes(bytes));
    check_findings(&report);
    match conversations {
        Some(conversations) => {
            assert_eq!(conversations.len() as u64, report.valid_rows);
            assert_eq!(report.valid_rows, report.rows);
        }
        None => assert!(
            report.has_errors()
                || report.totals.contains_key("other_lesson")
                || report.columns == Some(Columns::Text),
            "rows that are refused have no error"
        ),
    }
}

fn check_findings(report: &ValidationReport) {
    let codes: BTreeSet<&String> = report.findings.iter().map(|it| &it.code).collect();
    assert_eq!(codes, report.totals.keys().collect());
    for finding in &report.findings {
        check_finding(finding);
        let row = finding.place.row.unwrap_or(1);
        assert!((1..=report.rows.max(1)).contains(&row), "row {row}");
    }
    let (errors, warnings) = report.counts();
    let infos = report
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Info);
    let infos: BTreeSet<&String> = infos.map(|it| &it.code).collect();
    let infos: u64 = infos.into_iter().map(|code| report.totals[code]).sum();
    assert_eq!(
        errors + warnings + infos,
        report.totals.values().sum::<u64>()
    );
    serde_json::to_vec(report).unwrap();
}

/// Reads rows as training does; nothing, where one is refused.
fn conversations(path: &Path) -> Option<Vec<(u64, Conversation)>> {
    match read_conversations(path, &ReadOptions::default()) {
        Ok(conversations) => {
            for (_, conversation) in &conversations {
                check_conversation(conversation);
            }
            Some(conversations)
        }
        Err(error) => {
            let text = check_error(&error);
            assert!(text.contains(&path.display().to_string()), "{text}");
            None
        }
    }
}

/// Turns alternate, end with the response, and say something.
fn check_conversation(conversation: &Conversation) {
    let turns = &conversation.messages;
    let spoken = turns.iter().skip_while(|turn| turn.role == Role::System);
    let roles: Vec<Role> = spoken.map(|turn| turn.role).collect();
    assert!(
        !roles.is_empty() && roles.len().is_multiple_of(2),
        "{roles:?}"
    );
    assert!(
        roles
            .chunks(2)
            .all(|pair| pair == [Role::User, Role::Assistant])
    );
    assert!(turns.len() - roles.len() <= 1, "{roles:?}");
    assert!(turns.iter().all(|turn| !turn.content.trim().is_empty()));
}

fn json_text(fields: &Map<String, Value>) -> String {
    serde_json::to_string(fields).unwrap()
}

fn json_lines(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| json_text(&row.fields) + "\n");
    lines.collect()
}

fn json_list(rows: &[Row]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| json_text(&row.fields)).collect();
    format!("[{}]", rows.join(",\n"))
}

/// Rows of text between blank lines, before the first too: what it begins with is no byte order mark.
fn paragraphs(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| row.fields["text"].as_str().unwrap());
    rows.map(|text| format!("\n{text}\n")).collect()
}

fn csv_text(rows: &[Row]) -> String {
    let record = |fields: Vec<&str>| {
        let fields = fields
            .iter()
            .map(|it| format!("\"{}\"", it.replace('"', "\"\"")));
        fields.collect::<Vec<_>>().join(",") + "\r\n"
    };
    let Some(first) = rows.first() else {
        return String::new();
    };
    let header = record(first.fields.keys().map(String::as_str).collect());
    let records = rows.iter().map(|row| {
        let values = row.fields.values();
        record(values.map(|value| value.as_str().unwrap()).collect())
    });
    header + &records.collect::<String>()
}

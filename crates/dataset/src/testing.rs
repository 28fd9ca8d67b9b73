//! What several tests of this crate need.

use std::{fs, path::PathBuf};

use llmopt_domain::{ColumnMap, Conversation, Finding};

use crate::{Columns, DatasetError, Example, Row, Rule, Totals, ValidationReport, open};

/// A file in a folder of its own, gone with the value.
pub(crate) struct File {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    /// JSONL of different rows, `count` of them, and then `more`.
    pub(crate) fn with_rows(count: usize, more: &str) -> Self {
        let row = |i| format!("{{\"prompt\": \"count {i}\", \"response\": \"it is {i}\"}}\n");
        let rows: String = (0..count).map(row).collect();
        Self::new("rows.jsonl", (rows + more).as_bytes())
    }

    pub(crate) fn validate(&self) -> ValidationReport {
        crate::validate(&self.path, &crate::ValidationOptions::default()).unwrap()
    }
}

/// Reads everything.
pub(crate) fn rows_and_errors(file: &File) -> (Vec<Row>, Vec<Finding>) {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for row in open(&file.path).unwrap() {
        match row {
            Ok(row) => rows.push(row),
            Err(DatasetError::Content(finding)) => errors.push(*finding),
            Err(error) => panic!("{error}"),
        }
    }
    (rows, errors)
}

/// Reads everything, of which nothing may be broken.
pub(crate) fn numbers_and_lines(file: &File) -> Vec<(u64, u64)> {
    let (rows, errors) = rows_and_errors(file);
    assert!(errors.is_empty(), "{errors:?}");
    rows.iter().map(|row| (row.number, row.line)).collect()
}

/// The findings with `code`.
pub(crate) fn with_code<'a>(report: &'a ValidationReport, code: &str) -> Vec<&'a Finding> {
    let findings = report.findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

/// The findings of `rule` in a file of `conversations`: pairs where they have two turns of text, else chats.
pub(crate) fn findings_of(rule: &mut dyn Rule, conversations: &[Conversation]) -> Vec<Finding> {
    let pair = Columns::Pair {
        prompt: "prompt",
        response: "response",
    };
    let mut findings = Vec::new();
    for (number, conversation) in (1..).zip(conversations) {
        let turns = &conversation.messages;
        let is_pair = turns.len() == 2 && turns.iter().all(|turn| turn.tool_calls.is_empty());
        let row = Row {
            number,
            line: number,
            fields: serde_json::Map::new(),
            set_aside: serde_json::Map::new(),
        };
        let example = Example {
            file: "rows.jsonl",
            columns: if is_pair { &pair } else { &Columns::Messages },
            map: &ColumnMap::default(),
            row: &row,
            conversation,
        };
        rule.check(&example, &mut findings);
    }
    let totals = Totals {
        file: "rows.jsonl",
        rows: conversations.len() as u64,
    };
    rule.finish(&totals, &mut |finding| findings.push(finding));
    findings
}

/// A conversation of JSON.
pub(crate) fn conversation(value: serde_json::Value) -> Conversation {
    serde_json::from_value(value).unwrap()
}

/// Returns the folder of outside data, or says that the test is skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find outside data through this one variable"
)]
pub(crate) fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA");
    if folder.is_none() {
        println!("skipped: LLMOPT_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

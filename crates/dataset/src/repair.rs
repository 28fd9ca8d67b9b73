//! Repairs that take nothing away that could be learnt, each with a record of what it changed.

mod edit;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher as _},
    io::{self, Write},
    path::Path,
    str::FromStr,
};

use llmopt_domain::ColumnMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    Columns, DatasetError, ReadOptions, Row,
    conversations::{Rows, checked, of_file, with_columns},
    mapping::{columns_in_file, field_in_file, without_map},
    open_with,
    problem::shortened,
};

/// Something that can be put right without asking anybody, called by the code of what it mends.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Leaves out rows that cannot be read, or of which something is missing.
    BrokenRow,
    /// Leaves out rows that say the same as one before them.
    DuplicateRow,
    /// Takes out control characters other than tabs and ends of lines.
    ControlCharacter,
    /// Writes accented letters as one character each (NFC).
    MixedNormalForms,
    /// Writes characters as they were meant that are the bytes of others.
    Mojibake,
    /// Takes white space off the end of texts.
    TrailingSpace,
}

/// What a repair did to a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// The repair.
    pub repair: Repair,
    /// The row before any repair, counted from 1.
    pub row: u64,
    /// The field within the row; absent where the whole row was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was there, or its beginning.
    pub before: String,
    /// What is there now; absent where it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What repairs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepairSummary {
    /// The rows before, broken ones included.
    pub rows_before: u64,
    /// The rows that are left.
    pub rows_after: u64,
    /// How often each repair changed something.
    pub totals: BTreeMap<Repair, u64>,
    /// The columns that were renamed, each under the name that it has now; absent where none was mapped.
    #[serde(skip_serializing_if = "ColumnMap::is_empty")]
    pub renamed_columns: ColumnMap,
}

impl Repair {
    /// Every repair, in the order in which they are applied.
    pub const ALL: [Self; 6] = [
        Self::BrokenRow,
        Self::Mojibake,
        Self::ControlCharacter,
        Self::MixedNormalForms,
        Self::TrailingSpace,
        Self::DuplicateRow,
    ];

    /// Returns the code of what it mends.
    pub fn code(self) -> &'static str {
        match self {
            Self::BrokenRow => "broken_row",
            Self::DuplicateRow => "duplicate_row",
            Self::ControlCharacter => "control_character",
            Self::MixedNormalForms => "mixed_normal_forms",
            Self::Mojibake => "mojibake",
            Self::TrailingSpace => "trailing_space",
        }
    }

    /// Returns the text as it should be, where that is another.
    fn edit(self, text: &str) -> Option<String> {
        let edited = match self {
            Self::ControlCharacter => edit::without_control_characters(text),
            Self::MixedNormalForms => edit::composed(text),
            Self::Mojibake => edit::without_mojibake(text),
            Self::TrailingSpace => text.trim_end().to_owned(),
            Self::BrokenRow | Self::DuplicateRow => return None,
        };
        (edited != text).then_some(edited)
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl FromStr for Repair {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|repair| repair.code() == code);
        known.ok_or_else(|| {
            let all = Self::ALL.map(|repair| format!("`{repair}`")).join(", ");
            format!("there is no repair `{code}`: expected one of {all}")
        })
    }
}

/// Writes the dataset at `path`, read as `options` say, to `out`, as JSONL with what `repairs` mend put right; hands
/// every change to `changes`.
///
/// The columns stay, but for those that are mapped: they get the names that they are mapped to, so that what is written
/// is read without a map. A column that has such a name and is not meant is written as `unmapped_NAME`.
///
/// Texts are mended first, then rows are left out: what becomes the same is a duplicate. Takes some bytes for each row
/// that is kept.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`]; [`DatasetError::Content`] if the file's columns are not
/// understood, or if a row is broken and [`Repair::BrokenRow`] is not among the repairs; [`DatasetError::Write`] for
/// both `out` and `changes`.
pub fn repair(
    path: &Path,
    options: &ReadOptions,
    repairs: &[Repair],
    out: &mut impl Write,
    changes: &mut dyn FnMut(&Change) -> io::Result<()>,
) -> Result<RepairSummary, DatasetError> {
    let Rows { columns, map, rows } = with_columns(open_with(path, options)?);
    let file = path.display().to_string();
    let columns = columns.transpose();
    let columns = columns.map_err(|problem| of_file(&file, problem))?;
    let mut repairing = Repairing {
        repairs,
        out,
        changes,
        seen: HashSet::new(),
        summary: RepairSummary {
            renamed_columns: map.clone(),
            ..RepairSummary::default()
        },
        file,
        map,
    };
    for row in rows {
        repairing.row(row, columns.as_ref())?;
    }
    let flushed = repairing.out.flush();
    flushed.map_err(DatasetError::Write)?;
    Ok(repairing.summary)
}

struct Repairing<'a, W> {
    repairs: &'a [Repair],
    out: &'a mut W,
    changes: &'a mut dyn FnMut(&Change) -> io::Result<()>,
    seen: HashSet<u64>,
    summary: RepairSummary,
    file: String,
    map: ColumnMap,
}

impl<W: Write> Repairing<'_, W> {
    fn row(
        &mut self,
        row: Result<Row, DatasetError>,
        columns: Option<&Columns>,
    ) -> Result<(), DatasetError> {
        let mut row = match row {
            Err(DatasetError::Content(finding)) if finding.place.row.is_some() => {
                self.summary.rows_before += 1;
                let row = finding.place.row.unwrap_or_default();
                return self.broken(row, DatasetError::Content(finding));
            }
            row => row?,
        };
        self.summary.rows_before += 1;
        // Where a row could be read, there are columns.
        let Some(columns) = columns else {
            return Ok(());
        };
        self.edit(&mut row, columns)?;
        if let Err(error) = checked(&self.file, columns, &self.map, &row) {
            return self.broken(row.number, error);
        }
        if self.has(Repair::DuplicateRow) && !self.seen.insert(fingerprint(&row, columns)) {
            return self.leave_out(Repair::DuplicateRow, &row);
        }
        self.summary.rows_after += 1;
        let written = serde_json::to_writer(&mut *self.out, &without_map(row));
        let written = written.map_err(io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.map_err(DatasetError::Write)
    }

    fn has(&self, repair: Repair) -> bool {
        self.repairs.contains(&repair)
    }

    fn broken(&mut self, row: u64, error: DatasetError) -> Result<(), DatasetError> {
        match error {
            DatasetError::Content(finding) if self.has(Repair::BrokenRow) => self.note(Change {
                repair: Repair::BrokenRow,
                row,
                field: finding.place.field,
                before: finding.found,
                after: None,
            }),
            error => Err(error),
        }
    }

    fn leave_out(&mut self, repair: Repair, row: &Row) -> Result<(), DatasetError> {
        let columns = columns_in_file(row, &self.map);
        let columns: Map<String, Value> = columns
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let json = serde_json::to_string(&columns).unwrap_or_default();
        self.note(Change {
            repair,
            row: row.number,
            field: None,
            before: shortened(&json),
            after: None,
        })
    }

    /// Mends the texts of the columns that are read.
    fn edit(&mut self, row: &mut Row, columns: &Columns) -> Result<(), DatasetError> {
        for (column, value) in &mut row.fields {
            if columns.reads(column) {
                let place = field_in_file(column.clone(), &self.map);
                self.edit_value(row.number, &place, value)?;
            }
        }
        Ok(())
    }

    fn edit_value(&mut self, row: u64, place: &str, value: &mut Value) -> Result<(), DatasetError> {
        match value {
            Value::String(text) => self.edit_text(row, place, text),
            Value::Array(values) => {
                let mut values = values.iter_mut().enumerate();
                values.try_for_each(|(index, value)| {
                    self.edit_value(row, &format!("{place}[{index}]"), value)
                })
            }
            Value::Object(fields) => {
                let mut fields = fields.iter_mut().filter(|(key, _)| is_text(key));
                fields.try_for_each(|(key, value)| {
                    self.edit_value(row, &format!("{place}.{key}"), value)
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn edit_text(&mut self, row: u64, place: &str, text: &mut String) -> Result<(), DatasetError> {
        for repair in Repair::ALL
            .into_iter()
            .filter(|it| self.repairs.contains(it))
        {
            let Some(edited) = repair.edit(text) else {
                continue;
            };
            let before = std::mem::replace(text, edited);
            self.note(Change {
                repair,
                row,
                field: Some(place.to_owned()),
                before,
                after: Some(text.clone()),
            })?;
        }
        Ok(())
    }

    fn note(&mut self, change: Change) -> Result<(), DatasetError> {
        *self.summary.totals.entry(change.repair).or_default() += 1;
        (self.changes)(&change).map_err(DatasetError::Write)
    }
}

/// Tells whether what a turn has under `key` is said, and no name.
fn is_text(key: &str) -> bool {
    matches!(key, "content" | "value" | "text" | "messages")
}

/// Stands for what a row says in the columns that are read.
fn fingerprint(row: &Row, columns: &Columns) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (column, value) in row
        .fields
        .iter()
        .filter(|(column, _)| columns.reads(column))
    {
        (column, value).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::File;

    /// What is left, and what was changed.
    fn repaired(lines: &str, repairs: &[Repair]) -> (Vec<Value>, Vec<Change>, RepairSummary) {
        let file = File::new("rows.jsonl", lines.as_bytes());
        let (mut out, mut changes) = (Vec::new(), Vec::new());
        let summary = repair(
            &file.path,
            &ReadOptions::default(),
            repairs,
            &mut out,
            &mut |change| {
                changes.push(change.clone());
                Ok(())
            },
        );
        let text = String::from_utf8(out).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (rows.collect(), changes, summary.unwrap())
    }

    fn change(
        repair: Repair,
        row: u64,
        field: Option<&str>,
        before: &str,
        after: Option<&str>,
    ) -> Change {
        Change {
            repair,
            row,
            field: field.map(str::to_owned),
            before: before.to_owned(),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn a_sound_row_is_written_as_it_was() {
        let row =
            json!({"id": 7, "prompt": "a\tb\n", "response": "ä", "extra": {"z": [1.0], "a": null}});
        let (rows, changes, summary) = repaired(&format!("{row}\n"), &Repair::ALL[..4]);
        assert_eq!(rows, [row]);
        assert_eq!(changes, []);
        assert_eq!((summary.rows_before, summary.rows_after), (1, 1));
    }

    #[test]
    fn every_change_is_told_with_what_was_there_before() {
        let lines = json!({"prompt": "caf\u{e9}\u{0}", "response": "GrÃ¶ÃŸe  "}).to_string();
        let (rows, changes, summary) = repaired(&lines, &Repair::ALL);
        assert_eq!(rows, [json!({"prompt": "café", "response": "Größe"})]);
        let expected = [
            change(
                Repair::ControlCharacter,
                1,
                Some("prompt"),
                "café\u{0}",
                Some("café"),
            ),
            change(
                Repair::Mojibake,
                1,
                Some("response"),
                "GrÃ¶ÃŸe  ",
                Some("Größe  "),
            ),
            change(
                Repair::TrailingSpace,
                1,
                Some("response"),
                "Größe  ",
                Some("Größe"),
            ),
        ];
        assert_eq!(changes, expected);
        assert_eq!(summary.totals.values().sum::<u64>(), 3);
    }

    #[test]
    fn only_what_is_chosen_is_mended() {
        let lines = json!({"prompt": "a\u{0} ", "response": "b "}).to_string();
        let (rows, changes, _) = repaired(&lines, &[Repair::ControlCharacter]);
        assert_eq!(rows, [json!({"prompt": "a ", "response": "b "})]);
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn rows_that_became_the_same_are_left_out_after_the_first() {
        let lines = "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"c\", \"response\": \"d\"}\n{\"prompt\": \"a\", \"response\": \"b  \", \"id\": 2}\n";
        let (rows, changes, summary) =
            repaired(lines, &[Repair::DuplicateRow, Repair::TrailingSpace]);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (changes[1].repair, changes[1].row),
            (Repair::DuplicateRow, 3)
        );
        assert_eq!((summary.rows_before, summary.rows_after), (3, 2));
    }

    #[test]
    fn broken_rows_are_left_out_where_that_is_chosen_and_else_an_error() {
        let lines = "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\"\n{\"prompt\": \"a\"}\n{\"prompt\": \"a\", \"response\": \" \"}\n";
        let (rows, changes, summary) = repaired(lines, &[Repair::BrokenRow]);
        assert_eq!((rows.len(), summary.rows_before), (1, 4));
        let broken: Vec<_> = changes.iter().map(|it| it.row).collect();
        assert_eq!(broken, [2, 3, 4]);
        let file = File::new("rows.jsonl", lines.as_bytes());
        let refused = repair(
            &file.path,
            &ReadOptions::default(),
            &[],
            &mut Vec::new(),
            &mut |_| Ok(()),
        );
        assert!(refused.unwrap_err().to_string().contains("row 2"));
    }

    #[test]
    fn names_of_tools_and_speakers_are_no_texts() {
        let row = json!({"messages": [
            {"role": "user", "content": "a ", "name": "x "},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1 ", "function": {"name": "f", "arguments": "{\"a\": \"b \"} "}}]},
            {"role": "tool", "content": [{"type": "text", "text": "c "}], "tool_call_id": "1 "},
            {"role": "assistant", "content": "d"}]});
        let (rows, changes, _) = repaired(&row.to_string(), &[Repair::TrailingSpace]);
        let fields: Vec<_> = changes
            .iter()
            .filter_map(|it| it.field.as_deref())
            .collect();
        assert_eq!(
            fields,
            ["messages[0].content", "messages[2].content[0].text"]
        );
        assert_eq!(rows[0]["messages"][1], row["messages"][1]);
    }

    #[test]
    fn unknown_repairs_are_refused_with_those_there_are() {
        assert_eq!("mojibake".parse(), Ok(Repair::Mojibake));
        assert!(
            "typos"
                .parse::<Repair>()
                .unwrap_err()
                .contains("`duplicate_row`")
        );
        for repair in Repair::ALL {
            assert_eq!(repair.code().parse(), Ok(repair));
            assert_eq!(serde_json::to_value(repair).unwrap(), repair.code());
        }
    }
}

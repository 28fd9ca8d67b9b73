use std::{collections::BTreeSet, iter::Chain, mem, path::Path, vec};

use llmopt_domain::{ColumnMap, Conversation, LessonKind, Place, Sample};

use crate::{
    Columns, DatasetError, Example, ReadOptions, ReadPosition, Reader, Row, Rule,
    mapping::sample,
    problem::Problem,
    reader::open_at,
    recognition::{FoundColumns, missing_columns, recognise},
    rules::EmptyText,
};

/// How many rows are looked at to tell the columns. More than one, so that a first row which lacks a
/// field is an error of that row and not of the file.
const LOOK_AHEAD: usize = 20;

/// All rows of a file, and what their columns were recognised as.
pub(crate) struct Rows {
    /// Absent where there are no rows to tell by.
    pub(crate) columns: Option<Result<Columns, Problem>>,
    /// What the file calls them.
    pub(crate) map: ColumnMap,
    pub(crate) rows: CheckedRows,
}

/// Recognises the columns of what `reader` reads.
pub(crate) fn with_columns(mut reader: Reader) -> Rows {
    let (file, map) = (reader.file(), reader.columns().clone());
    let ahead: Vec<_> = reader.by_ref().take(LOOK_AHEAD).collect();
    let found = FoundColumns::of(ahead.iter().flatten(), &map);
    let columns = ahead.iter().any(Result::is_ok).then(|| recognise(&found));
    let unseen = match &columns {
        // What is wrong with the columns is said already.
        Some(Err(_)) => Vec::new(),
        _ => map.iter().map(owned).collect(),
    };
    let in_file = found.in_file.iter().map(|name| (*name).to_owned());
    let in_file = in_file.collect();
    Rows {
        columns,
        rows: CheckedRows {
            rows: ahead.into_iter().chain(reader),
            file,
            unseen,
            in_file,
        },
        map,
    }
}

fn owned((name, column): (&str, &str)) -> (String, String) {
    (name.to_owned(), column.to_owned())
}

/// The rows of a file; the last item is an error where a column is mapped that none of them had.
pub(crate) struct CheckedRows {
    rows: Chain<vec::IntoIter<Result<Row, DatasetError>>, Reader>,
    file: String,
    unseen: Vec<(String, String)>,
    /// The columns of the first rows.
    in_file: BTreeSet<String>,
}

impl CheckedRows {
    fn missing(&mut self) -> Option<DatasetError> {
        let unseen = mem::take(&mut self.unseen);
        // Without any row nothing is known of columns.
        if unseen.is_empty() || self.in_file.is_empty() {
            return None;
        }
        let absent: Vec<_> = unseen
            .iter()
            .map(|(name, column)| (name.as_str(), column.as_str()))
            .collect();
        let in_file = self.in_file.iter().map(String::as_str).collect();
        Some(of_file(&self.file, missing_columns(&absent, &in_file)))
    }
}

impl Iterator for CheckedRows {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(row) = self.rows.next() else {
            return self.missing().map(Err);
        };
        if let Ok(row) = &row {
            self.unseen
                .retain(|(name, _)| !row.fields.contains_key(name));
        }
        Some(row)
    }
}

/// Reads every row of the dataset at `path`, as `options` say, as a conversation with the row's number counted from 1.
///
/// # Errors
/// As [`read_samples`]; and if there is something else to learn from the rows than the assistant's turns.
pub fn read_conversations(
    path: &Path,
    options: &ReadOptions,
) -> Result<Vec<(u64, Conversation)>, DatasetError> {
    let mut conversations = Vec::new();
    for sample in read_samples(path, options)? {
        let (row, sample) = sample?;
        let kind = sample.lesson.kind();
        if kind != LessonKind::Responses {
            let path = path.to_owned();
            return Err(DatasetError::OtherLesson { path, kind });
        }
        conversations.push((row, sample.conversation));
    }
    Ok(conversations)
}

/// Reads the rows of the dataset at `path`, as `options` say, one after the other, each with its number counted from 1.
///
/// The first error is the last item: a row that is broken, or of which prompt or response is missing or empty; or
/// that a column is mapped which no row had.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn read_samples(
    path: &Path,
    options: &ReadOptions,
) -> Result<impl Iterator<Item = Result<(u64, Sample), DatasetError>> + use<>, DatasetError> {
    read_samples_at(path, options, &ReadPosition::default())
}

/// As [`read_samples`], and `position` tells how far the file is read.
///
/// # Errors
/// As [`read_samples`].
pub fn read_samples_at(
    path: &Path,
    options: &ReadOptions,
    position: &ReadPosition,
) -> Result<impl Iterator<Item = Result<(u64, Sample), DatasetError>> + use<>, DatasetError> {
    let file = path.display().to_string();
    let reader = open_at(path, options, position)?;
    let Rows { columns, map, rows } = with_columns(reader);
    let mut has_failed = false;
    Ok(rows.map_while(move |row| {
        if has_failed {
            return None;
        }
        let sample = row.and_then(|row| {
            let columns = known_columns(columns.as_ref(), &row, &map);
            let columns = columns.map_err(|problem| of_file(&file, problem))?;
            Ok((row.number, checked(&file, &columns, &map, &row)?))
        });
        has_failed = sample.is_err();
        Some(sample)
    }))
}

/// Returns the columns of `row`, where they are not known yet by it alone: where every row that was looked at first
/// is broken.
fn known_columns(
    columns: Option<&Result<Columns, Problem>>,
    row: &Row,
    map: &ColumnMap,
) -> Result<Columns, Problem> {
    match columns {
        Some(columns) => columns.clone(),
        None => recognise(&FoundColumns::of([row].into_iter(), map)),
    }
}

/// Reads a row of which nothing may be missing.
pub(crate) fn checked(
    file: &str,
    columns: &Columns,
    map: &ColumnMap,
    row: &Row,
) -> Result<Sample, DatasetError> {
    let sample = sample(row, columns, map);
    let sample = sample.map_err(|problem| content(problem, row.place(file)))?;
    let mut findings = Vec::new();
    EmptyText.check(
        &Example {
            file,
            columns,
            map,
            row,
            conversation: &sample.conversation,
        },
        &mut findings,
    );
    match findings.into_iter().next() {
        Some(finding) => Err(DatasetError::Content(Box::new(finding))),
        None => Ok(sample),
    }
}

/// Makes a problem of the file as a whole an error.
pub(crate) fn of_file(file: &str, problem: Problem) -> DatasetError {
    let file = file.to_owned();
    content(
        problem,
        Place {
            file,
            ..Place::default()
        },
    )
}

fn content(problem: Problem, place: Place) -> DatasetError {
    DatasetError::Content(Box::new(problem.at(place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::File;

    fn refusal(file: &File) -> String {
        let error = read_conversations(&file.path, &ReadOptions::default()).unwrap_err();
        let said = error.to_string();
        said.replace(&file.path.display().to_string(), "FILE")
    }

    #[test]
    fn rows_keep_their_numbers_and_texts() {
        let rows =
            read_conversations(&File::with_rows(3, "").path, &ReadOptions::default()).unwrap();
        let expected = Conversation::from_pair("count 2", "it is 2");
        assert_eq!(rows[2], (3, expected));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn the_first_error_stops_and_names_its_row() {
        let said = refusal(&File::with_rows(30, "{\"prompt\": \"x\"}\n{"));
        let expected = "FILE, row 31 (line 31), field `response`: expected text, found only `prompt` \
                        [missing_field]; fill it in, or delete the row";
        assert_eq!(said, expected);
    }

    #[test]
    fn a_broken_row_and_an_empty_response_stop_too() {
        assert!(refusal(&File::with_rows(2, "{")).starts_with("FILE, row 3 (line 3)"));
        let empty = "{\"prompt\": \"x\", \"response\": \" \"}";
        assert!(refusal(&File::with_rows(2, empty)).contains("[empty_text]"));
        assert!(refusal(&File::new("a.jsonl", b"{")).contains("[unparsable_row]"));
    }

    #[test]
    fn unknown_columns_stop_before_any_row() {
        let said = refusal(&File::new("a.jsonl", b"{\"a\": 1}"));
        assert!(said.starts_with("FILE: expected `messages`"), "{said}");
    }

    #[test]
    fn no_rows_give_no_conversations() {
        assert_eq!(
            read_conversations(&File::new("a.jsonl", b"\n").path, &ReadOptions::default()).unwrap(),
            []
        );
    }
}

use std::{iter::Chain, path::Path, vec};

use llmopt_domain::{Conversation, LessonKind, Place, Sample};

use crate::{
    Columns, DatasetError, Example, ReadOptions, ReadPosition, Reader, Row, Rule,
    columns::{FoundColumns, recognise},
    problem::Problem,
    reader::open_at,
    rules::EmptyText,
};

/// How many rows are looked at to tell the columns. More than one, so that a first row which lacks a
/// field is an error of that row and not of the file.
const LOOK_AHEAD: usize = 20;

/// All rows of a file, and what their columns were recognised as.
pub(crate) struct Rows {
    /// Absent where there are no rows to tell by.
    pub(crate) columns: Option<Result<Columns, Problem>>,
    pub(crate) rows: Chain<vec::IntoIter<Result<Row, DatasetError>>, Reader>,
}

/// Recognises the columns of what `reader` reads.
pub(crate) fn with_columns(mut reader: Reader) -> Rows {
    let ahead: Vec<_> = reader.by_ref().take(LOOK_AHEAD).collect();
    let rows = ahead.iter().flatten();
    let found = FoundColumns::of(rows);
    let columns = ahead.iter().any(Result::is_ok).then(|| recognise(&found));
    Rows {
        columns,
        rows: ahead.into_iter().chain(reader),
    }
}

/// Reads every row of the dataset at `path` as a conversation, with the row's number counted from 1.
///
/// # Errors
/// As [`read_samples`]; and if there is something else to learn from the rows than the assistant's turns.
pub fn read_conversations(path: &Path) -> Result<Vec<(u64, Conversation)>, DatasetError> {
    let mut conversations = Vec::new();
    for sample in read_samples(path)? {
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

/// Reads the rows of the dataset at `path` one after the other, each with its number counted from 1.
///
/// The first error is the last item: a row that is broken, or of which prompt or response is missing or empty.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn read_samples(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(u64, Sample), DatasetError>> + use<>, DatasetError> {
    read_samples_at(path, &ReadPosition::default())
}

/// As [`read_samples`], and `position` tells how far the file is read.
///
/// # Errors
/// As [`read_samples`].
pub fn read_samples_at(
    path: &Path,
    position: &ReadPosition,
) -> Result<impl Iterator<Item = Result<(u64, Sample), DatasetError>> + use<>, DatasetError> {
    let file = path.display().to_string();
    let reader = open_at(path, &ReadOptions::default(), position)?;
    let Rows { columns, rows } = with_columns(reader);
    let mut has_failed = false;
    Ok(rows.map_while(move |row| {
        if has_failed {
            return None;
        }
        let sample = row.and_then(|row| read_row(&file, columns.as_ref(), &row));
        has_failed = sample.is_err();
        Some(sample)
    }))
}

fn read_row(
    file: &str,
    columns: Option<&Result<Columns, Problem>>,
    row: &Row,
) -> Result<(u64, Sample), DatasetError> {
    // Absent only where every row that was looked at first is broken.
    let columns = columns.cloned();
    let columns = columns.unwrap_or_else(|| recognise(&FoundColumns::of([row].into_iter())));
    let columns = columns.map_err(|problem| of_file(file, problem))?;
    Ok((row.number, checked(file, &columns, row)?))
}

/// Reads a row of which nothing may be missing.
pub(crate) fn checked(file: &str, columns: &Columns, row: &Row) -> Result<Sample, DatasetError> {
    let sample = columns.sample(&row.fields);
    let sample = sample.map_err(|problem| content(problem, row.place(file)))?;
    let mut findings = Vec::new();
    EmptyText.check(
        &Example {
            file,
            columns,
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
        let error = read_conversations(&file.path).unwrap_err();
        let said = error.to_string();
        said.replace(&file.path.display().to_string(), "FILE")
    }

    #[test]
    fn rows_keep_their_numbers_and_texts() {
        let rows = read_conversations(&File::with_rows(3, "").path).unwrap();
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
            read_conversations(&File::new("a.jsonl", b"\n").path).unwrap(),
            []
        );
    }
}

use std::{collections::BTreeSet, iter::Chain, path::Path, vec};

use llmopt_domain::{Conversation, Place};

use crate::{
    Columns, DatasetError, Example, Reader, Row, Rule, columns::recognise, open, problem::Problem,
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
    let names: BTreeSet<&str> = rows
        .flat_map(|row| row.fields.keys().map(String::as_str))
        .collect();
    let columns = ahead.iter().any(Result::is_ok).then(|| recognise(&names));
    Rows {
        columns,
        rows: ahead.into_iter().chain(reader),
    }
}

/// Reads every row of the dataset at `path` as a conversation, with the row's number counted from 1.
///
/// # Errors
/// The first row that is broken, or of which prompt or response is missing or empty; or
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn read_conversations(path: &Path) -> Result<Vec<(u64, Conversation)>, DatasetError> {
    let file = path.display().to_string();
    let Rows { columns, rows } = with_columns(open(path)?);
    let mut conversations = Vec::new();
    for row in rows {
        let row = row?;
        // Where a row was read, there are columns or a problem with them.
        let Some(columns) = &columns else { continue };
        let columns = columns.as_ref().map_err(|problem| {
            let file = file.clone();
            content(
                problem.clone(),
                Place {
                    file,
                    ..Place::default()
                },
            )
        })?;
        conversations.push((row.number, read_row(&file, columns, &row)?));
    }
    Ok(conversations)
}

fn read_row(file: &str, columns: &Columns, row: &Row) -> Result<Conversation, DatasetError> {
    let place = row.place(file);
    let conversation = columns.conversation(&row.fields);
    let conversation = conversation.map_err(|problem| content(problem, place))?;
    let mut findings = Vec::new();
    EmptyText.check(
        &Example {
            file,
            columns,
            row,
            conversation: &conversation,
        },
        &mut findings,
    );
    match findings.into_iter().next() {
        Some(finding) => Err(DatasetError::Content(Box::new(finding))),
        None => Ok(conversation),
    }
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

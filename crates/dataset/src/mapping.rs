//! Columns that a file calls otherwise than they are recognised: each row is read under the names that are known,
//! and what is said of it has the file's.

use std::path::Path;

use llmopt_domain::{ColumnMap, Conversation, Sample};
use serde_json::{Map, Value};

use crate::{
    Columns, DatasetError, ReadOptions, Row,
    conversations::{Rows, with_columns},
    open_with,
    problem::{Problem, quoted, shortened},
};

type Fields = Map<String, Value>;

/// What a row's columns are under the names that are recognised.
#[derive(Debug, Default)]
pub(crate) struct Renamed {
    pub(crate) fields: Fields,
    /// Columns that have the name of one that another was mapped to.
    pub(crate) set_aside: Fields,
}

/// Gives the columns that `map` maps their recognised names; the order stays.
pub(crate) fn renamed(fields: Fields, map: &ColumnMap) -> Renamed {
    if map.is_empty() {
        let set_aside = Fields::new();
        return Renamed { fields, set_aside };
    }
    let mut renamed = Renamed::default();
    for (column, value) in fields {
        if let Some(name) = map.name_of(&column) {
            renamed.fields.insert(name.to_owned(), value);
        } else if map.column(&column).is_some() {
            renamed.set_aside.insert(column, value);
        } else {
            renamed.fields.insert(column, value);
        }
    }
    renamed
}

/// What the columns of a file are recognised as, and what the file calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileColumns {
    columns: Columns,
    map: ColumnMap,
}

impl FileColumns {
    /// Says that the file calls the recognised `columns` as `map` says.
    pub fn new(columns: Columns, map: ColumnMap) -> Self {
        Self { columns, map }
    }

    /// Recognises the columns of the dataset at `path`, read as `options` say, by its first rows; `None` where they
    /// are not understood.
    ///
    /// # Errors
    /// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
    pub fn of(path: &Path, options: &ReadOptions) -> Result<Option<Self>, DatasetError> {
        let Rows { columns, map, .. } = with_columns(open_with(path, options)?);
        let columns = columns.and_then(Result::ok);
        Ok(columns.map(|columns| Self::new(columns, map)))
    }

    /// Names the field that the turn at `index` of a conversation came from, as the file does.
    pub fn field_of(&self, conversation: &Conversation, index: usize) -> String {
        field_in_file(self.columns.field_of(conversation, index), &self.map)
    }
}

/// Names a field such as `messages[0].content` as the file does.
pub(crate) fn field_in_file(field: String, map: &ColumnMap) -> String {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (name, rest) = field.split_at(end);
    match map.column(name) {
        Some(column) => format!("{}{rest}", shortened(column)),
        None => field,
    }
}

/// Returns the columns of a row by the names that they have in the file.
pub(crate) fn columns_in_file<'a>(
    row: &'a Row,
    map: &'a ColumnMap,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let read = row
        .fields
        .iter()
        .map(|(name, value)| (map.column(name).unwrap_or(name), value));
    let set_aside = row.set_aside.iter();
    read.chain(set_aside.map(|(name, value)| (name.as_str(), value)))
}

/// Makes a row a sample; what is wrong with it has the names of the file's columns.
pub(crate) fn sample(row: &Row, columns: &Columns, map: &ColumnMap) -> Result<Sample, Problem> {
    let sample = columns.sample(&row.fields);
    match map.is_empty() {
        true => sample,
        false => sample.map_err(|problem| problem_in_file(problem, row, map)),
    }
}

fn problem_in_file(mut problem: Problem, row: &Row, map: &ColumnMap) -> Problem {
    let Some(field) = problem.field.take() else {
        return problem;
    };
    if problem.code == "missing_field" && ColumnMap::NAMES.contains(&field.as_str()) {
        let columns: Vec<_> = columns_in_file(row, map).map(|(name, _)| name).collect();
        // A column that is there is `null`, and that is said.
        if !row.fields.contains_key(&field) && !columns.is_empty() {
            problem.found = format!("only {}", quoted(columns));
        }
    }
    problem.in_field(field_in_file(field, map))
}

/// Returns all columns of a row so that a reader without a map reads the same of them.
pub(crate) fn without_map(row: Row) -> Fields {
    let mut fields = row.fields;
    for (name, value) in row.set_aside {
        let mut free = format!("unmapped_{name}");
        while fields.contains_key(&free) {
            free.insert_str(0, "unmapped_");
        }
        fields.insert(free, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(fields: Value, map: &ColumnMap) -> Row {
        let Renamed { fields, set_aside } = renamed(fields.as_object().unwrap().clone(), map);
        Row {
            number: 1,
            line: 1,
            fields,
            set_aside,
        }
    }

    #[test]
    fn mapped_columns_change_their_names_and_others_stay() {
        let map = "prompt=frage,response=antwort".parse().unwrap();
        let row = row(
            json!({"id": 1, "antwort": "b", "prompt": "old", "frage": "a"}),
            &map,
        );
        let fields = serde_json::to_string(&row.fields).unwrap();
        assert_eq!(fields, r#"{"id":1,"response":"b","prompt":"a"}"#);
        assert_eq!(
            Value::Object(row.set_aside.clone()),
            json!({"prompt": "old"})
        );
        let names: Vec<_> = columns_in_file(&row, &map).map(|it| it.0).collect();
        assert_eq!(names, ["id", "antwort", "frage", "prompt"]);
    }

    #[test]
    fn exchanged_names_set_nothing_aside() {
        let map = "prompt=response,response=prompt".parse().unwrap();
        let row = row(json!({"prompt": "a", "response": "b"}), &map);
        assert_eq!(
            Value::Object(row.fields),
            json!({"prompt": "b", "response": "a"})
        );
        assert!(row.set_aside.is_empty());
    }

    #[test]
    fn fields_within_a_column_are_named_as_the_file_does() {
        let map = "messages=dialog.neu,prompt=frage".parse().unwrap();
        let named = |field: &str| field_in_file(field.to_owned(), &map);
        assert_eq!(named("messages[2].content"), "dialog.neu[2].content");
        assert_eq!(
            (named("prompt"), named("prompts")),
            ("frage".into(), "prompts".into())
        );
    }

    #[test]
    fn what_was_set_aside_stays_under_a_name_that_is_free() {
        let map = "prompt=frage".parse().unwrap();
        let fields = json!({"frage": "a", "prompt": "b", "unmapped_prompt": "c"});
        let written = without_map(row(fields, &map));
        let expected =
            json!({"prompt": "a", "unmapped_prompt": "c", "unmapped_unmapped_prompt": "b"});
        assert_eq!(Value::Object(written), expected);
    }
}

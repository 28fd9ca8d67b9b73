//! Telling which of a file's columns hold what is to be learnt.

use std::collections::BTreeSet;

use llmopt_domain::{ColumnMap, LessonKind};
use serde_json::Value;

use crate::{
    Columns, Row,
    columns::SHAPES,
    mapping::columns_in_file,
    problem::{Problem, quoted, shortened},
    spelling::misspelling,
};

/// The columns of a file's first rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundColumns<'a> {
    /// Under the names that they are read by.
    pub(crate) names: BTreeSet<&'a str>,
    /// As the file calls them.
    pub(crate) in_file: BTreeSet<&'a str>,
    /// What was mapped.
    pub(crate) map: &'a ColumnMap,
    /// Whether every `label` is `true` or `false`: many datasets have labels of other kinds beside the texts.
    pub(crate) has_boolean_labels: bool,
}

impl<'a> FoundColumns<'a> {
    /// Returns the columns of `rows`, which were read with `map`.
    pub(crate) fn of(rows: impl Iterator<Item = &'a Row> + Clone, map: &'a ColumnMap) -> Self {
        let names = rows.clone().flat_map(|row| row.fields.keys());
        let in_file = rows.clone().flat_map(|row| columns_in_file(row, map));
        let mut labels = rows.filter_map(|row| row.fields.get("label"));
        Self {
            names: names.map(String::as_str).collect(),
            in_file: in_file.map(|(name, _)| name).collect(),
            map,
            has_boolean_labels: labels.all(Value::is_boolean),
        }
    }

    /// Returns the shapes that read all that was mapped: who maps columns means these.
    fn meant(&self) -> Vec<Columns> {
        let reads_all = |shape: &Columns| self.map.iter().all(|(name, _)| shape.reads(name));
        SHAPES.into_iter().filter(reads_all).collect()
    }

    /// Tells whether labels are good for anything. Who maps them is told of those that are not.
    fn has_labels(&self) -> bool {
        self.has_boolean_labels || self.map.column("label").is_some()
    }

    /// Returns what is mapped to columns that no row has.
    fn absent(&self) -> Vec<(&'a str, &'a str)> {
        let absent = self.map.iter();
        absent
            .filter(|(name, _)| !self.names.contains(name))
            .collect()
    }
}

/// Tells which of `found` hold what is to be learnt.
pub(crate) fn recognise(found: &FoundColumns<'_>) -> Result<Columns, Problem> {
    let meant = found.meant();
    if meant.is_empty() {
        return Err(unrelated(found.map));
    }
    let complete = meant
        .iter()
        .filter(|shape| shape.missing(&found.names).is_empty());
    let mut shapes: Vec<_> = complete.copied().collect();
    if !found.has_labels() {
        shapes.retain(|shape| shape.lesson() != LessonKind::Label);
    }
    if shapes.contains(&Columns::Instruction) {
        shapes.retain(|shape| *shape != Columns::pair("input", "output"));
    }
    // What says more stands above what datasets often keep beside it.
    let ranks: [fn(&Columns) -> bool; 4] = [
        |shape| shape.lesson() == LessonKind::Preference,
        |shape| shape.lesson() == LessonKind::Label,
        Columns::is_chat,
        |shape| shape.lesson() == LessonKind::Responses,
    ];
    if let Some(highest) = ranks.into_iter().find(|rank| shapes.iter().any(rank)) {
        shapes.retain(highest);
    }
    match (&shapes[..], &found.absent()[..]) {
        ([], []) => Err(unknown(found, &meant)),
        ([], absent) => Err(missing_columns(absent, &found.in_file)),
        ([shape], _) => Ok(*shape),
        _ => Err(ambiguous(&shapes, found.map)),
    }
}

fn joined(shapes: &[Columns], last: &str, map: &ColumnMap) -> String {
    let names: Vec<_> = shapes.iter().map(|shape| shape.in_file(map)).collect();
    match names.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn ambiguous(shapes: &[Columns], map: &ColumnMap) -> Problem {
    Problem::file(
        "ambiguous_columns",
        "one place for prompt and response",
        joined(shapes, "and also", map),
        "remove or rename the columns that are not meant, or map those that are",
    )
}

/// The problem of a map whose names never stand in one row.
fn unrelated(map: &ColumnMap) -> Problem {
    Problem::file(
        "unknown_columns",
        joined(&SHAPES, "or", &ColumnMap::default()),
        format!("a map of {}", quoted(map.iter().map(|(name, _)| name))),
        "map the columns of one of these",
    )
}

/// The problem of columns that are mapped, and that no row has; it has those of `in_file`.
pub(crate) fn missing_columns(absent: &[(&str, &str)], in_file: &BTreeSet<&str>) -> Problem {
    let expected: Vec<_> = absent
        .iter()
        .map(|(name, column)| format!("a column {} for `{name}`", quoted([*column])))
        .collect();
    let meant = absent.iter().filter_map(|(name, column)| {
        let (near, _) = misspelling(column, in_file)?;
        Some(format!("`{name}={}`", shortened(near)))
    });
    let meant: Vec<_> = meant.collect();
    let fix = match meant.is_empty() {
        true => "correct the map of columns, or leave it out".to_owned(),
        false => format!("write {} in the map of columns", meant.join(" and ")),
    };
    Problem::file(
        "missing_column",
        expected.join(" and "),
        listed(in_file),
        fix,
    )
}

fn listed(columns: &BTreeSet<&str>) -> String {
    match columns.len() {
        0 => "no columns".to_owned(),
        _ => format!("the columns {}", quoted(columns.iter().copied())),
    }
}

fn unknown(found: &FoundColumns<'_>, meant: &[Columns]) -> Problem {
    let fix = suggestion(found, meant).unwrap_or_else(|| {
        "rename the columns to one of these, or map them, as in `prompt=COLUMN,response=COLUMN`"
            .to_owned()
    });
    Problem::file(
        "unknown_columns",
        joined(meant, "or", &ColumnMap::default()),
        listed(&found.in_file),
        fix,
    )
}

/// Says what would complete the shape that is nearest to what was found.
fn suggestion(found: &FoundColumns<'_>, meant: &[Columns]) -> Option<String> {
    let repairs = meant.iter().filter_map(|shape| {
        let missing = shape.missing(&found.names);
        let (mut renamed, mut added) = (Vec::new(), Vec::new());
        for name in missing {
            match misspelling(name, &found.names) {
                Some(spelling) => renamed.push(spelling),
                None => added.push(name),
            }
        }
        let is_near = added.len() < shape.required().len();
        is_near.then_some((renamed, added))
    });
    let nearest = repairs.min_by_key(|(renamed, added)| (added.len(), renamed.len()));
    nearest.map(|(renamed, added)| match found.map.is_empty() {
        true => repair(&renamed, &added),
        false => more_of_the_map(&renamed, &added),
    })
}

fn repair(renamed: &[(&str, &str)], added: &[&str]) -> String {
    let renamed = renamed
        .iter()
        .map(|(from, to)| format!("rename `{}` to `{to}`", shortened(from)));
    let added = added.iter().map(|name| format!("add a column `{name}`"));
    renamed.chain(added).collect::<Vec<_>>().join(" and ")
}

fn more_of_the_map(renamed: &[(&str, &str)], added: &[&str]) -> String {
    let renamed = renamed
        .iter()
        .map(|(from, to)| format!("`{to}={}`", shortened(from)));
    let added = added.iter().map(|name| format!("`{name}=COLUMN`"));
    let entries: Vec<_> = renamed.chain(added).collect();
    format!("add {} to the map of columns", entries.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Renamed, renamed};

    fn recognised(columns: &[&str]) -> Result<Columns, Problem> {
        mapped("", columns)
    }

    /// Recognises the columns of one row that was read with `map`, if that says anything; labels are boolean.
    fn mapped(map: &str, columns: &[&str]) -> Result<Columns, Problem> {
        let map = match map {
            "" => ColumnMap::default(),
            map => map.parse().unwrap(),
        };
        let columns = columns.iter().map(|name| ((*name).to_owned(), true.into()));
        let row = row(columns.collect(), &map);
        recognise(&FoundColumns::of(std::iter::once(&row), &map))
    }

    fn row(columns: serde_json::Map<String, Value>, map: &ColumnMap) -> Row {
        let Renamed { fields, set_aside } = renamed(columns, map);
        Row {
            number: 1,
            line: 1,
            fields,
            set_aside,
        }
    }

    #[test]
    fn every_shape_is_recognised_by_its_columns() {
        for shape in SHAPES {
            assert_eq!(recognised(&shape.required()), Ok(shape));
            let mut all = shape.required();
            all.extend(shape.optional());
            all.push("id");
            assert_eq!(recognised(&all), Ok(shape));
        }
    }

    #[test]
    fn conversations_stand_above_pairs() {
        let columns = ["prompt", "response", "messages"];
        assert_eq!(recognised(&columns), Ok(Columns::Messages));
    }

    #[test]
    fn two_places_for_the_response_are_refused() {
        let problem = recognised(&["prompt", "response", "completion"]).unwrap_err();
        assert_eq!(problem.code, "ambiguous_columns");
        assert!(
            problem
                .found
                .contains("`response` and also `prompt` and `completion`"),
            "{problem:?}"
        );
    }

    #[test]
    fn a_misspelt_column_is_named_with_what_it_should_be() {
        let fix = |columns: &[&str]| recognised(columns).unwrap_err().fix;
        assert_eq!(fix(&["promt", "response"]), "rename `promt` to `prompt`");
        assert_eq!(
            fix(&["Prompt", " response"]),
            "rename `Prompt` to `prompt` and rename ` response` to `response`"
        );
        assert_eq!(fix(&["mesages"]), "rename `mesages` to `messages`");
        assert_eq!(fix(&["question", "reply"]), "add a column `answer`");
    }

    #[test]
    fn unknown_columns_are_listed_beside_what_is_recognised() {
        let problem = recognised(&["a", "b"]).unwrap_err();
        assert_eq!(problem.code, "unknown_columns");
        assert_eq!(problem.found, "the columns `a`, `b`");
        assert!(problem.expected.contains("`question` and `answer`"));
        assert!(problem.expected.ends_with("or `text`"));
    }

    #[test]
    fn of_very_many_columns_only_the_first_are_listed() {
        let names: Vec<String> = (0..10_000)
            .map(|i| format!("{i}{}", "x".repeat(99)))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let problem = recognised(&names).unwrap_err();
        assert!(problem.found.ends_with(" and 9980 more"), "{problem:?}");
        assert!(problem.found.len() < 2_000);
    }

    #[test]
    fn what_says_more_stands_above_what_lies_beside_it() {
        for (columns, expected) in [
            (
                &["text", "prompt", "response"][..],
                Columns::pair("prompt", "response"),
            ),
            (
                &["prompt", "response", "chosen", "rejected"],
                Columns::Chosen,
            ),
            (&["messages", "label", "text"], Columns::LabelledMessages),
            (&["prompt", "completion", "label"], Columns::LabelledPair),
            (&["text", "id"], Columns::Text),
        ] {
            assert_eq!(recognised(columns), Ok(expected));
        }
    }

    #[test]
    fn labels_of_other_kinds_are_a_column_that_is_not_read() {
        let map = ColumnMap::default();
        let columns = [("messages", true.into()), ("label", 1.into())];
        let row = row(
            columns
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            &map,
        );
        let found = FoundColumns::of(std::iter::once(&row), &map);
        assert_eq!(recognise(&found), Ok(Columns::Messages));
    }

    #[test]
    fn every_shape_is_recognised_by_mapped_columns() {
        for shape in SHAPES {
            let required = shape.required();
            let renamed: Vec<_> = required.iter().map(|name| format!("mein {name}")).collect();
            let entries = required.iter().zip(&renamed);
            let map: Vec<_> = entries
                .map(|(name, column)| format!("{name}={column}"))
                .collect();
            let columns: Vec<&str> = renamed.iter().map(String::as_str).collect();
            assert_eq!(mapped(&map.join(","), &columns), Ok(shape));
        }
    }

    #[test]
    fn nothing_wins_over_what_is_mapped() {
        let pair = Columns::pair("prompt", "response");
        let map = "prompt=frage,response=antwort";
        for other in [
            "messages",
            "prompt",
            "completion",
            "instruction",
            "chosen",
            "text",
        ] {
            let columns = ["frage", "antwort", other, "rejected", "output"];
            assert_eq!(mapped(map, &columns), Ok(pair), "{other}");
        }
        assert_eq!(
            mapped("text=inhalt", &["inhalt", "prompt", "response"]),
            Ok(Columns::Text)
        );
    }

    #[test]
    fn what_is_not_mapped_is_read_as_it_is_called() {
        let pair = Columns::pair("prompt", "response");
        assert_eq!(mapped("prompt=frage", &["frage", "response"]), Ok(pair));
        assert_eq!(
            mapped("system=rolle", &["prompt", "response", "rolle"]),
            Ok(pair)
        );
    }

    #[test]
    fn two_places_for_the_response_are_told_as_the_file_calls_them() {
        let problem = mapped("prompt=frage", &["frage", "response", "completion"]).unwrap_err();
        assert_eq!(
            problem.found,
            "`frage` and `response` and also `frage` and `completion`"
        );
    }

    #[test]
    fn a_mapped_column_that_is_not_there_is_told_with_those_that_are() {
        let problem = mapped("prompt=frage,response=antwort", &["Frage", "antwort"]).unwrap_err();
        assert_eq!(problem.code, "missing_column");
        assert_eq!(problem.expected, "a column `frage` for `prompt`");
        assert_eq!(problem.found, "the columns `Frage`, `antwort`");
        assert_eq!(problem.fix, "write `prompt=Frage` in the map of columns");
        let problem = mapped("text=inhalt", &["prompt"]).unwrap_err();
        assert_eq!(problem.fix, "correct the map of columns, or leave it out");
    }

    #[test]
    fn half_a_map_is_told_what_is_missing_of_it() {
        let problem = mapped("prompt=frage", &["frage", "antwort"]).unwrap_err();
        assert_eq!(problem.code, "unknown_columns");
        assert_eq!(problem.found, "the columns `antwort`, `frage`");
        assert_eq!(problem.fix, "add `response=COLUMN` to the map of columns");
        let problem = mapped("prompt=frage", &["frage", "Response"]).unwrap_err();
        assert_eq!(problem.fix, "add `response=Response` to the map of columns");
    }

    #[test]
    fn names_of_two_shapes_are_no_map_of_one() {
        let problem = mapped("prompt=frage,answer=antwort", &["frage", "antwort"]).unwrap_err();
        assert_eq!(problem.found, "a map of `answer`, `prompt`");
        assert!(problem.expected.contains("`question` and `answer`"));
    }
}

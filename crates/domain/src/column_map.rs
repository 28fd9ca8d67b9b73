use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};
use thiserror::Error;
use utoipa::ToSchema;

/// The longest name of a column that is mapped, in bytes: a record holds it.
const LONGEST_COLUMN: usize = 1000;

/// Why something is no map of columns.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ColumnMapError {
    /// A name is mapped that stands for nothing.
    #[error("`{0}` is no column that is read: expected one of {names}", names = all_names())]
    UnknownName(String),
    /// One name is mapped to two columns.
    #[error("`{0}` is mapped twice: expected one column for each name")]
    NameTwice(String),
    /// Two names are mapped to one column.
    #[error("the column `{0}` is mapped to two names: expected another column for each name")]
    ColumnTwice(String),
    /// A name is mapped to a column without a name.
    #[error("`{0}` is mapped to no column: expected `{0}=COLUMN`")]
    NoColumn(String),
    /// A column's name is longer than any.
    #[error("`{0}` is mapped to a column of more than {most} bytes: expected a shorter name", most = LONGEST_COLUMN)]
    LongColumn(String),
    /// The text has another form.
    #[error("`{0}` is no map of columns: expected `prompt=COLUMN,response=COLUMN`")]
    Malformed(String),
    /// The text is meant to be JSON.
    #[error("failed to read the map of columns: {0}")]
    Json(String),
}

/// Which of a file's columns stand for those that are recognised: `frage` for `prompt`, `antwort` for `response`.
///
/// As text `prompt=frage,response=antwort`, or the JSON object that it is serialised as, which can name columns with
/// commas. An empty map leaves the file's columns as they are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct ColumnMap(BTreeMap<String, String>);

impl ColumnMap {
    /// Every name that can be mapped.
    pub const NAMES: [&'static str; 21] = [
        "prompt",
        "response",
        "completion",
        "question",
        "answer",
        "input",
        "output",
        "instruction",
        "system",
        "history",
        "messages",
        "conversations",
        "tools",
        "functions",
        "parallel_tool_calls",
        "chosen",
        "rejected",
        "preferred_output",
        "non_preferred_output",
        "label",
        "text",
    ];

    /// Tells whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names that are mapped with the file's columns that stand for them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let entries = self.0.iter();
        entries.map(|(name, column)| (name.as_str(), column.as_str()))
    }

    /// Returns the file's column that stands for `name`, where that is mapped.
    pub fn column(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the name that the file's `column` stands for, where it is mapped.
    pub fn name_of(&self, column: &str) -> Option<&str> {
        let mut entries = self.iter();
        entries.find(|(_, it)| *it == column).map(|(name, _)| name)
    }

    fn insert(&mut self, name: &str, column: &str) -> Result<(), ColumnMapError> {
        if !Self::NAMES.contains(&name) {
            return Err(ColumnMapError::UnknownName(name.to_owned()));
        }
        if column.is_empty() {
            return Err(ColumnMapError::NoColumn(name.to_owned()));
        }
        if column.len() > LONGEST_COLUMN {
            return Err(ColumnMapError::LongColumn(name.to_owned()));
        }
        if self.0.contains_key(name) {
            return Err(ColumnMapError::NameTwice(name.to_owned()));
        }
        if self.name_of(column).is_some() {
            return Err(ColumnMapError::ColumnTwice(column.to_owned()));
        }
        self.0.insert(name.to_owned(), column.to_owned());
        Ok(())
    }
}

fn all_names() -> String {
    ColumnMap::NAMES.map(|name| format!("`{name}`")).join(", ")
}

impl fmt::Display for ColumnMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, column)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{name}={column}")?;
        }
        Ok(())
    }
}

impl FromStr for ColumnMap {
    type Err = ColumnMapError;

    fn from_str(text: &str) -> Result<Self, ColumnMapError> {
        if text.trim_start().starts_with('{') {
            let map = serde_json::from_str(text);
            return map.map_err(|error| ColumnMapError::Json(error.to_string()));
        }
        let mut map = Self::default();
        for entry in text.split(',') {
            let malformed = || ColumnMapError::Malformed(text.to_owned());
            let (name, column) = entry.split_once('=').ok_or_else(malformed)?;
            map.insert(name.trim(), column)?;
        }
        Ok(map)
    }
}

impl<'de> Deserialize<'de> for ColumnMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// Reads the entries one after the other, so that what is wrong has the place of its entry.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = ColumnMap;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("an object such as `{\"prompt\": \"COLUMN\", \"response\": \"COLUMN\"}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ColumnMap, A::Error> {
        let mut map = ColumnMap::default();
        while let Some(name) = entries.next_key::<String>()? {
            entries.next_value_seed(Entry {
                map: &mut map,
                name: &name,
            })?;
        }
        Ok(map)
    }
}

struct Entry<'a> {
    map: &'a mut ColumnMap,
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let column = String::deserialize(deserializer)?;
        let inserted = self.map.insert(self.name, &column);
        inserted.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(text: &str) -> ColumnMap {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<ColumnMap>().unwrap_err().to_string()
    }

    #[test]
    fn a_map_names_both_ways() {
        let map = map("response=antwort, prompt=frage=1");
        assert_eq!(map.column("prompt"), Some("frage=1"));
        assert_eq!(map.name_of("antwort"), Some("response"));
        assert_eq!((map.column("system"), map.name_of("prompt")), (None, None));
        assert_eq!(map.to_string(), "prompt=frage=1,response=antwort");
    }

    #[test]
    fn it_is_a_json_object_and_as_text_that_too() {
        let map = map("prompt=frage,response=antwort");
        let json = json!({"prompt": "frage", "response": "antwort"});
        assert_eq!(serde_json::to_value(&map).unwrap(), json);
        assert_eq!(
            serde_json::from_value::<ColumnMap>(json.clone()).unwrap(),
            map
        );
        assert_eq!(json.to_string().parse(), Ok(map));
        let comma: ColumnMap = r#"{"prompt": "Frage, bitte"}"#.parse().unwrap();
        assert_eq!(comma.column("prompt"), Some("Frage, bitte"));
        assert!(serde_json::from_str::<ColumnMap>("{}").unwrap().is_empty());
    }

    #[test]
    fn names_may_be_exchanged() {
        let map = map("prompt=response,response=prompt");
        assert_eq!(map.name_of("prompt"), Some("response"));
    }

    #[test]
    fn unknown_names_are_refused_with_those_there_are() {
        let said = refusal("promt=frage");
        assert!(said.starts_with("`promt` is no column that is read: expected one of `prompt`, "));
        assert!(
            said.contains("`messages`") && said.ends_with("`text`"),
            "{said}"
        );
    }

    #[test]
    fn columns_without_end_are_refused() {
        let longest = "x".repeat(LONGEST_COLUMN);
        assert_eq!(
            map(&format!("prompt={longest}")).column("prompt"),
            Some(&*longest)
        );
        assert_eq!(
            refusal(&format!("prompt={longest}x")),
            "`prompt` is mapped to a column of more than 1000 bytes: expected a shorter name"
        );
    }

    #[test]
    fn doubles_and_empty_names_are_refused() {
        assert!(refusal("prompt=a,prompt=b").starts_with("`prompt` is mapped twice"));
        assert!(
            refusal("prompt=a,response=a").starts_with("the column `a` is mapped to two names")
        );
        assert_eq!(
            refusal("prompt=,response=a"),
            "`prompt` is mapped to no column: expected `prompt=COLUMN`"
        );
        for text in ["", "prompt", "prompt=a,", ","] {
            assert!(refusal(text).contains("is no map of columns"), "{text}");
        }
        for json in [
            r#"{"prompt": "a", "prompt": "b"}"#,
            r#"{"prompt": ""}"#,
            r#"{"promt": "a"}"#,
            r#"{"prompt": 1}"#,
            "{",
        ] {
            assert!(serde_json::from_str::<ColumnMap>(json).is_err(), "{json}");
            assert!(refusal(json).starts_with("failed to read the map of columns: "));
        }
    }
}

use std::path::Path;

use llmopt_prices::Day;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::read;
use crate::failure::Failure;

/// A model in a provider's own list.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) shutdown: Announced,
}

/// What a provider's list says of a model's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// Nothing: the provider's lists have no such field.
    Unsaid,
    /// That none is announced.
    No,
    /// The day.
    On(Day),
}

/// The answer to `GET /v1/models`, of which providers may add to at any time.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads a provider's answer to `GET /v1/models`.
pub(super) fn listed(path: &Path) -> Result<Vec<Listed>, Failure> {
    let shown = path.display();
    let answer: Answer = serde_json::from_slice(&read(path)?).map_err(|error| {
        let message =
            format!("`{shown}` is no list of models: expected the JSON of GET /v1/models: {error}");
        Failure::input(message)
    })?;
    if answer.has_more {
        let message = format!("`{shown}` has only a part of the models: expected all of them");
        return Err(Failure::input(message).next("fetch it with `?limit=1000`"));
    }
    answer.data.into_iter().map(entry).collect()
}

fn entry(entry: Entry) -> Result<Listed, Failure> {
    let shutdown = match entry.rest.get("shutdown_date") {
        None => Announced::Unsaid,
        Some(Value::Null) => Announced::No,
        Some(Value::String(day)) => Announced::On(day.parse().map_err(|error| {
            Failure::input(format!("the `shutdown_date` of `{}`: {error}", entry.id))
        })?),
        Some(other) => {
            return Err(Failure::input(format!(
                "the `shutdown_date` of `{}` is {other}: expected a day such as `2026-11-26`",
                entry.id
            )));
        }
    };
    Ok(Listed {
        id: entry.id,
        shutdown,
    })
}

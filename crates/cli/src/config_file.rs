use std::{fs, path::Path};

use llmopt_domain::TrainingConfig;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Reads the text of a file that the user named.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("failed to read `{}`: {error}", path.display())))
}

/// Reads the configuration file and checks every key by itself, so that an error can name it.
pub(crate) fn read_keys(
    path: &Path,
    known: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let keys: Map<String, Value> = serde_json::from_str(&read(path)?).map_err(|error| {
        Failure::input(format!(
            "`{}`: expected one JSON object with keys of the training configuration, found {error}",
            path.display()
        ))
    })?;
    check_keys(path, "", &keys, known)?;
    Ok(keys)
}

fn check_keys(
    path: &Path,
    prefix: &str,
    keys: &Map<String, Value>,
    known: &Map<String, Value>,
) -> Result<(), Failure> {
    for (key, value) in keys {
        let name = format!("{prefix}{key}");
        match (known.get(key), value) {
            (None, _) => return Err(unknown_key(path, &name, key, known)),
            (Some(Value::Object(known)), Value::Object(keys)) => {
                check_keys(path, &format!("{name}."), keys, known)?;
            }
            _ => check_value(path, &name, value)?,
        }
    }
    Ok(())
}

fn unknown_key(path: &Path, name: &str, key: &str, known: &Map<String, Value>) -> Failure {
    let failure = Failure::input(format!("`{}`: unknown key `{name}`", path.display()));
    let nearest = known
        .keys()
        .min_by_key(|candidate| distance(candidate, key));
    match nearest.filter(|candidate| distance(candidate, key) <= 3) {
        Some(candidate) => failure.next(format!("did you mean `{candidate}`?")),
        None => {
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            failure.next(format!("remove it; the keys are {}", all.join(", ")))
        }
    }
}

fn check_value(path: &Path, name: &str, value: &Value) -> Result<(), Failure> {
    let mut alone = value.clone();
    for part in name.rsplit('.') {
        alone = Value::Object(Map::from_iter([(part.to_owned(), alone)]));
    }
    match serde_json::from_value::<TrainingConfig>(alone) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::input(format!(
            "`{}`: key `{name}`: {error}",
            path.display()
        ))),
    }
}

/// Levenshtein's distance between two keys.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// Puts the keys of `over` over those of `base`, object by object.
pub(crate) fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

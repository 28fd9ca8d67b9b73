use std::fmt::Display;

use llmopt_domain::{KeyText, ModelId, ModelName, ObjectKey};
use llmopt_http::{PageParameters, from_timestamp, timestamp};
use llmopt_service::ModelReference;

use crate::text::{check_error, check_said, lossy};

/// One text, read as everything that a text can name.
pub(crate) fn all(bytes: &[u8]) {
    let text = lossy(bytes);
    read::<ModelName>(&text, |name| {
        assert!((1..=64).contains(&name.as_str().len()));
        assert_eq!(ObjectKey::base(name.as_str(), "r").name(), "r");
    });
    read::<ModelId>(&text, |id| check_key(&ObjectKey::model(id, 1)));
    key_text(&text);
    object_keys(&text);
    reference(&text);
    time(&text);
    cursor(&text);
}

/// What is read and shown is what was read.
fn read<T: std::str::FromStr<Err: std::error::Error + 'static> + Display>(
    text: &str,
    check: impl FnOnce(&T),
) {
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(read.to_string(), text);
            check(&read);
        }
        Err(error) => {
            assert!(check_error(&error).contains(text));
        }
    }
}

fn key_text(text: &str) {
    if let Ok(key) = text.parse::<KeyText>() {
        assert_eq!(key.expose(), text);
        assert!(!format!("{key:?}").contains(&key.secret));
    }
}

/// A key stays below where its kind lies, whatever it is made of.
fn object_keys(text: &str) {
    let made = [
        ObjectKey::dataset(text),
        ObjectKey::base(text, text),
        ObjectKey::base_revisions(text),
    ];
    made.iter().for_each(check_key);
    if let Some(child) = ObjectKey::models().child(text) {
        check_key(&child);
        assert_eq!(child.name(), text);
    }
    if let Ok(key) = ObjectKey::try_from(text.to_owned()) {
        assert_eq!(key.as_str(), text);
        check_key(&key);
    }
}

fn check_key(key: &ObjectKey) {
    let text = key.as_str();
    for segment in text.split('/') {
        assert!(!["", ".", ".."].contains(&segment), "{text}");
    }
    assert_eq!(ObjectKey::try_from(text.to_owned()).unwrap(), *key);
}

fn reference(text: &str) {
    let shown = match ModelReference::parse_name(text) {
        Ok(ModelReference::Folder(path)) => panic!("a folder: {}", path.display()),
        Ok(ModelReference::Base(name)) => format!("base:{name}"),
        Ok(ModelReference::FineTuned { id, version }) => with_version(&id, version),
        Ok(ModelReference::Name { name, version }) => with_version(&name, version),
        Ok(ModelReference::Repository(repository)) => repository.to_string(),
        Err(error) => return drop(check_error(&error)),
    };
    let again = ModelReference::parse_name(&shown).unwrap();
    assert_eq!(again, ModelReference::parse_name(text).unwrap());
}

fn with_version(name: &impl Display, version: Option<u32>) -> String {
    version.map_or(name.to_string(), |version| format!("{name}:{version}"))
}

/// A moment that is shown is read as the same.
fn time(text: &str) {
    if let Some(ms) = from_timestamp(text) {
        assert_eq!(from_timestamp(&timestamp(ms)), Some(ms));
    }
}

/// A place in a list is taken or refused, and one that is taken counts as stores do.
fn cursor(text: &str) {
    let (limit, cursor) = text.split_once('\n').unwrap_or(("20", text));
    let page = PageParameters {
        limit: limit.parse().ok(),
        cursor: Some(cursor.to_owned()),
    };
    match page.listing(None) {
        Ok(listing) => {
            assert!((1..=100).contains(&listing.limit));
            let after = listing.after.unwrap();
            assert!(i64::try_from(after.created_ms).is_ok());
            assert!(cursor.ends_with(&after.id));
        }
        Err(problem) => check_said(&problem.to_json(None)["detail"].to_string()),
    }
    let mut entries: Vec<&str> = text.split('\n').collect();
    entries.sort_unstable();
    if let Ok(part) = page.part_of(entries, |entry| entry) {
        assert!(part.data.iter().all(|&entry| entry > cursor));
    }
}

/// The names of shards lie beside the index.
pub(crate) fn hub_index(bytes: &[u8]) {
    match llmopt_hub::shard_names(bytes) {
        Ok(names) => {
            for name in names {
                assert!(name.ends_with(".safetensors"), "{name}");
                assert_eq!(
                    std::path::Path::new(&name).file_name().unwrap(),
                    name.as_str()
                );
            }
        }
        Err(problem) => check_said(&problem),
    }
}

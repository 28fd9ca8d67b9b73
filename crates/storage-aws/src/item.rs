//! The attributes of items.

use aws_sdk_dynamodb::types::AttributeValue;
use llmopt_storage::StorageError;

use crate::{random::random, table::Item};

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Reads a text attribute.
pub(crate) fn text_of<'a>(
    item: &'a Item,
    name: &str,
    subject: &str,
) -> Result<&'a str, StorageError> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value
        .map(String::as_str)
        .ok_or_else(|| damaged(name, subject))
}

/// Reads a number attribute.
pub(crate) fn number_of(item: &Item, name: &str, subject: &str) -> Result<u64, StorageError> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| damaged(name, subject))
}

pub(crate) fn damaged(name: &str, subject: &str) -> StorageError {
    StorageError::Corrupt {
        subject: subject.to_owned(),
        reason: format!("its attribute `{name}` is missing or of another type; restore the item"),
    }
}

/// Returns a number that no other write has, of any process, as far as chance allows: one in 2^63.
pub(crate) fn unique() -> Result<u64, StorageError> {
    let bytes: [u8; 8] = random()?;
    Ok(u64::from_ne_bytes(bytes) >> 1)
}

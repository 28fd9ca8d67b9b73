//! Python's dicts: in the order in which keys came, and 1, 1.0 and True are one key.

use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};
use num_traits::ToPrimitive;

use crate::{
    error::{Result, refused},
    operators,
    value::Value,
};

/// A value that can be a key.
#[derive(Clone, Debug)]
pub(crate) struct Key(Value);

/// Keys and values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    entries: IndexMap<Key, Value>,
}

impl Key {
    /// Refuses what cannot be a key.
    pub(crate) fn new(value: Value) -> Result<Self> {
        match is_hashable(&value) {
            true => Ok(Self(value)),
            false => refused(format!("a value of type {} cannot be a key", value.kind())),
        }
    }
}

fn is_hashable(value: &Value) -> bool {
    match value {
        Value::List(_) | Value::Dict(_) | Value::View(_) => false,
        Value::Tuple(items) => items.iter().all(is_hashable),
        _ => true,
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        operators::equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// Hashes values that are equal alike, and a text as `str` does.
fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Text(text) | Value::Safe(text) => text.hash(state),
        Value::Bool(it) => i64::from(*it).hash(state),
        Value::Int(it) => it.hash(state),
        Value::Float(it) => hash_float(*it, state),
        Value::Big(it) => match it.to_f64() {
            Some(float) => hash_float(float, state),
            None => 1_u8.hash(state),
        },
        Value::Tuple(items) => {
            items.len().hash(state);
            items.iter().for_each(|it| hash(it, state));
        }
        // What else is a key is rare, and compared.
        _ => 2_u8.hash(state),
    }
}

fn hash_float<H: Hasher>(number: f64, state: &mut H) {
    match number.to_i64() {
        #[expect(
            clippy::cast_precision_loss,
            reason = "only whole numbers that are the same both ways"
        )]
        Some(whole) if whole as f64 == number => whole.hash(state),
        _ => number.to_bits().hash(state),
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        key.0.as_str() == Some(self)
    }
}

impl Dict {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets a key, which stays where it is if it is there.
    pub(crate) fn insert(&mut self, key: Value, value: Value) -> Result<()> {
        self.entries.insert(Key::new(key)?, value);
        Ok(())
    }

    /// As [`Dict::insert`], for a text.
    pub(crate) fn insert_text(&mut self, key: impl Into<Value>, value: Value) {
        self.entries.insert(Key(key.into()), value);
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// A key that cannot be one.
    pub(crate) fn get(&self, key: &Value) -> Result<Option<&Value>> {
        match key.as_str() {
            Some(text) => Ok(self.get_text(text)),
            None => Ok(self.entries.get(&Key::new(key.clone())?)),
        }
    }

    pub(crate) fn get_text(&self, key: &str) -> Option<&Value> {
        // Most dicts are messages, whose few keys are looked through before one is hashed.
        if self.entries.len() > 8 {
            return self.entries.get(key);
        }
        let mut entries = self.entries.iter();
        entries
            .find(|(it, _)| it.0.as_str() == Some(key))
            .map(|(_, value)| value)
    }

    /// Returns the key and the value at a place.
    pub(crate) fn entry_at(&self, at: usize) -> Option<(&Value, &Value)> {
        self.entries
            .get_index(at)
            .map(|(key, value)| (&key.0, value))
    }

    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        self.entries.iter().map(|(key, value)| (&key.0, value))
    }
}

//! Python's dicts: in the order in which keys came, and 1, 1.0 and True are one key.

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
};

use indexmap::{Equivalent, IndexMap};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::{
    error::{Result, refused, unknown},
    fuel::Fuel,
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
    /// Goes through all of a value once, so that hashing and comparing it cannot cost more than that.
    ///
    /// # Errors
    /// What cannot be a key.
    pub(crate) fn new(fuel: &Fuel, value: Value) -> Result<Self> {
        match is_hashable(fuel, &value)? {
            true => Ok(Self(value)),
            false => refused(format!("a value of type {} cannot be a key", value.kind())),
        }
    }
}

/// Returns whether a value can be a key.
pub(crate) fn is_hashable(fuel: &Fuel, value: &Value) -> Result<bool> {
    match value {
        Value::List(_) | Value::Dict(_) | Value::View(_) => Ok(false),
        Value::Tuple(items) => fuel.nested(|| {
            fuel.take_items(items.len())?;
            for item in items.iter() {
                if !is_hashable(fuel, item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }),
        // Python finds it where it is the very same object.
        Value::Float(it) if it.is_nan() => unknown("a key that is no number is not known here"),
        _ => fuel.take_bytes(value.size_bytes()).map(|()| true),
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Tuple(a), Value::Tuple(b)) => {
            let are_equal = || a.iter().zip(&***b).all(|(a, b)| is_equal(a, b));
            Rc::ptr_eq(a, b) || a.len() == b.len() && are_equal()
        }
        _ => operators::equal_single(left, right),
    }
}

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
        Value::Big(it) => it.hash(state),
        Value::Tuple(items) => {
            items.len().hash(state);
            items.iter().for_each(|it| hash(it, state));
        }
        Value::Range(it) => (it.len(), it.at(0), it.at(1)).hash(state),
        Value::Function(it) => it.name.hash(state),
        Value::Method(it) => {
            it.name.hash(state);
            match &it.of {
                Value::Function(_) => {}
                of => address(of).unwrap_or(Rc::as_ptr(it).addr()).hash(state),
            }
        }
        _ => address(value).hash(state),
    }
}

/// Returns where a value lies, if another one is the same only if it lies there too.
fn address(value: &Value) -> Option<usize> {
    Some(match value {
        Value::List(it) | Value::Tuple(it) => Rc::as_ptr(it).addr(),
        Value::Dict(it) => Rc::as_ptr(it).addr(),
        Value::Range(it) => Rc::as_ptr(it).addr(),
        Value::View(it) => Rc::as_ptr(it).addr(),
        Value::Generator(it) => Rc::as_ptr(it).addr(),
        Value::Namespace(it) => Rc::as_ptr(it).addr(),
        Value::Loop(it) => Rc::as_ptr(it).addr(),
        Value::Macro(it) => Rc::as_ptr(it).addr(),
        Value::Object(it) => Rc::as_ptr(it).addr(),
        _ => return None,
    })
}

/// Hashes a whole number as it is hashed where it is no float.
fn hash_float<H: Hasher>(number: f64, state: &mut H) {
    match (number.fract() == 0.0, number.to_i64()) {
        (true, Some(whole)) => whole.hash(state),
        (true, None) => BigInt::from_f64(number).unwrap_or_default().hash(state),
        (false, _) => number.to_bits().hash(state),
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
    pub(crate) fn insert(&mut self, fuel: &Fuel, key: Value, value: Value) -> Result<()> {
        self.entries.insert(Key::new(fuel, key)?, value);
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
    pub(crate) fn get(&self, fuel: &Fuel, key: &Value) -> Result<Option<&Value>> {
        match key.as_str() {
            Some(text) => {
                fuel.take_bytes(text.len())?;
                Ok(self.get_text(text))
            }
            None => Ok(self.entries.get(&Key::new(fuel, key.clone())?)),
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

//! Values that Python has and minijinja has not.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr, Tuple, ValueKind},
};

/// What can be gone through once: what most filters give.
#[derive(Debug)]
pub(super) struct Generator(Mutex<Vec<Value>>);

impl Generator {
    pub(super) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self(Mutex::new(items)))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Enumerator::Iter(Box::new(std::mem::take(&mut *items).into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}

/// A dict's keys, values or items.
#[derive(Debug)]
pub(super) struct View {
    /// Python's name of it.
    pub(super) name: &'static str,
    pub(super) items: Vec<Value>,
}

impl View {
    pub(super) fn keys(dict: &Value) -> Value {
        Self::value("dict_keys", pairs(dict).into_iter().map(|(key, _)| key))
    }

    pub(super) fn values(dict: &Value) -> Value {
        let values = pairs(dict).into_iter().map(|(_, value)| value);
        Self::value("dict_values", values)
    }

    pub(super) fn items(dict: &Value) -> Value {
        Self::value("dict_items", pairs(dict).into_iter().map(pair))
    }

    fn value(name: &'static str, items: impl Iterator<Item = Value>) -> Value {
        let items = items.collect();
        Value::from_object(Self { name, items })
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    /// Nothing of it has a place.
    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        Some(Value::UNDEFINED)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

/// Numbers at equal distances.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) stop: i64,
    pub(super) step: i64,
}

impl Range {
    /// Returns how many numbers it has.
    pub(super) fn count(&self) -> u64 {
        let (low, high) = match self.step > 0 {
            true => (self.start, self.stop),
            false => (self.stop, self.start),
        };
        match low < high {
            true => high.abs_diff(low).div_ceil(self.step.unsigned_abs()),
            false => 0,
        }
    }

    fn numbers(&self) -> impl Iterator<Item = i64> + use<> {
        let (step, count) = (self.step, self.count());
        let first = Some(self.start);
        let numbers = std::iter::successors(first, move |it| it.checked_add(step));
        numbers.take(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some("start") => Some(self.start.into()),
            Some("stop") => Some(self.stop.into()),
            Some("step") => Some(self.step.into()),
            Some(_) => None,
            None => self.numbers().nth(key.as_usize()?).map(Value::from),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.numbers().map(Value::from).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        usize::try_from(self.count()).ok()
    }
}

/// Returns a dict's keys and values.
pub(super) fn pairs(dict: &Value) -> Vec<(Value, Value)> {
    let object = dict.as_object();
    let pairs = object.and_then(|it| it.try_iter_pairs());
    pairs.into_iter().flatten().collect()
}

pub(super) fn pair((key, value): (Value, Value)) -> Value {
    Value::from(Tuple::from([key, value]))
}

/// What Python takes a value for, where minijinja has fewer words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Undefined,
    None,
    Bool,
    Integer,
    Float,
    Text,
    List,
    Tuple,
    Dict,
    Range,
    View,
    Generator,
    Namespace,
    /// Functions, macros and loops.
    Other,
}

impl Shape {
    pub(super) fn of(value: &Value) -> Self {
        match value.kind() {
            ValueKind::Undefined => Self::Undefined,
            ValueKind::None => Self::None,
            ValueKind::Bool => Self::Bool,
            ValueKind::Number if value.is_integer() => Self::Integer,
            ValueKind::Number => Self::Float,
            ValueKind::String => Self::Text,
            ValueKind::Map if is_internal(value, "Namespace") => Self::Namespace,
            ValueKind::Map if is_internal(value, "Loop") || is_internal(value, "Macro") => {
                Self::Other
            }
            ValueKind::Map => Self::Dict,
            ValueKind::Seq | ValueKind::Iterable => Self::of_sequence(value),
            _ => Self::Other,
        }
    }

    fn of_sequence(value: &Value) -> Self {
        let object = value.as_object();
        if value.is_tuple() || is_internal(value, "GroupTuple") {
            Self::Tuple
        } else if value.downcast_object_ref::<Range>().is_some() {
            Self::Range
        } else if value.downcast_object_ref::<View>().is_some() {
            Self::View
        } else if object.is_some_and(|it| it.enumerator_len().is_some()) {
            Self::List
        } else {
            Self::Generator
        }
    }

    /// Returns whether it has a length and can be subscripted.
    pub(super) fn is_sequence(self) -> bool {
        matches!(
            self,
            Self::Undefined | Self::Text | Self::List | Self::Tuple | Self::Dict | Self::Range
        )
    }

    pub(super) fn is_iterable(self) -> bool {
        self.is_sequence() || matches!(self, Self::View | Self::Generator)
    }

    /// Returns whether it can be a dict's key.
    pub(super) fn is_hashable(self) -> bool {
        !matches!(self, Self::List | Self::Dict | Self::Namespace)
    }
}

/// Returns whether a value is an object of minijinja's own of that type.
fn is_internal(value: &Value, name: &str) -> bool {
    let object = value.as_object();
    object.is_some_and(|it| {
        let full = it.type_name();
        full.starts_with("minijinja::") && full.rsplit("::").next() == Some(name)
    })
}

//! What a template is given: messages and tools.

use std::{fmt, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr},
};

use super::{
    objects::{Shape, pairs},
    printing,
};

/// Names that are a dict's methods, whatever its keys are.
const METHODS: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

/// Returns lists and dicts that print as Python's wherever they are printed, and whose attributes are
/// Python's: `schema.items` is a method, `schema['items']` what stands there.
pub(crate) fn data(value: &Value) -> Value {
    match Shape::of(value) {
        Shape::List => {
            let items = value.try_iter().into_iter().flatten();
            let items = items.map(|it| data(&it)).collect();
            Value::from_object(List(items))
        }
        Shape::Dict => {
            let pairs = pairs(value).into_iter();
            let pairs = pairs.map(|(key, value)| (key, data(&value)));
            Value::from_object(Dict(Value::from_pairs(pairs)))
        }
        _ => value.clone(),
    }
}

#[derive(Debug)]
struct List(Vec<Value>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(&Value::from_dyn_object(self.clone()), f)
    }
}

#[derive(Debug)]
struct Dict(Value);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.as_object()?.get_value(key)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match METHODS.contains(&key) {
            true => Some(Value::from_object(Method)),
            false => self.0.as_object()?.get_value_by_str(key),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = pairs(&self.0).into_iter().map(|(key, _)| key);
        Enumerator::Values(keys.collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(&Value::from_dyn_object(self.clone()), f)
    }
}

fn render(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&printing::repr(value).map_err(|_| fmt::Error)?)
}

/// A method that is not called.
#[derive(Debug)]
struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

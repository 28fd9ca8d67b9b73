//! Attributes, items and slices, as Jinja2's sandbox gives them.

use std::{rc::Rc, sync::Arc};

use num_traits::ToPrimitive;

use crate::{
    dict,
    error::{Result, refused, unknown},
    methods,
    objects::Object,
    run::Run,
    value::{Items, Method, Range, Value},
};

/// Returns `value.name`: an attribute or a method of that name first, then an item. Undefined where there is neither.
///
/// # Errors
/// An undefined value has neither.
pub(crate) fn attribute(run: &Run<'_>, value: &Value, name: &str) -> Result<Value> {
    if let Some(found) = own(run, value, name)? {
        return Ok(found);
    }
    Ok(match value {
        Value::Dict(table) => table.get_text(name).cloned().unwrap_or(Value::Undefined),
        _ => Value::Undefined,
    })
}

/// Returns `value[key]`: an item first, then an attribute, if the key is a text. Undefined where there is neither.
///
/// # Errors
/// An undefined value has neither.
pub(crate) fn item(run: &Run<'_>, value: &Value, key: &Value) -> Result<Value> {
    if let Some(found) = at_key(run, value, key)? {
        return Ok(found);
    }
    match (value, key.as_str()) {
        (Value::Undefined, _) => refused(match key.as_str() {
            Some(name) => format!("what `{name}` is taken of is undefined"),
            None => "what an item is taken of is undefined".to_owned(),
        }),
        (_, Some(name)) => Ok(own(run, value, name)?.unwrap_or(Value::Undefined)),
        _ => Ok(Value::Undefined),
    }
}

/// Returns what Python has of a value by a name that is no item.
fn own(run: &Run<'_>, value: &Value, name: &str) -> Result<Option<Value>> {
    let method = || {
        let (of, name) = (value.clone(), Arc::from(name));
        Some(Value::Method(Rc::new(Method { of, name })))
    };
    Ok(match value {
        // The sandbox hides them, though they are there.
        _ if is_hidden(name) => Some(Value::Undefined),
        Value::Undefined => return refused(format!("what `{name}` is taken of is undefined")),
        Value::Namespace(it) => it.values.borrow().get_text(name).cloned(),
        Value::Loop(_) if matches!(name, "cycle" | "changed") => method(),
        Value::Loop(it) => it.attribute(run, name)?,
        Value::Macro(it) => it.attribute(run, name),
        Value::Object(object) if matches!(**object, Object::Blocks) => match run.has_block(name) {
            true => method(),
            false => None,
        },
        _ if methods::is_unknown(value, name) => {
            return unknown(format!(
                "`{name}` of a value of type {} is not known here",
                value.kind()
            ));
        }
        _ if methods::changes(value, name) => Some(Value::Undefined),
        _ if methods::has(value, name) => method(),
        _ => methods::attribute(value, name),
    })
}

/// Names that every Python object has.
fn is_hidden(name: &str) -> bool {
    name.starts_with("__")
        && name.ends_with("__")
        && matches!(
            name.trim_matches('_'),
            "class"
                | "doc"
                | "init"
                | "new"
                | "repr"
                | "str"
                | "eq"
                | "ne"
                | "lt"
                | "le"
                | "gt"
                | "ge"
                | "hash"
                | "dir"
                | "format"
                | "sizeof"
                | "reduce"
                | "reduce_ex"
                | "getattribute"
                | "setattr"
                | "delattr"
                | "init_subclass"
                | "subclasshook"
                | "getstate"
                | "len"
                | "iter"
                | "getitem"
                | "contains"
                | "class_getitem"
        )
}

fn at_key(run: &Run<'_>, value: &Value, key: &Value) -> Result<Option<Value>> {
    Ok(match value {
        Value::Dict(table) => match dict::is_hashable(&run.fuel, key)? {
            true => table.get(&run.fuel, key)?.cloned(),
            false => None,
        },
        Value::List(items) | Value::Tuple(items) => {
            place(key, items.len()).and_then(|at| items.get(at).cloned())
        }
        Value::Text(text) | Value::Safe(text) => {
            let c = match key.to_i64() {
                Some(at) => character(run, text, at)?,
                None => None,
            };
            c.map(|it| Value::text_like(&*it.encode_utf8(&mut [0; 4]), value))
        }
        Value::Range(range) => {
            let at = place(key, range.len());
            at.and_then(|at| range.at(at)).map(Value::Int)
        }
        _ => None,
    })
}

/// Returns the character at a place; those before it, or behind it where that is counted from the end, are gone through.
fn character(run: &Run<'_>, text: &str, at: i64) -> Result<Option<char>> {
    let count = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    run.fuel.take_bytes(count.min(text.len()))?;
    Ok(match at < 0 {
        true => text.chars().nth_back(count - 1),
        false => text.chars().nth(count),
    })
}

/// Returns which place a whole number means; negative ones count from the end.
fn place(key: &Value, length: usize) -> Option<usize> {
    let at = key.to_i64()?;
    match at < 0 {
        true => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
        false => usize::try_from(at).ok(),
    }
}

/// Returns `value[start:stop:step]`, or nothing where Python refuses it because of its type.
///
/// # Errors
/// A step of 0.
pub(crate) fn slice(
    run: &Run<'_>,
    value: &Value,
    bounds: &[Option<Value>; 3],
) -> Result<Option<Value>> {
    // Each character of a text is gone through, and kept on its own where some are left out.
    let size = match bounds {
        [_, _, None | Some(Value::None)] => value.size_bytes(),
        _ => value.size_bytes().saturating_mul(size_of::<char>()),
    };
    let length = match value {
        Value::List(_) | Value::Tuple(_) | Value::Range(_) | Value::Text(_) | Value::Safe(_) => {
            run.fuel.take_bytes(size)?;
            value.len().unwrap_or(0)
        }
        _ => return Ok(None),
    };
    let Some([start, stop, step]) = whole(bounds) else {
        return Ok(None);
    };
    let step = step.unwrap_or(1);
    if step == 0 {
        return refused("a slice cannot have steps of 0");
    }
    let part = Part::new([start, stop], step, length);
    if matches!(value, Value::List(_) | Value::Tuple(_)) {
        run.fuel.take_items(part.count)?;
    }
    Ok(Some(match value {
        Value::List(items) => Value::list(part.of(items)),
        Value::Tuple(items) => Value::tuple(part.of(items)),
        Value::Range(range) => Value::Range(Rc::new(part.of_range(range))),
        _ => {
            let text = value.as_str().unwrap_or_default();
            Value::text_like(part.of_text(text), value)
        }
    }))
}

/// Reads the bounds as whole numbers.
fn whole(bounds: &[Option<Value>; 3]) -> Option<[Option<i64>; 3]> {
    let mut numbers = [None; 3];
    for (number, bound) in numbers.iter_mut().zip(bounds) {
        *number = match bound {
            None | Some(Value::None) => None,
            Some(Value::Big(it)) => Some(if it.to_f64()? < 0.0 {
                i64::MIN
            } else {
                i64::MAX
            }),
            Some(it) => Some(it.to_i64()?),
        };
    }
    Some(numbers)
}

/// The places that a slice takes.
struct Part {
    start: i64,
    stop: i64,
    step: i64,
    count: usize,
}

impl Part {
    fn new([start, stop]: [Option<i64>; 2], step: i64, length: usize) -> Self {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let (lowest, highest) = match step < 0 {
            true => (-1, length - 1),
            false => (0, length),
        };
        let place = |at: i64| match at < 0 {
            true => at.saturating_add(length).max(lowest),
            false => at.min(highest),
        };
        let (first, last) = match step < 0 {
            true => (highest, lowest),
            false => (lowest, highest),
        };
        let (start, stop) = (start.map_or(first, place), stop.map_or(last, place));
        let count = Range { start, stop, step }.len();
        Self {
            start,
            stop,
            step,
            count,
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let places = (0..self.count).map(|at| {
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            usize::try_from(self.start.saturating_add(self.step.saturating_mul(at)))
        });
        places.flatten()
    }

    fn of(&self, items: &Items) -> Vec<Value> {
        self.places()
            .filter_map(|at| items.get(at).cloned())
            .collect()
    }

    fn of_text(&self, text: &str) -> String {
        if self.step == 1 {
            let start = usize::try_from(self.start).unwrap_or(0);
            return text.chars().skip(start).take(self.count).collect();
        }
        let characters: Vec<char> = text.chars().collect();
        self.places().filter_map(|at| characters.get(at)).collect()
    }

    fn of_range(&self, range: &Range) -> Range {
        let at = |place: i64| range.start.saturating_add(range.step.saturating_mul(place));
        Range {
            start: at(self.start),
            stop: at(self.stop),
            step: range.step.saturating_mul(self.step),
        }
    }
}

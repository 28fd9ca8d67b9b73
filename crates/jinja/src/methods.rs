//! Python's methods of all values but texts, as far as they change nothing.

mod dicts;
mod floats;
mod sequences;

use num_bigint::BigInt;

use self::dicts::from_keys;
use crate::{
    calls::Given,
    error::{Result, refused, unknown},
    objects::Object,
    operators,
    run::Run,
    text_methods,
    value::{Part, Value},
};

/// Returns whether a value has a method, called here or not, that changes nothing.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    let names: &[&str] = match value {
        Value::Text(_) => return text_methods::has(name),
        Value::Safe(_) => return text_methods::has(name) || text_methods::has_of_safe(name),
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => &[
            "as_integer_ratio",
            "bit_count",
            "bit_length",
            "conjugate",
            "from_bytes",
            "to_bytes",
        ],
        Value::Float(_) => &[
            "as_integer_ratio",
            "conjugate",
            "fromhex",
            "hex",
            "is_integer",
        ],
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) | Value::Range(_) => &["count", "index"],
        Value::Dict(_) => &["copy", "fromkeys", "get", "items", "keys", "values"],
        Value::View(view) if view.part != Part::Values => &["isdisjoint"],
        Value::Generator(_) => &["close", "send", "throw"],
        Value::Function(it) if it.name == "dict" => &["fromkeys"],
        Value::Object(it) if matches!(**it, Object::Cycler { .. }) => &["next", "reset"],
        _ => &[],
    };
    names.contains(&name)
}

/// Returns whether a value has a method that would change it, which Jinja2's sandbox hides.
pub(crate) fn changes(value: &Value, name: &str) -> bool {
    let names: &[&str] = match value {
        Value::List(_) => &[
            "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
        ],
        Value::Dict(_) => &["clear", "pop", "popitem", "setdefault", "update"],
        _ => &[],
    };
    names.contains(&name)
}

/// Returns whether Python has something of a value by a name that is not known here.
pub(crate) fn is_unknown(value: &Value, name: &str) -> bool {
    match value {
        Value::View(_) => name == "mapping",
        Value::Generator(_) => matches!(name, "gi_running" | "gi_suspended" | "gi_yieldfrom"),
        Value::Function(it) => match it.name {
            "cycler" => matches!(name, "current" | "next" | "reset"),
            _ => false,
        },
        _ => false,
    }
}

/// Returns what a value has by a name that is no method.
pub(crate) fn attribute(value: &Value, name: &str) -> Option<Value> {
    Some(match (value, name) {
        (Value::Tuple(items), name) => items.named(name)?.clone(),
        (Value::Bool(_) | Value::Int(_) | Value::Big(_), "real" | "numerator") => {
            operators::positive(value).ok()?
        }
        (Value::Bool(_) | Value::Int(_) | Value::Big(_), "imag") => Value::Int(0),
        (Value::Bool(_) | Value::Int(_) | Value::Big(_), "denominator") => Value::Int(1),
        (Value::Float(number), "real") => Value::Float(*number),
        (Value::Float(_), "imag") => Value::Float(0.0),
        (Value::Range(range), "start") => Value::Int(range.start),
        (Value::Range(range), "stop") => Value::Int(range.stop),
        (Value::Range(range), "step") => Value::Int(range.step),
        (Value::Object(object), name) => of_object(object, name)?,
        _ => return None,
    })
}

fn of_object(object: &Object, name: &str) -> Option<Value> {
    Some(match (object, name) {
        (Object::Cycler { items, at }, "current") => items.get(at.get())?.clone(),
        (Object::Cycler { items, .. }, "items") => Value::Tuple(items.clone()),
        (Object::Cycler { at, .. }, "pos") => Value::from(at.get()),
        (Object::Joiner { between, .. }, "sep") => between.clone(),
        (Object::Joiner { used, .. }, "used") => Value::Bool(used.get()),
        _ => return None,
    })
}

/// Calls a method.
pub(crate) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    match of {
        Value::Text(_) | Value::Safe(_) => text_methods::call(run, of, name, given),
        Value::Dict(table) => dicts::call(run, table, name, given),
        Value::View(view) if name == "isdisjoint" => {
            dicts::is_disjoint(run, view, given.read([""])?.required(0)?).map(Value::from)
        }
        Value::List(items) | Value::Tuple(items) => sequences::call(run, of, items, (name, given)),
        Value::Range(range) => sequences::call_of_range(run, range, name, given),
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => {
            run.fuel.take_bytes(of.size_bytes())?;
            let number = of.to_big().unwrap_or_default();
            whole_number(&number, name, given)
        }
        Value::Float(number) => floating(*number, name, given),
        Value::Function(it) if it.name == "dict" && name == "fromkeys" => from_keys(run, given),
        Value::Object(object) => of_cycler(object, name, given),
        _ => unknown_of(of, name),
    }
}

fn whole_number(number: &BigInt, name: &str, given: &Given) -> Result<Value> {
    let result = match name {
        "as_integer_ratio" => Value::pair(number.clone().into(), Value::Int(1)),
        "bit_count" => Value::from(BigInt::from(number.magnitude().count_ones())),
        "bit_length" => Value::from(BigInt::from(number.bits())),
        "conjugate" => number.clone().into(),
        _ => {
            return unknown(format!(
                "the method `{name}` of a whole number is not known here"
            ));
        }
    };
    given.nothing()?;
    Ok(result)
}

fn floating(number: f64, name: &str, given: &Given) -> Result<Value> {
    let result = match name {
        "as_integer_ratio" => floats::ratio(number)?,
        "conjugate" => Value::Float(number),
        "hex" => floats::hex(number).into(),
        "is_integer" => Value::Bool(number.is_finite() && number.fract() == 0.0),
        _ => return unknown(format!("the method `{name}` of a float is not known here")),
    };
    given.nothing()?;
    Ok(result)
}

fn of_cycler(object: &Object, name: &str, given: &Given) -> Result<Value> {
    given.nothing()?;
    match (object, name) {
        (Object::Cycler { items, at }, "next") => {
            let current = items.get(at.get()).cloned();
            at.set((at.get() + 1).checked_rem(items.len()).unwrap_or(0));
            Ok(current.unwrap_or(Value::None))
        }
        (Object::Cycler { at, .. }, "reset") => {
            at.set(0);
            Ok(Value::None)
        }
        _ => refused(format!("a {} has no method `{name}`", object.kind())),
    }
}

fn unknown_of(of: &Value, name: &str) -> Result<Value> {
    unknown(format!(
        "the method `{name}` of a value of type {} is not known here",
        of.kind()
    ))
}

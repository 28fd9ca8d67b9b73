//! Jinja2's tests.

use std::{rc::Rc, sync::Arc};

use crate::{
    calls::{Given, Test},
    dict::Key,
    error::{Result, unknown},
    filters,
    fuel::Fuel,
    iteration,
    objects::Object,
    operators, printing,
    run::Run,
    strings,
    tree::{Comparison, Operator},
    value::Value,
};

/// Returns the test of that name.
pub(crate) fn find(name: &str) -> Option<Test> {
    of_kinds(name)
        .or_else(|| of_order(name))
        .or_else(|| of_values(name))
}

/// Finds tests of what a value is.
fn of_kinds(name: &str) -> Option<Test> {
    Some(match name {
        "boolean" => |_, value, given| given.nothing().map(|()| matches!(value, Value::Bool(_))),
        "callable" => |_, value, given| given.nothing().map(|()| is_callable(value)),
        "defined" => |_, value, given| given.nothing().map(|()| !value.is_undefined()),
        "escaped" => |_, value, given| given.nothing().map(|()| value.is_safe()),
        "false" => |_, value, given| {
            given
                .nothing()
                .map(|()| matches!(value, Value::Bool(false)))
        },
        "float" => |_, value, given| given.nothing().map(|()| matches!(value, Value::Float(_))),
        "integer" => |_, value, given| {
            given
                .nothing()
                .map(|()| matches!(value, Value::Int(_) | Value::Big(_)))
        },
        "iterable" => |_, value, given| given.nothing().map(|()| is_iterable(value)),
        "mapping" => |_, value, given| given.nothing().map(|()| matches!(value, Value::Dict(_))),
        "none" => |_, value, given| given.nothing().map(|()| value.is_none()),
        "number" => |_, value, given| given.nothing().map(|()| value.is_number()),
        "sequence" => |_, value, given| given.nothing().map(|()| is_sequence(value)),
        "string" => |_, value, given| given.nothing().map(|()| value.as_str().is_some()),
        "true" => |_, value, given| given.nothing().map(|()| matches!(value, Value::Bool(true))),
        "undefined" => |_, value, given| given.nothing().map(|()| value.is_undefined()),
        _ => return None,
    })
}

/// Finds tests that compare two values.
fn of_order(name: &str) -> Option<Test> {
    Some(match name {
        "==" | "eq" | "equalto" => {
            |run, value, given| compared(run, value, given, Comparison::Equal)
        }
        "!=" | "ne" => |run, value, given| compared(run, value, given, Comparison::NotEqual),
        ">" | "gt" | "greaterthan" => {
            |run, value, given| compared(run, value, given, Comparison::Greater)
        }
        ">=" | "ge" => |run, value, given| compared(run, value, given, Comparison::GreaterOrEqual),
        "<" | "lt" | "lessthan" => {
            |run, value, given| compared(run, value, given, Comparison::Less)
        }
        "<=" | "le" => |run, value, given| compared(run, value, given, Comparison::LessOrEqual),
        _ => return None,
    })
}

/// Finds tests that look into a value.
fn of_values(name: &str) -> Option<Test> {
    Some(match name {
        "divisibleby" => divisibleby,
        "even" => |run, value, given| leaves(run, value, given, 0),
        "filter" => {
            |run, value, given| is_known(run, value, given, |it| filters::find(it).is_some())
        }
        "in" => is_in,
        "lower" => |run, value, given| has_case(run, value, given, Case::Lower),
        "odd" => |run, value, given| leaves(run, value, given, 1),
        "sameas" => sameas,
        "test" => |run, value, given| is_known(run, value, given, |it| find(it).is_some()),
        "upper" => |run, value, given| has_case(run, value, given, Case::Upper),
        _ => return None,
    })
}

fn is_callable(value: &Value) -> bool {
    match value {
        Value::Undefined
        | Value::Loop(_)
        | Value::Macro(_)
        | Value::Function(_)
        | Value::Method(_) => true,
        Value::Object(it) => matches!(**it, Object::Joiner { .. }),
        _ => false,
    }
}

/// Python takes what has items for something to go through, even if that fails.
fn is_iterable(value: &Value) -> bool {
    match value {
        Value::Loop(_) => true,
        Value::Object(it) => matches!(**it, Object::Blocks),
        _ => iteration::is_iterable(value),
    }
}

fn is_sequence(value: &Value) -> bool {
    matches!(
        value,
        Value::Undefined
            | Value::Text(_)
            | Value::Safe(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Dict(_)
            | Value::Range(_)
    )
}

fn compared(run: &Run<'_>, value: &Value, given: &Given, comparison: Comparison) -> Result<bool> {
    let arguments = given.read([""])?;
    operators::compare(run, comparison, [value, arguments.required(0)?])
}

fn is_in(run: &Run<'_>, value: &Value, given: &Given) -> Result<bool> {
    let arguments = given.read(["seq"])?;
    operators::contains(run, arguments.required(0)?, value)
}

fn divisibleby(run: &Run<'_>, value: &Value, given: &Given) -> Result<bool> {
    let arguments = given.read(["num"])?;
    let rest = operators::binary(run, Operator::Remainder, [value, arguments.required(0)?])?;
    Ok(operators::equal_single(&rest, &Value::Int(0)))
}

/// Returns whether a value divided by 2 leaves that.
fn leaves(run: &Run<'_>, value: &Value, given: &Given, rest: i64) -> Result<bool> {
    given.nothing()?;
    let found = operators::binary(run, Operator::Remainder, [value, &Value::Int(2)])?;
    Ok(operators::equal_single(&found, &Value::Int(rest)))
}

fn is_known(run: &Run<'_>, value: &Value, given: &Given, find: fn(&str) -> bool) -> Result<bool> {
    given.nothing()?;
    match value {
        Value::Text(name) | Value::Safe(name) => Ok(find(name)),
        _ => Key::new(&run.fuel, value.clone()).map(|_| false),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Case {
    Lower,
    Upper,
}

/// Returns whether a text has letters of that case, and none of another.
fn has_case(run: &Run<'_>, value: &Value, given: &Given, case: Case) -> Result<bool> {
    given.nothing()?;
    let text = printing::text(&run.fuel, value)?;
    run.fuel.take_bytes(text.len())?;
    let [is_wanted, is_other]: [fn(char) -> bool; 2] = match case {
        Case::Lower => [strings::is_lower, strings::is_upper],
        Case::Upper => [strings::is_upper, strings::is_lower],
    };
    let is_wrong = |c| is_other(c) || strings::is_title(c);
    Ok(text.chars().any(is_wanted) && !text.chars().any(is_wrong))
}

/// Returns whether two values are one object to Python.
fn sameas(run: &Run<'_>, value: &Value, given: &Given) -> Result<bool> {
    let arguments = given.read(["other"])?;
    match sameness(&run.fuel, value, arguments.required(0)?)? {
        Some(is_same) => Ok(is_same),
        None => unknown(format!(
            "whether two equal values of type {} are the same is not known here",
            value.kind()
        )),
    }
}

/// Returns whether two values are one object to Python, where that is sure.
fn sameness(fuel: &Fuel, value: &Value, other: &Value) -> Result<Option<bool>> {
    let unless_equal = |is_equal: bool| (!is_equal).then_some(false);
    Ok(match (value, other) {
        (Value::None, Value::None) => Some(true),
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        (Value::Int(-5..=256), Value::Int(_)) => Some(operators::equal_single(value, other)),
        (Value::Text(a), Value::Text(b)) if a.is_empty() => Some(b.is_empty()),
        (Value::Tuple(a), Value::Tuple(b)) if a.is_empty() && b.is_empty() => Some(true),
        (Value::Tuple(a), Value::Tuple(b)) if Rc::ptr_eq(a, b) => Some(true),
        (Value::Big(a), Value::Big(b)) if Rc::ptr_eq(a, b) => Some(true),
        (Value::Text(a), Value::Text(b)) | (Value::Safe(a), Value::Safe(b)) => {
            match Arc::ptr_eq(a, b) {
                true => Some(true),
                false => unless_equal(operators::equal(fuel, value, other)?),
            }
        }
        (Value::Float(a), Value::Float(b)) => unless_equal(a.to_bits() == b.to_bits()),
        (Value::Int(_), Value::Int(_))
        | (Value::Big(_), Value::Big(_))
        | (Value::Tuple(_), Value::Tuple(_)) => unless_equal(operators::equal(fuel, value, other)?),
        (Value::Undefined, Value::Undefined) => None,
        (Value::Object(a), Value::Object(b)) => match (&**a, &**b) {
            (Object::Blocks, Object::Blocks) => None,
            _ => Some(Rc::ptr_eq(a, b)),
        },
        (Value::Method(a), Value::Method(b)) => Some(Rc::ptr_eq(a, b)),
        _ => Some(operators::is_same(value, other)),
    })
}

//! Python's operators.

use std::{cmp::Ordering, rc::Rc};

use crate::{
    dict::Dict,
    error::{Result, refused},
    formatting,
    fuel::Fuel,
    iteration, numbers, printing,
    run::Run,
    tree::{Comparison, Operator},
    value::{Items, Part, Value, View},
};

/// Returns `left == right`.
pub(crate) fn equal(fuel: &Fuel, left: &Value, right: &Value) -> Result<bool> {
    match (left, right) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            Ok(Rc::ptr_eq(a, b) || fuel.nested(|| equal_items(fuel, a, b))?)
        }
        (Value::Dict(a), Value::Dict(b)) => {
            Ok(Rc::ptr_eq(a, b) || fuel.nested(|| equal_dicts(fuel, a, b))?)
        }
        (Value::View(a), Value::View(b)) => {
            Ok(Rc::ptr_eq(a, b) || fuel.nested(|| equal_views(fuel, a, b))?)
        }
        _ => {
            fuel.take_bytes(left.size_bytes().min(right.size_bytes()))?;
            Ok(equal_single(left, right))
        }
    }
}

/// As [`equal`], of values that have no others in them.
pub(crate) fn equal_single(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => a == b,
        (Value::Undefined, Value::Undefined) | (Value::None, Value::None) => true,
        (a, b) if a.is_number() && b.is_number() => numbers::order(a, b) == Some(Ordering::Equal),
        (Value::Range(a), Value::Range(b)) => {
            a.len() == b.len() && a.at(0) == b.at(0) && a.at(1) == b.at(1)
        }
        _ => is_same(left, right),
    }
}

fn equal_items(fuel: &Fuel, left: &Items, right: &Items) -> Result<bool> {
    Ok(left.len() == right.len() && first_difference(fuel, left, right)?.is_none())
}

/// Returns the first values at the same place that are not equal.
fn first_difference<'a>(
    fuel: &Fuel,
    left: &'a Items,
    right: &'a Items,
) -> Result<Option<(&'a Value, &'a Value)>> {
    for (a, b) in left.iter().zip(&**right) {
        fuel.take(1)?;
        if !equal(fuel, a, b)? {
            return Ok(Some((a, b)));
        }
    }
    Ok(None)
}

fn equal_dicts(fuel: &Fuel, left: &Dict, right: &Dict) -> Result<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, value) in left.iter() {
        fuel.take(1)?;
        match right.get(fuel, key)? {
            Some(other) if equal(fuel, value, other)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Keys and items are compared as sets, values not at all.
fn equal_views(fuel: &Fuel, left: &View, right: &View) -> Result<bool> {
    let count = left.table.len();
    let are_sets = left.part != Part::Values && right.part != Part::Values;
    if !are_sets || count != right.table.len() {
        return Ok(false);
    }
    for value in (0..count).filter_map(|at| left.at(at)) {
        fuel.take(1)?;
        if !is_in_view(fuel, right, &value)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether a value is one of the keys or items that a view has.
///
/// # Errors
/// What cannot be a key.
pub(crate) fn is_in_view(fuel: &Fuel, view: &View, value: &Value) -> Result<bool> {
    match (view.part, value) {
        (Part::Keys, key) => Ok(view.table.get(fuel, key)?.is_some()),
        (_, Value::Tuple(pair)) => match &***pair {
            [key, value] => match view.table.get(fuel, key)? {
                Some(found) => equal(fuel, found, value),
                None => Ok(false),
            },
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

/// Returns whether two values are one, where it matters which one it is.
pub(crate) fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Range(a), Value::Range(b)) => Rc::ptr_eq(a, b),
        (Value::View(a), Value::View(b)) => Rc::ptr_eq(a, b),
        (Value::Generator(a), Value::Generator(b)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
        (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
        (Value::Function(a), Value::Function(b)) => a.name == b.name,
        (Value::Method(a), Value::Method(b)) => {
            Rc::ptr_eq(a, b) || a.name == b.name && is_same(&a.of, &b.of)
        }
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}

/// Returns how two values are ordered, or nothing where one is no number.
///
/// # Errors
/// Values that Python does not order.
fn order(fuel: &Fuel, left: &Value, right: &Value) -> Result<Option<Ordering>> {
    fuel.take_bytes(left.size_bytes().min(right.size_bytes()))?;
    match (left, right) {
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => Ok(Some(a.cmp(b))),
        (a, b) if a.is_number() && b.is_number() => Ok(numbers::order(a, b)),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            fuel.nested(|| match first_difference(fuel, a, b)? {
                Some((a, b)) => order(fuel, a, b),
                None => Ok(Some(a.len().cmp(&b.len()))),
            })
        }
        _ => refused(format!(
            "values of type {} and {} cannot be compared",
            left.kind(),
            right.kind()
        )),
    }
}

/// Returns `left < right`.
pub(crate) fn less(fuel: &Fuel, left: &Value, right: &Value) -> Result<bool> {
    Ok(order(fuel, left, right)? == Some(Ordering::Less))
}

/// Compares two values.
pub(crate) fn compare(
    run: &Run<'_>,
    comparison: Comparison,
    [left, right]: [&Value; 2],
) -> Result<bool> {
    let ordered = |wanted: &[Ordering]| {
        let order = order(&run.fuel, left, right)?;
        Ok(order.is_some_and(|it| wanted.contains(&it)))
    };
    match comparison {
        Comparison::Equal => equal(&run.fuel, left, right),
        Comparison::NotEqual => equal(&run.fuel, left, right).map(|it| !it),
        Comparison::Less => ordered(&[Ordering::Less]),
        Comparison::LessOrEqual => ordered(&[Ordering::Less, Ordering::Equal]),
        Comparison::Greater => ordered(&[Ordering::Greater]),
        Comparison::GreaterOrEqual => ordered(&[Ordering::Greater, Ordering::Equal]),
        Comparison::In => contains(run, right, left),
        Comparison::NotIn => contains(run, right, left).map(|it| !it),
    }
}

/// Returns `item in container`.
pub(crate) fn contains(run: &Run<'_>, container: &Value, item: &Value) -> Result<bool> {
    let fuel = &run.fuel;
    match container {
        Value::Text(text) | Value::Safe(text) => {
            let part = item.expect_text()?;
            fuel.take_bytes(text.len().saturating_add(part.len()))?;
            Ok(text.contains(part))
        }
        Value::Dict(table) => Ok(table.get(fuel, item)?.is_some()),
        Value::View(view) if view.part != Part::Values => is_in_view(fuel, view, item),
        Value::List(items) | Value::Tuple(items) => {
            for value in items.iter() {
                fuel.take(1)?;
                if equal(fuel, value, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => {
            let mut left = iteration::iter(container)?;
            while let Some(value) = left.next(run)? {
                if equal(fuel, &value, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Returns `left + right`.
pub(crate) fn add(run: &Run<'_>, left: &Value, right: &Value) -> Result<Value> {
    binary(run, Operator::Add, [left, right])
}

/// Works an operator out.
pub(crate) fn binary(
    run: &Run<'_>,
    operator: Operator,
    [left, right]: [&Value; 2],
) -> Result<Value> {
    match (operator, left, right) {
        (_, a, b) if a.is_number() && b.is_number() => numbers::binary(run, operator, [a, b]),
        (Operator::Add, Value::Text(a), Value::Text(b)) => {
            run.fuel.take_bytes(a.len() + b.len())?;
            Ok(Value::from([&**a, b].concat()))
        }
        (Operator::Add, a, b) if a.as_str().is_some() && b.as_str().is_some() => {
            let (a, b) = (
                printing::escape(&run.fuel, a)?,
                printing::escape(&run.fuel, b)?,
            );
            run.fuel.take_bytes(a.len() + b.len())?;
            Ok(Value::safe([&*a, &b].concat()))
        }
        (Operator::Add, Value::List(a), Value::List(b)) => {
            run.fuel.take_items(a.len() + b.len())?;
            Ok(Value::list([&***a, &***b].concat()))
        }
        (Operator::Add, Value::Tuple(a), Value::Tuple(b)) => {
            run.fuel.take_items(a.len() + b.len())?;
            Ok(Value::tuple([&***a, &***b].concat()))
        }
        (Operator::Multiply, a, b) => repeated(run, a, b),
        (Operator::Remainder, Value::Text(_) | Value::Safe(_), b) => {
            formatting::percent(run, left, b)
        }
        _ => unsupported(operator, left, right),
    }
}

/// Repeats a text or a list.
fn repeated(run: &Run<'_>, left: &Value, right: &Value) -> Result<Value> {
    let is_sequence = |it: &Value| {
        matches!(
            it,
            Value::Text(_) | Value::Safe(_) | Value::List(_) | Value::Tuple(_)
        )
    };
    let is_whole = |it: &Value| matches!(it, Value::Bool(_) | Value::Int(_));
    let (value, times) = match (is_sequence(left), is_sequence(right)) {
        (true, false) if is_whole(right) => (left, right),
        (false, true) if is_whole(left) => (right, left),
        _ => return unsupported(Operator::Multiply, left, right),
    };
    let times = usize::try_from(times.expect_i64()?.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = value.as_str() {
        run.fuel.take_bytes(text.len().saturating_mul(times))?;
        return Ok(Value::text_like(
            if text.is_empty() {
                String::new()
            } else {
                text.repeat(times)
            },
            value,
        ));
    }
    let (Value::List(items) | Value::Tuple(items)) = value else {
        return unsupported(Operator::Multiply, left, right);
    };
    run.fuel.take_items(items.len().saturating_mul(times))?;
    let times = if items.is_empty() { 0 } else { times };
    let all = std::iter::repeat_n(&***items, times)
        .flatten()
        .cloned()
        .collect();
    Ok(match value {
        Value::List(_) => Value::list(all),
        _ => Value::tuple(all),
    })
}

fn unsupported(operator: Operator, left: &Value, right: &Value) -> Result<Value> {
    let sign = match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::FloorDivide => "//",
        Operator::Remainder => "%",
        Operator::Power | Operator::PowerOfConstant => "**",
    };
    refused(format!(
        "`{sign}` does not take values of type {} and {}",
        left.kind(),
        right.kind()
    ))
}

/// Returns `-value`.
pub(crate) fn negate(fuel: &Fuel, value: &Value) -> Result<Value> {
    fuel.take_bytes(value.size_bytes())?;
    match value {
        Value::Float(it) => Ok(Value::Float(-it)),
        _ => match value.to_big() {
            Some(it) => Ok(Value::from(-it)),
            None => refused(format!("a value of type {} has no negative", value.kind())),
        },
    }
}

/// Returns `+value`.
pub(crate) fn positive(value: &Value) -> Result<Value> {
    match value {
        Value::Bool(it) => Ok(Value::Int(i64::from(*it))),
        Value::Int(_) | Value::Big(_) | Value::Float(_) => Ok(value.clone()),
        _ => refused(format!("a value of type {} has no sign", value.kind())),
    }
}

//! Python's operators.

use std::{cmp::Ordering, rc::Rc};

use crate::{
    error::{Result, refused},
    formatting, iteration, numbers, printing,
    run::Run,
    tree::{Comparison, Operator},
    value::{Items, Part, Value, View},
};

/// Deeper, values are not compared.
const DEEPEST: u32 = 400;

/// Returns `left == right`.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => a == b,
        (Value::Undefined, Value::Undefined) | (Value::None, Value::None) => true,
        (a, b) if a.is_number() && b.is_number() => numbers::order(a, b) == Some(Ordering::Equal),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            Rc::ptr_eq(a, b) || all_equal(a, b)
        }
        (Value::Dict(a), Value::Dict(b)) => {
            let has = |(key, value): (&Value, &Value)| {
                let other = b.get(key).ok().flatten();
                other.is_some_and(|it| equal(value, it))
            };
            Rc::ptr_eq(a, b) || a.len() == b.len() && a.iter().all(has)
        }
        (Value::Range(a), Value::Range(b)) => {
            let is_alike = |at| a.at(at) == b.at(at);
            a.len() == b.len() && is_alike(0) && (a.len() < 2 || is_alike(1))
        }
        (Value::View(a), Value::View(b)) => equal_views(a, b),
        _ => is_same(left, right),
    }
}

fn all_equal(left: &Items, right: &Items) -> bool {
    left.len() == right.len() && left.iter().zip(&**right).all(|(a, b)| equal(a, b))
}

/// Keys and items are compared as sets, values not at all.
fn equal_views(left: &Rc<View>, right: &Rc<View>) -> bool {
    if left.part == Part::Values || right.part == Part::Values {
        return Rc::ptr_eq(left, right);
    }
    let count = left.table.len();
    let has = |at: usize| left.at(at).is_some_and(|it| has_view(right, &it));
    count == right.table.len() && (0..count).all(has)
}

fn has_view(view: &View, item: &Value) -> bool {
    match view.part {
        Part::Keys => view.table.get(item).ok().flatten().is_some(),
        _ => (0..view.table.len()).any(|at| view.at(at).is_some_and(|it| equal(&it, item))),
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
fn order(left: &Value, right: &Value, depth: u32) -> Result<Option<Ordering>> {
    match (left, right) {
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => Ok(Some(a.cmp(b))),
        (a, b) if a.is_number() && b.is_number() => Ok(numbers::order(a, b)),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b))
            if depth < DEEPEST =>
        {
            let differing = a.iter().zip(&***b).find(|(a, b)| !equal(a, b));
            match differing {
                Some((a, b)) => order(a, b, depth + 1),
                None => Ok(Some(a.len().cmp(&b.len()))),
            }
        }
        _ => refused(format!(
            "values of type {} and {} cannot be compared",
            left.kind(),
            right.kind()
        )),
    }
}

/// Returns `left < right`.
pub(crate) fn less(left: &Value, right: &Value) -> Result<bool> {
    Ok(order(left, right, 0)? == Some(Ordering::Less))
}

/// Compares two values.
pub(crate) fn compare(
    run: &Run<'_>,
    comparison: Comparison,
    [left, right]: [&Value; 2],
) -> Result<bool> {
    let ordered = |wanted: &[Ordering]| {
        let order = order(left, right, 0)?;
        Ok(order.is_some_and(|it| wanted.contains(&it)))
    };
    match comparison {
        Comparison::Equal => Ok(equal(left, right)),
        Comparison::NotEqual => Ok(!equal(left, right)),
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
    match container {
        Value::Text(text) | Value::Safe(text) => Ok(text.contains(item.expect_text()?)),
        Value::Dict(table) => Ok(table.get(item)?.is_some()),
        Value::View(view) if view.part == Part::Keys => Ok(view.table.get(item)?.is_some()),
        Value::List(items) | Value::Tuple(items) => {
            run.fuel.take_items(items.len())?;
            Ok(items.iter().any(|it| equal(it, item)))
        }
        _ => {
            let mut left = iteration::iter(container)?;
            while let Some(value) = left.next(run)? {
                if equal(&value, item) {
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
            let part = |it: &Value| match it {
                Value::Safe(text) => text.to_string(),
                _ => printing::escaped(it.as_str().unwrap_or_default()),
            };
            let text = part(a) + &part(b);
            run.fuel.take_bytes(text.len())?;
            Ok(Value::safe(text))
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
pub(crate) fn negate(value: &Value) -> Result<Value> {
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
        Value::Float(it) => Ok(Value::Float(*it)),
        _ => match value.to_big() {
            Some(it) => Ok(Value::from(it)),
            None => refused(format!("a value of type {} has no sign", value.kind())),
        },
    }
}

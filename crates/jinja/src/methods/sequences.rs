//! Methods of lists, tuples and ranges.

use crate::{
    calls::Given,
    error::{Result, refused, unknown},
    operators,
    run::Run,
    value::{Items, Range, Value},
};

pub(super) fn call(
    run: &Run<'_>,
    of: &Value,
    items: &Items,
    (name, given): (&str, &Given),
) -> Result<Value> {
    match (name, of) {
        ("count", _) => {
            let given = given.read([""])?;
            let wanted = comparable(given.required(0)?)?;
            let mut count = 0_usize;
            for item in items.iter() {
                run.fuel.take(1)?;
                count += usize::from(operators::equal(&run.fuel, item, wanted)?);
            }
            Ok(Value::from(count))
        }
        ("index", _) => index(run, items, given),
        ("copy", Value::List(_)) => {
            given.nothing()?;
            run.fuel.take_items(items.len())?;
            Ok(Value::list(items.to_vec()))
        }
        _ => unknown(format!("a {} has no method `{name}` here", of.kind())),
    }
}

fn index(run: &Run<'_>, items: &Items, given: &Given) -> Result<Value> {
    let given = given.read(["", "", ""])?;
    let wanted = comparable(given.required(0)?)?;
    let place = |bound: &Value| bound.expect_i64().map(|it| place(it, items.len()));
    let start = given.get(1).map_or(Ok(0), place)?;
    let stop = given.get(2).map_or(Ok(items.len()), place)?;
    for at in start..stop.min(items.len()) {
        run.fuel.take(1)?;
        let item = items.get(at);
        if item.map_or(Ok(false), |it| operators::equal(&run.fuel, it, wanted))? {
            return Ok(Value::from(at));
        }
    }
    refused("the value is not in the list")
}

/// Returns the place that a bound means; negative ones count from the end.
fn place(bound: i64, length: usize) -> usize {
    match bound < 0 {
        true => {
            let from_end = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
            length.saturating_sub(from_end)
        }
        false => usize::try_from(bound).unwrap_or(usize::MAX),
    }
}

pub(super) fn call_of_range(
    run: &Run<'_>,
    range: &Range,
    name: &str,
    given: &Given,
) -> Result<Value> {
    let given = given.read([""])?;
    let wanted = comparable(given.required(0)?)?;
    run.fuel.take_items(range.len())?;
    let is_wanted = |place: &usize| {
        let number = range.at(*place).map(Value::Int);
        number.is_some_and(|it| operators::equal_single(&it, wanted))
    };
    let found = (0..range.len()).find(is_wanted);
    match (name, found) {
        ("count", found) => Ok(Value::from(usize::from(found.is_some()))),
        ("index", Some(place)) => Ok(Value::from(place)),
        ("index", None) => refused("the value is not in the range"),
        _ => unknown(format!("a range has no method `{name}` here")),
    }
}

/// Refuses what Python finds only where it is the very same object.
fn comparable(wanted: &Value) -> Result<&Value> {
    match wanted {
        Value::Float(number) if number.is_nan() => {
            unknown("what is no number is found only where it is the same object")
        }
        _ => Ok(wanted),
    }
}

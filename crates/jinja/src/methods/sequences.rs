//! Methods of lists, tuples and ranges.

use crate::{
    calls::Given,
    error::{Result, refused},
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
            run.fuel.take_items(items.len())?;
            let count = items.iter().filter(|it| operators::equal(it, wanted));
            Ok(Value::from(count.count()))
        }
        ("index", _) => index(run, items, given),
        ("copy", Value::List(_)) => {
            given.nothing()?;
            run.fuel.take_items(items.len())?;
            Ok(Value::list(items.to_vec()))
        }
        _ => refused(format!("a {} has no method `{name}` here", of.kind())),
    }
}

fn index(run: &Run<'_>, items: &Items, given: &Given) -> Result<Value> {
    let given = given.read(["", "", ""])?;
    let wanted = comparable(given.required(0)?)?;
    let place = |bound: &Value| bound.expect_i64().map(|it| place(it, items.len()));
    let start = given.get(1).map_or(Ok(0), place)?;
    let stop = given.get(2).map_or(Ok(items.len()), place)?;
    run.fuel.take_items(items.len())?;
    let mut places = (start..stop.min(items.len())).filter(|at| {
        items
            .get(*at)
            .is_some_and(|it| operators::equal(it, wanted))
    });
    places.next().map_or_else(
        || refused("the value is not in the list"),
        |at| Ok(Value::from(at)),
    )
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
        number.is_some_and(|it| operators::equal(&it, wanted))
    };
    let found = (0..range.len()).find(is_wanted);
    match (name, found) {
        ("count", found) => Ok(Value::from(usize::from(found.is_some()))),
        ("index", Some(place)) => Ok(Value::from(place)),
        ("index", None) => refused("the value is not in the range"),
        _ => refused(format!("a range has no method `{name}` here")),
    }
}

/// Refuses what Python finds only where it is the very same object.
fn comparable(wanted: &Value) -> Result<&Value> {
    match wanted {
        Value::Float(number) if number.is_nan() => refused("what is no number equals nothing"),
        _ => Ok(wanted),
    }
}

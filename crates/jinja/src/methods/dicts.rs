//! Methods of dicts and of what is seen of them.

use std::rc::Rc;

use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, unknown},
    iteration, operators,
    run::Run,
    value::{Part, Table, Value, View},
};

pub(super) fn call(run: &Run<'_>, table: &Rc<Table>, name: &str, given: &Given) -> Result<Value> {
    match name {
        "get" => {
            let given = given.read(["", ""])?;
            let found = table.get(&run.fuel, given.required(0)?)?;
            Ok(found.or(given.get(1)).cloned().unwrap_or(Value::None))
        }
        "keys" => view(table, Part::Keys, given),
        "values" => view(table, Part::Values, given),
        "items" => view(table, Part::Items, given),
        "copy" => {
            given.nothing()?;
            run.fuel.take_items(table.len())?;
            Ok(Value::dict(Dict::clone(table)))
        }
        "fromkeys" => from_keys(run, given),
        _ => unknown(format!("a dict has no method `{name}` here")),
    }
}

fn view(table: &Rc<Table>, part: Part, given: &Given) -> Result<Value> {
    given.nothing()?;
    let table = table.clone();
    Ok(Value::View(Rc::new(View { part, table })))
}

/// Makes a dict of keys that have one value.
pub(super) fn from_keys(run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["", ""])?;
    let value = given.get(1).cloned().unwrap_or(Value::None);
    let mut dict = Dict::default();
    for key in iteration::all(run, given.required(0)?)? {
        dict.insert(&run.fuel, key, value.clone())?;
    }
    Ok(Value::dict(dict))
}

/// Returns whether keys or items and other values have nothing in common.
pub(super) fn is_disjoint(run: &Run<'_>, view: &Rc<View>, other: &Value) -> Result<bool> {
    match other {
        // Python goes through the one that has less.
        Value::View(other)
            if other.part != Part::Values && other.table.len() > view.table.len() =>
        {
            has_none(run, other, &Value::View(view.clone()))
        }
        _ => has_none(run, view, other),
    }
}

fn has_none(run: &Run<'_>, view: &View, values: &Value) -> Result<bool> {
    let mut left = iteration::iter(values)?;
    while let Some(value) = left.next(run)? {
        if operators::is_in_view(&run.fuel, view, &value)? {
            return Ok(false);
        }
    }
    Ok(true)
}

//! The functions that every template has.

mod dicts;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use self::dicts::dict;
use crate::{
    calls::{Function, Given},
    clock,
    error::{Complaint, Result, TemplateError, refused, too_large, unknown},
    objects::Object,
    printing,
    run::Run,
    value::{Items, Namespace, Range, Value},
};

/// More numbers than this are refused by the sandbox of `transformers` too.
const MOST_NUMBERS: usize = 100_000;

/// Returns the function of a name.
pub(crate) fn find(name: &str) -> Option<Value> {
    let (name, call): (_, fn(&Run<'_>, &Given) -> Result<Value>) = match name {
        "cycler" => ("cycler", cycler),
        "dict" => ("dict", dict_of),
        "joiner" => ("joiner", joiner),
        "lipsum" => ("lipsum", |_, _| {
            unknown("`lipsum` makes texts by chance, which are not known here")
        }),
        "namespace" => ("namespace", namespace),
        "raise_exception" => ("raise_exception", raise_exception),
        "range" => ("range", range),
        "strftime_now" => ("strftime_now", strftime_now),
        _ => return None,
    };
    Some(Value::Function(Function { name, call }))
}

fn raise_exception(run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["message"])?;
    let message = printing::text(&run.fuel, given.required(0)?)?;
    Err(TemplateError::Raised(Complaint::new(message)))
}

fn strftime_now(run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["format"])?;
    let format = given.required_text(0)?;
    run.fuel
        .take_bytes(format.len().saturating_mul(clock::MOST_BYTES))?;
    clock::strftime_now(format).map(Value::from)
}

fn range(_run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["", "", ""])?;
    let first = whole(given.required(0)?)?;
    let second = given.get(1).map(whole).transpose()?;
    let step = given.get(2).map_or(Ok(1), whole)?;
    if step == 0 {
        return refused("a range cannot have steps of 0");
    }
    let (start, stop) = second.map_or((0, first), |stop| (first, stop));
    let range = Range { start, stop, step };
    match range.len() {
        0..=MOST_NUMBERS => Ok(Value::Range(Rc::new(range))),
        count => too_large(format!(
            "a range of {count} numbers: expected at most {MOST_NUMBERS}"
        )),
    }
}

fn whole(value: &Value) -> Result<i64> {
    match value {
        Value::Big(_) => unknown("a range of numbers that large is not known here"),
        _ => value.expect_i64(),
    }
}

fn dict_of(run: &Run<'_>, given: &Given) -> Result<Value> {
    // It is a method there, whose first argument has this name already.
    if given.named.iter().any(|(name, _)| **name == *"self") {
        return refused("`self` is given twice");
    }
    dict(run, given).map(Value::dict)
}

/// Makes a namespace, in which `transformers` keeps no names that begin with an underscore.
fn namespace(run: &Run<'_>, given: &Given) -> Result<Value> {
    let values = dict(run, given)?;
    for (name, _) in values.iter() {
        name.as_str().map_or(Ok(()), check_name)?;
    }
    let values = RefCell::new(values);
    Ok(run.keep(Namespace { values }))
}

/// Gives a namespace's name a value.
pub(crate) fn set_namespace(namespace: &Namespace, name: &str, value: Value) -> Result<()> {
    check_name(name)?;
    match namespace.values.try_borrow_mut() {
        Ok(mut values) => {
            values.insert_text(name, value);
            Ok(())
        }
        Err(_) => refused("a namespace cannot be changed while it is read"),
    }
}

fn check_name(name: &str) -> Result<()> {
    match name.starts_with('_') {
        true => refused(format!(
            "a namespace has no names that begin with an underscore, found `{name}`"
        )),
        false => Ok(()),
    }
}

fn cycler(run: &Run<'_>, given: &Given) -> Result<Value> {
    if let Some((name, _)) = given.named.first() {
        return refused(format!("there is no argument `{name}`"));
    }
    if given.positional.is_empty() {
        return refused("a cycler needs something to go through");
    }
    run.fuel.take_items(given.positional.len())?;
    let items = Rc::new(Items::new(given.positional.clone()));
    let at = Cell::new(0);
    Ok(Value::Object(Rc::new(Object::Cycler { items, at })))
}

fn joiner(_run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["sep"])?;
    let between = given.get(0).cloned().unwrap_or_else(|| Value::from(", "));
    let used = Cell::new(false);
    Ok(Value::Object(Rc::new(Object::Joiner { between, used })))
}

//! Methods that replace characters by a table.

use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, TemplateError, refused},
    run::Run,
    strings,
    value::Value,
};

pub(super) fn translate(run: &Run<'_>, of: &Value, given: &Given) -> Result<Value> {
    let given = given.read([""])?;
    let table = given.required(0)?;
    let mut out = String::new();
    for c in of.expect_text()?.chars() {
        run.fuel.take(1)?;
        match looked_up(run, table, c)? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Text(text) | Value::Safe(text)) => {
                run.fuel.take_bytes(text.len())?;
                out.push_str(&text);
            }
            Some(number) => out.push(replacement(&number)?),
        }
    }
    Ok(Value::text_like(out, of))
}

/// Returns what a character is replaced with, or none where it stays.
fn looked_up(run: &Run<'_>, table: &Value, c: char) -> Result<Option<Value>> {
    let code = u32::from(c);
    let place = usize::try_from(code).unwrap_or(usize::MAX);
    Ok(match table {
        Value::Dict(table) => table.get(&run.fuel, &Value::Int(i64::from(code)))?.cloned(),
        Value::List(items) | Value::Tuple(items) => items.get(place).cloned(),
        Value::Text(text) => {
            run.fuel.take_bytes(place)?;
            let found = text.chars().nth(place);
            found.map(|it| Value::from(String::from(it)))
        }
        other => {
            return refused(format!(
                "a value of type {} does not tell what characters are replaced with",
                other.kind()
            ));
        }
    })
}

fn replacement(number: &Value) -> Result<char> {
    number.to_char().ok_or_else(|| {
        TemplateError::new(format!(
            "a character is replaced with a text, a character's number or none, found a value of type {}",
            number.kind()
        ))
    })
}

/// Makes a table for [`translate`].
pub(super) fn maketrans(run: &Run<'_>, given: &Given) -> Result<Value> {
    let given = given.read(["", "", ""])?;
    let first = given.required(0)?;
    let Some(second) = given.get(1) else {
        return numbered(run, first);
    };
    let (from, to) = (first.expect_text()?, second.expect_text()?);
    if from.chars().count() != to.chars().count() {
        return refused("`maketrans` expects texts of the same length");
    }
    run.fuel.take_items(from.len())?;
    let mut table = Dict::default();
    for (from, to) in from.chars().zip(to.chars()) {
        table.insert(&run.fuel, code(from), code(to))?;
    }
    let gone = given.get(2).map_or(Ok(""), Value::expect_text)?;
    run.fuel.take_items(gone.len())?;
    for c in gone.chars() {
        table.insert(&run.fuel, code(c), Value::None)?;
    }
    Ok(Value::dict(table))
}

fn code(c: char) -> Value {
    Value::Int(i64::from(u32::from(c)))
}

/// Makes keys that are characters their numbers.
fn numbered(run: &Run<'_>, table: &Value) -> Result<Value> {
    let Value::Dict(table) = table else {
        return refused("`maketrans` expects a dict if it has one argument");
    };
    run.fuel.take_items(table.len())?;
    let mut out = Dict::default();
    for (key, value) in table.iter() {
        let key = match key {
            Value::Text(text) | Value::Safe(text) => match strings::single(text) {
                Some(c) => code(c),
                None => return refused("`maketrans` expects keys of one character"),
            },
            Value::Bool(_) | Value::Int(_) | Value::Big(_) => key.clone(),
            _ => return refused("`maketrans` expects keys that are characters or numbers"),
        };
        out.insert(&run.fuel, key, value.clone())?;
    }
    Ok(Value::dict(out))
}

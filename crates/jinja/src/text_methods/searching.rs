//! Methods that look for a text in another.

use crate::{
    calls::{Arguments, Given},
    error::{Result, refused},
    run::Run,
    strings::Within,
    value::Value,
};

pub(super) fn call(run: &Run<'_>, text: &str, name: &str, given: &Given) -> Result<Value> {
    let given = given.read(["", "", ""])?;
    let what = given.required(0)?;
    run.fuel.take_bytes(what.size_bytes())?;
    match name {
        "startswith" | "endswith" => Ok(Value::Bool(matches(run, text, name, &given)?)),
        "count" => {
            let what = what.expect_text()?;
            let within = within(text, &given)?;
            Ok(Value::from(
                within.map_or(0, |it| it.text.matches(what).count()),
            ))
        }
        _ => found(text, name, &given),
    }
}

fn within<'a>(text: &'a str, given: &Arguments<'_, 3>) -> Result<Option<Within<'a>>> {
    Ok(Within::new(text, given.integer(1)?, given.integer(2)?))
}

fn matches(run: &Run<'_>, text: &str, name: &str, given: &Arguments<'_, 3>) -> Result<bool> {
    let affix = given.required(0)?;
    let affixes = match affix {
        Value::Tuple(items) => items,
        _ => std::slice::from_ref(affix),
    };
    let within = within(text, given)?;
    for affix in affixes {
        let affix = affix.expect_text()?;
        run.fuel.take(1)?;
        run.fuel.take_bytes(affix.len().min(text.len()))?;
        let is_match = within.as_ref().is_some_and(|it| match name {
            "startswith" => it.text.starts_with(affix),
            _ => it.text.ends_with(affix),
        });
        if is_match {
            return Ok(true);
        }
    }
    Ok(false)
}

fn found(text: &str, name: &str, given: &Arguments<'_, 3>) -> Result<Value> {
    let what = given.required_text(0)?;
    let place = within(text, given)?.and_then(|it| {
        let byte = match name {
            "find" | "index" => it.text.find(what),
            _ => it.text.rfind(what),
        };
        byte.map(|byte| it.character(byte))
    });
    match place {
        Some(place) => Ok(Value::from(place)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => refused(format!("`{what}` is not in the text")),
    }
}

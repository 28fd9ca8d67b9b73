//! Methods that only texts have that are marked as safe.

use crate::{
    calls::Given,
    error::{Result, refused},
    filters, printing,
    run::Run,
    value::Value,
};

/// Returns whether a text that is marked as safe has a method that others have not.
pub(crate) fn has_of_safe(name: &str) -> bool {
    matches!(name, "escape" | "striptags" | "unescape")
}

pub(super) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    if !of.is_safe() {
        return unknown_of(of, name);
    }
    match name {
        "escape" => {
            let given = given.read([""])?;
            let text = printing::escape(&run.fuel, given.required(0)?)?;
            Ok(Value::safe(text))
        }
        "striptags" => filters::striptags(run, of, given),
        "unescape" => unescape(of, given),
        _ => unknown_of(of, name),
    }
}

fn unescape(of: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    filters::unescaped(of.expect_text()?).map(Value::from)
}

fn unknown_of(of: &Value, name: &str) -> Result<Value> {
    refused(format!(
        "a value of type {} has no method `{name}`",
        of.kind()
    ))
}

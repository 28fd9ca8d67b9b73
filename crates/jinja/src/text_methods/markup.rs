//! Methods that only texts have that are marked as safe.

use crate::{
    calls::Given,
    error::{Result, refused},
    filters, formatting,
    run::Run,
    value::Value,
};

/// Returns whether a text that is marked as safe has a method that others have not.
pub(crate) fn has_of_safe(name: &str) -> bool {
    matches!(name, "escape" | "striptags" | "unescape")
}

pub(super) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    match (name, filters::find("striptags")) {
        _ if !of.is_safe() => unknown(of, name),
        ("escape", _) => formatting::escaped(given.read([""])?.required(0)?).map(Value::safe),
        ("striptags", Some(striptags)) => striptags(run, of, given),
        ("unescape", _) => unescape(of, given),
        _ => unknown(of, name),
    }
}

fn unescape(of: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    filters::unescaped(of.expect_text()?).map(Value::from)
}

fn unknown(of: &Value, name: &str) -> Result<Value> {
    refused(format!(
        "a value of type {} has no method `{name}`",
        of.kind()
    ))
}

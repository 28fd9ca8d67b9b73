//! Dicts that are made of other values.

use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, refused},
    iteration,
    run::Run,
    value::Value,
};

/// Makes a dict of another or of pairs, and of what has a name.
pub(super) fn dict(run: &Run<'_>, given: &Given) -> Result<Dict> {
    let mut dict = match given.positional.as_slice() {
        [] => Dict::default(),
        [value] => of_value(run, value)?,
        more => return refused(format!("`dict` takes one value, found {}", more.len())),
    };
    for (name, value) in &given.named {
        dict.insert_text(name.clone(), value.clone());
    }
    Ok(dict)
}

fn of_value(run: &Run<'_>, value: &Value) -> Result<Dict> {
    match value {
        Value::Dict(table) => {
            run.fuel.take_items(table.len())?;
            return Ok(Dict::clone(table));
        }
        Value::Undefined => return refused("what a dict is made of is undefined"),
        _ => {}
    }
    let mut dict = Dict::default();
    for pair in iteration::all(run, value)? {
        let both = <[Value; 2]>::try_from(iteration::all(run, &pair)?);
        let [key, value] = both.or_else(|found| {
            refused(format!(
                "expected a key and a value, found {} values",
                found.len()
            ))
        })?;
        dict.insert(&run.fuel, key, value)?;
    }
    Ok(dict)
}

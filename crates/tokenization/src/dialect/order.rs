//! Filters that compare or look into their items.

use std::borrow::Cow;

use minijinja::{
    Environment, Error, ErrorKind, State, Value, filters as builtin,
    value::{Kwargs, Rest, ValueOrKwargs},
};

use super::{
    arguments::{Arguments, refused},
    filters::iterate,
    objects::{Generator, Shape},
};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("sort", sort);
    environment.add_filter(
        "min",
        |state: &State<'_, '_>, value: &Value, options: Rest<ValueOrKwargs>| {
            extreme(state, value, options, builtin::min)
        },
    );
    environment.add_filter(
        "max",
        |state: &State<'_, '_>, value: &Value, options: Rest<ValueOrKwargs>| {
            extreme(state, value, options, builtin::max)
        },
    );
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("groupby", groupby);
    environment.add_filter(
        "selectattr",
        |state: &mut State<'_, '_>,
         value: Value,
         path: Cow<'_, str>,
         test: Option<Cow<'_, str>>,
         rest| {
            builtin::selectattr(state, value, path, test, rest).map(Generator::value)
        },
    );
    environment.add_filter(
        "rejectattr",
        |state: &mut State<'_, '_>,
         value: Value,
         path: Cow<'_, str>,
         test: Option<Cow<'_, str>>,
         rest| {
            builtin::rejectattr(state, value, path, test, rest).map(Generator::value)
        },
    );
}

/// Returns what a path of names and places leads to.
pub(super) fn attribute(item: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else {
        return item.get_item(path);
    };
    path.split('.')
        .try_fold(item.clone(), |item, part| match part.parse::<i64>() {
            Ok(place) => item.get_item(&Value::from(place)),
            Err(_) => item.get_attr(part),
        })
}

/// Refuses to compare what Python refuses to.
fn comparable(values: &[Value]) -> Result<(), Error> {
    let kind = |value: &Value| match Shape::of(value) {
        Shape::Bool | Shape::Integer | Shape::Float => Some(Shape::Integer),
        shape @ (Shape::Text | Shape::List | Shape::Tuple) => Some(shape),
        _ => None,
    };
    let mut pairs = values.iter().zip(values.iter().skip(1));
    match pairs.find(|(a, b)| kind(a).is_none() || kind(a) != kind(b)) {
        None => Ok(()),
        Some((a, b)) => Err(refused(format!(
            "values of type {} and {} cannot be compared",
            a.kind(),
            b.kind()
        ))),
    }
}

fn keys(items: &[Value], path: Option<&Value>) -> Result<Vec<Value>, Error> {
    let paths: Vec<Value> = match path.and_then(Value::as_str) {
        Some(paths) => paths.split(',').map(Value::from).collect(),
        None => path.cloned().into_iter().collect(),
    };
    let mut keys = Vec::new();
    for item in items {
        match paths.is_empty() {
            true => keys.push(item.clone()),
            false => {
                for path in &paths {
                    keys.push(attribute(item, path)?);
                }
            }
        }
    }
    Ok(keys)
}

fn sort(
    state: &State<'_, '_>,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 3)?;
    let reverse = given.is_true(0, "reverse")?;
    let case_sensitive = given.is_true(1, "case_sensitive")?;
    let path = given.some(2, "attribute")?;
    given.finish()?;
    let items = iterate(state, value)?;
    let several = path
        .as_ref()
        .and_then(Value::as_str)
        .is_some_and(|it| it.contains(','));
    if several {
        check_each(&items, path.as_ref())?;
    } else {
        comparable(&keys(&items, path.as_ref())?)?;
    }
    let mut options = vec![
        ("reverse", Value::from(reverse)),
        ("case_sensitive", Value::from(case_sensitive)),
    ];
    if let Some(path) = path {
        let path = path.as_str().map_or(path.to_string(), str::to_owned);
        options.push(("attribute", Value::from(path)));
    }
    builtin::sort(
        state,
        Value::from(items),
        options.into_iter().collect::<Kwargs>(),
    )
}

fn check_each(items: &[Value], paths: Option<&Value>) -> Result<(), Error> {
    let paths = paths.and_then(Value::as_str).unwrap_or_default();
    paths
        .split(',')
        .try_for_each(|path| comparable(&keys(items, Some(&Value::from(path)))?))
}

type Extreme = fn(&State<'_, '_>, Value, Kwargs) -> Result<Value, Error>;

fn extreme(
    state: &State<'_, '_>,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
    choose: Extreme,
) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 2)?;
    let case_sensitive = given.is_true(0, "case_sensitive")?;
    let path = given.some(1, "attribute")?;
    given.finish()?;
    let items = iterate(state, value)?;
    comparable(&keys(&items, path.as_ref())?)?;
    let mut options = vec![("case_sensitive", Value::from(case_sensitive))];
    options.extend(path.map(|it| ("attribute", it)));
    choose(state, Value::from(items), options.into_iter().collect())
}

fn dictsort(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 3)?;
    let case_sensitive = given.is_true(0, "case_sensitive")?;
    let by = given.text(1, "by")?.unwrap_or_else(|| "key".to_owned());
    let reverse = given.is_true(2, "reverse")?;
    given.finish()?;
    if Shape::of(value) != Shape::Dict {
        return Err(refused("dictsort expects a dict"));
    }
    let (keys, values): (Vec<_>, Vec<_>) = super::objects::pairs(value).into_iter().unzip();
    match by.as_str() {
        "key" => comparable(&keys)?,
        "value" => comparable(&values)?,
        _ => return Err(refused("dictsort sorts by `key` or `value`")),
    }
    let options = [
        ("case_sensitive", Value::from(case_sensitive)),
        ("by", Value::from(by)),
        ("reverse", Value::from(reverse)),
    ];
    builtin::dictsort(value, options.into_iter().collect())
}

fn groupby(
    state: &State<'_, '_>,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 3)?;
    let path = given.required(0, "attribute")?;
    let default = given.get(1, "default")?;
    let case_sensitive = given.is_true(2, "case_sensitive")?;
    given.finish()?;
    let items = iterate(state, value)?;
    let mut keys = keys(&items, Some(&path))?;
    for key in &mut keys {
        if key.is_undefined() {
            *key = default
                .clone()
                .ok_or_else(|| Error::from(ErrorKind::UndefinedError))?;
        }
    }
    comparable(&keys)?;
    let mut options = vec![("case_sensitive", Value::from(case_sensitive))];
    options.extend(default.map(|it| ("default", it)));
    let path = path
        .as_str()
        .ok_or_else(|| refused("groupby expects the name of an attribute"))?;
    builtin::groupby(
        Value::from(items),
        Some(path),
        options.into_iter().collect(),
    )
}

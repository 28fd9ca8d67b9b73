//! Jinja2's filters that minijinja has otherwise or not at all.

use std::borrow::Cow;

use minijinja::{
    Environment, Error, ErrorKind, State, Value, filters as builtin,
    value::{Kwargs, Rest, StringInput, ValueOrKwargs},
};

use super::{
    arguments::{Arguments, refused},
    formatting, json,
    methods::charge,
    numbers,
    objects::{Generator, Shape},
    order,
    printing::{self, escaped},
    strings::{self, is_space},
    tags,
};

/// Filters that minijinja has and Jinja2 has not, or whose results differ in more than their spelling.
const UNKNOWN: [&str; 8] = [
    "split",
    "lines",
    "chain",
    "zip",
    "bool",
    "pprint",
    "attr",
    "urlencode",
];

pub(super) fn install(environment: &mut Environment<'static>) {
    for name in UNKNOWN {
        environment.remove_filter(name);
    }
    environment.add_filter(tags::ITERATED, iterated);
    environment.add_filter("tojson", json::tojson);
    install_texts(environment);
    install_lists(environment);
    numbers::install(environment);
    order::install(environment);
}

fn install_texts(environment: &mut Environment<'static>) {
    environment.add_filter("string", string);
    environment.add_filter("join", join);
    environment.add_filter("indent", indent);
    environment.add_filter("title", title);
    environment.add_filter("capitalize", |value: &Value| {
        printing::text(value).map(|it| strings::capitalize(&it))
    });
    environment.add_filter("trim", trim);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_filter("forceescape", |value: &Value| {
        printing::text(value).map(|it| Value::from_safe_string(escaped(&it)))
    });
    environment.add_filter("format", formatting::percents);
    environment.add_filter("center", center);
    environment.add_filter("wordcount", wordcount);
}

fn install_lists(environment: &mut Environment<'static>) {
    environment.add_filter("list", list);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("first", first);
    environment.add_filter("last", last);
    environment.add_filter("items", items);
    environment.add_filter("reverse", reverse);
    environment.add_filter("map", |state: &mut State<'_, '_>, value: Value, rest| {
        builtin::map(state, value, rest).map(Generator::value)
    });
    environment.add_filter(
        "select",
        |state: &mut State<'_, '_>, value: Value, test: Option<Cow<'_, str>>, rest| {
            builtin::select(state, value, test, rest).map(Generator::value)
        },
    );
    environment.add_filter(
        "reject",
        |state: &mut State<'_, '_>, value: Value, test: Option<Cow<'_, str>>, rest| {
            builtin::reject(state, value, test, rest).map(Generator::value)
        },
    );
    environment.add_filter(
        "batch",
        |state: &State<'_, '_>, value: Value, count: usize, fill: Option<Value>| {
            generator(builtin::batch(state, value, count, fill)?)
        },
    );
    environment.add_filter(
        "slice",
        |state: &State<'_, '_>, value: Value, count: usize, fill: Option<Value>| {
            generator(builtin::slice(state, value, count, fill)?)
        },
    );
    environment.add_filter(
        "unique",
        |state: &State<'_, '_>, value: Value, options: Kwargs| {
            generator(builtin::unique(state, value, options)?)
        },
    );
}

fn generator(value: Value) -> Result<Value, Error> {
    Ok(Generator::value(value.try_iter()?.collect()))
}

/// Returns what a loop goes through.
fn iterated(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    match Shape::of(value) {
        Shape::Undefined => Ok(Value::from(Vec::<Value>::new())),
        Shape::List | Shape::Tuple | Shape::Dict => Ok(value.clone()),
        _ => iterate(state, value).map(Value::from),
    }
}

/// Goes through a value as Python does.
pub(super) fn iterate(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    if !Shape::of(value).is_iterable() {
        let kind = value.kind();
        return Err(refused(format!(
            "a value of type {kind} has nothing to go through"
        )));
    }
    let length = value.len().unwrap_or(0);
    state.consume_fuel(u64::try_from(length).unwrap_or(u64::MAX))?;
    Ok(value.try_iter()?.collect())
}

fn string(value: &Value) -> Result<Value, Error> {
    match value.is_safe() {
        true => Ok(value.clone()),
        false => printing::text(value).map(Value::from),
    }
}

fn escape(value: &Value) -> Result<Value, Error> {
    match value.is_safe() {
        true => Ok(value.clone()),
        false => printing::text(value).map(|it| Value::from_safe_string(escaped(&it))),
    }
}

fn join(
    state: &State<'_, '_>,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 2)?;
    let between = given
        .get(0, "d")?
        .map(|it| printing::text(&it))
        .transpose()?
        .unwrap_or_default();
    let attribute = given.some(1, "attribute")?;
    given.finish()?;
    let mut out = String::new();
    for (index, item) in iterate(state, value)?.into_iter().enumerate() {
        if index > 0 {
            charge(state, between.len())?;
            out.push_str(&between);
        }
        let item = match &attribute {
            Some(path) => order::attribute(&item, path)?,
            None => item,
        };
        out.push_str(&printing::text(&item)?);
    }
    Ok(out)
}

fn trim(value: StringInput<'_>, characters: Option<Value>) -> Result<Value, Error> {
    let characters = characters.filter(|it| !it.is_none());
    let text = value.as_str();
    let trimmed = match characters.as_ref().map(Value::as_str) {
        None => text.trim_matches(is_space),
        Some(Some(characters)) => text.trim_matches(|c| characters.contains(c)),
        Some(None) => return Err(refused("trim expects a text of the characters to trim")),
    };
    Ok(value.preserve_safety(trimmed.to_owned()))
}

fn indent(
    state: &State<'_, '_>,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 3)?;
    let width = given.get(0, "width")?.unwrap_or_else(|| Value::from(4));
    let indent = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(i64::try_from(width)?.clamp(0, 1024)).unwrap_or(0)),
    };
    let (first, blank) = (given.is_true(1, "first")?, given.is_true(2, "blank")?);
    given.finish()?;
    let text = super::arguments::expect_text(value)?;
    charge(
        state,
        text.matches('\n').count().saturating_mul(indent.len()),
    )?;
    let lines = strings::lines(text);
    let ends = text.is_empty() || text.ends_with(strings::is_line_break);
    let lines = lines
        .iter()
        .map(|it| it.trim_end_matches(strings::is_line_break))
        .chain(ends.then_some(""));
    let mut out = String::new();
    for (index, line) in lines.enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let indents = match index {
            0 => first,
            _ => blank || !line.is_empty(),
        };
        out.push_str(if indents { &indent } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// Words begin after white space and hyphens and opening brackets, unlike those of the method.
fn title(value: &Value) -> Result<String, Error> {
    let text = printing::text(value)?;
    let is_border = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let words = text.split_inclusive(is_border);
    Ok(words
        .map(|word| {
            let mut rest = word.chars();
            let first = rest.next().into_iter().flat_map(char::to_uppercase);
            first
                .chain(rest.as_str().to_lowercase().chars())
                .collect::<String>()
        })
        .collect())
}

fn default(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 2)?;
    let other = given
        .get(0, "default_value")?
        .unwrap_or_else(|| Value::from(""));
    let also_false = given.is_true(1, "boolean")?;
    given.finish()?;
    let is_missing = value.is_undefined() || also_false && !value.is_true();
    Ok(if is_missing { other } else { value.clone() })
}

fn center(state: &mut State<'_, '_>, value: &Value, width: Option<i64>) -> Result<Value, Error> {
    let text = Value::from(printing::text(value)?);
    super::text_methods::call(state, &text, "center", &[Value::from(width.unwrap_or(80))])
}

fn wordcount(value: &Value) -> Result<usize, Error> {
    let text = printing::text(value)?;
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    Ok(words.filter(|it| !it.is_empty()).count())
}

fn list(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    iterate(state, value)
}

fn length(value: &Value) -> Result<usize, Error> {
    match Shape::of(value) {
        Shape::Generator | Shape::Namespace | Shape::Other => Err(refused(
            "what a filter gives has no length; is `| list` missing",
        )),
        _ => builtin::length(value),
    }
}

fn first(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    Ok(iterate(state, value)?
        .into_iter()
        .next()
        .unwrap_or_default())
}

fn last(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    match Shape::of(value) {
        Shape::Generator => Err(refused(
            "what a filter gives has no last item; is `| list` missing",
        )),
        _ => Ok(iterate(state, value)?.pop().unwrap_or_default()),
    }
}

fn items(value: &Value) -> Result<Value, Error> {
    let pairs = match Shape::of(value) {
        Shape::Undefined => Vec::new(),
        Shape::Dict => super::objects::pairs(value),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "items expects a dict",
            ));
        }
    };
    Ok(Generator::value(
        pairs.into_iter().map(super::objects::pair).collect(),
    ))
}

fn reverse(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        None => Ok(Generator::value(
            iterate(state, value)?.into_iter().rev().collect(),
        )),
    }
}

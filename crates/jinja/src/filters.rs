//! Jinja2's filters.

mod attributes;
mod choosing;
mod entities;
mod lines;
mod links;
mod lists;
mod markup;
mod number_texts;
mod numbers;
mod order;
mod pretty;
mod texts;
mod words;
mod wrapping;

pub(crate) use self::{entities::unescaped, markup::striptags};

use crate::{
    calls::{Arguments, Filter},
    error::Result,
    iteration::{self, Iter},
    printing,
    run::Run,
    value::Value,
};

/// Returns the filter of that name.
pub(crate) fn find(name: &str) -> Option<Filter> {
    let subjects = [
        texts::find,
        markup::find,
        numbers::find,
        lists::find,
        choosing::find,
        order::find,
    ];
    subjects.iter().find_map(|it| it(name))
}

/// Returns a text as it is, and what else there is as a text.
fn soft_text(run: &Run<'_>, value: &Value) -> Result<Value> {
    match value {
        Value::Text(_) | Value::Safe(_) => Ok(value.clone()),
        _ => printing::text(&run.fuel, value).map(Value::from),
    }
}

/// Returns a text that needs no escaping, escaping it if that is needed.
fn escape(run: &Run<'_>, value: &Value) -> Result<Value> {
    match value {
        Value::Safe(_) => Ok(value.clone()),
        _ => printing::escape(&run.fuel, value).map(Value::safe),
    }
}

/// Returns the size that an argument has to be, and none for one below zero.
fn size(value: &Value) -> Result<usize> {
    Ok(usize::try_from(value.expect_index()?.max(0)).unwrap_or(usize::MAX))
}

/// Returns whether an argument is a number that is not zero, and refuses what is no whole number.
fn switch<const N: usize>(arguments: &Arguments<'_, N>, place: usize) -> Result<bool> {
    match arguments.get(place) {
        Some(value) => Ok(value.expect_index()? != 0),
        None => Ok(false),
    }
}

/// What is gone through only once that is begun.
enum Source {
    Whole(Value),
    Begun(Iter),
}

impl Source {
    fn new(value: &Value) -> Self {
        Self::Whole(value.clone())
    }

    fn next(&mut self, run: &Run<'_>) -> Result<Option<Value>> {
        if let Self::Whole(value) = self {
            *self = Self::Begun(iteration::iter(value)?);
        }
        match self {
            Self::Begun(left) => left.next(run),
            Self::Whole(_) => Ok(None),
        }
    }
}

//! How JSON is to be written.

use crate::{
    calls::Given,
    error::{Result, TemplateError, refused, too_large, unknown},
    iteration, printing,
    run::Run,
    value::Value,
};

pub(super) struct Style {
    pub(super) characters: Characters,
    pub(super) indent: Option<String>,
    pub(super) between_items: String,
    pub(super) after_key: String,
    pub(super) order: Order,
}

#[derive(PartialEq)]
pub(super) enum Characters {
    Ascii,
    All,
}

#[derive(PartialEq)]
pub(super) enum Order {
    AsGiven,
    Sorted,
}

impl Style {
    pub(super) fn read(run: &Run<'_>, given: &Given) -> Result<Self> {
        let given = given.read(["ensure_ascii", "indent", "separators", "sort_keys"])?;
        let indent = given.some(1).map(|it| indentation(run, it)).transpose()?;
        let separators = given.some(2).map(|it| separators(run, it)).transpose()?;
        let (between_items, after_key) = match separators {
            Some([between, after]) => (separator(&between, &indent)?, separator(&after, &indent)?),
            None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
            None => (", ".to_owned(), ": ".to_owned()),
        };
        Ok(Self {
            characters: match given.is_true(0) {
                true => Characters::Ascii,
                false => Characters::All,
            },
            indent,
            between_items,
            after_key,
            order: match given.is_true(3) {
                true => Order::Sorted,
                false => Order::AsGiven,
            },
        })
    }
}

fn indentation(run: &Run<'_>, indent: &Value) -> Result<String> {
    match indent {
        Value::Text(text) => Ok(text.to_string()),
        // Python then escapes some of what it writes.
        Value::Safe(_) => unknown("`tojson` does not know an `indent` that is marked as safe"),
        Value::Bool(_) | Value::Int(_) => {
            let width = usize::try_from(indent.expect_i64()?.max(0)).unwrap_or(usize::MAX);
            run.fuel.take_bytes(width)?;
            match width <= printing::MOST_BYTES {
                true => Ok(" ".repeat(width)),
                false => too_large("the `indent` of `tojson` is too large"),
            }
        }
        other => refused(format!(
            "`indent` of `tojson`: expected a whole number or a text, found a value of type {}",
            other.kind()
        )),
    }
}

fn separators(run: &Run<'_>, value: &Value) -> Result<[Value; 2]> {
    let both = iteration::all(run, value)?;
    <[Value; 2]>::try_from(both)
        .map_err(|_| TemplateError::new("expected two texts as `separators` of `tojson`"))
}

fn separator(value: &Value, indent: &Option<String>) -> Result<String> {
    match value {
        Value::Safe(_) if indent.is_some() => unknown(
            "`tojson` does not know both an `indent` and `separators` that are marked as safe",
        ),
        _ => value.expect_text().map(str::to_owned),
    }
}

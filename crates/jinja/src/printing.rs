//! How Python prints values.

mod numbers;
mod printable;
mod quoting;

use std::{borrow::Cow, rc::Rc};

pub(crate) use self::{
    numbers::{MOST_DIGITS, float, whole},
    printable::is_printable,
    quoting::quoted,
};
use crate::{
    calls::Function,
    dict::Dict,
    error::{Result, too_large, unknown},
    fuel::Fuel,
    objects::Object,
    value::{Items, Namespace, Range, Table, Value, View},
};

/// More than this is no prompt, but a list that has itself many times over.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// Returns `str(value)`.
pub(crate) fn text<'a>(fuel: &Fuel, value: &'a Value) -> Result<Cow<'a, str>> {
    match value.as_str() {
        Some(text) => Ok(text.into()),
        None if value.is_undefined() => Ok("".into()),
        None => repr(fuel, value).map(Into::into),
    }
}

/// Returns `repr(value)`.
pub(crate) fn repr(fuel: &Fuel, value: &Value) -> Result<String> {
    let mut printer = Printer {
        fuel,
        out: String::new(),
        around: Vec::new(),
    };
    printer.value(value)?;
    Ok(printer.out)
}

/// Returns `str(value)`, escaped unless that is not needed.
pub(crate) fn escape<'a>(fuel: &Fuel, value: &'a Value) -> Result<Cow<'a, str>> {
    match value {
        Value::Safe(text) => Ok((**text).into()),
        _ => escaped(fuel, &text(fuel, value)?).map(Into::into),
    }
}

/// Escapes what means something in HTML, as Python's `markupsafe` does.
pub(crate) fn escaped(fuel: &Fuel, text: &str) -> Result<String> {
    let length = |byte| replacement(byte).map_or(1, str::len);
    let size_bytes = text.bytes().map(length).sum();
    fuel.take_bytes(size_bytes)?;
    let mut out = String::with_capacity(size_bytes);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|it| replacement(it).is_some()) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.extend(after.bytes().next().and_then(replacement));
        rest = after.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

fn replacement(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        b'"' => "&#34;",
        b'\'' => "&#39;",
        _ => return None,
    })
}

/// What is printed, and the values around what is printed next.
struct Printer<'f> {
    fuel: &'f Fuel,
    out: String,
    around: Vec<Around>,
}

/// A value that others are printed in, by where it lies.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Namespace(*const Namespace),
    Items(*const Items),
    Table(*const Table),
}

impl Printer<'_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        if self.out.len() > MOST_BYTES {
            return too_large("a value is too large to print");
        }
        self.fuel.take(1)?;
        match value {
            Value::Undefined => self.out.push_str("Undefined"),
            Value::None => self.out.push_str("None"),
            Value::Bool(true) => self.out.push_str("True"),
            Value::Bool(false) => self.out.push_str("False"),
            Value::Int(number) => self.out.push_str(&number.to_string()),
            Value::Big(number) => self.out.push_str(&whole(number)?),
            Value::Float(number) => self.out.push_str(&float(*number)),
            Value::Text(text) => self.text(text)?,
            Value::Safe(text) => {
                self.out.push_str("Markup(");
                self.text(text)?;
                self.out.push(')');
            }
            Value::List(items) => self.items(items, ["[", "]"])?,
            Value::Tuple(items) if items.len() == 1 => self.items(items, ["(", ",)"])?,
            Value::Tuple(items) => self.items(items, ["(", ")"])?,
            Value::Dict(table) => {
                self.within(Around::Table(Rc::as_ptr(table)), |it| it.dict(table))?
            }
            Value::View(view) => self.view(view)?,
            Value::Range(it) => self.out.push_str(&range(it)),
            Value::Namespace(it) => self.namespace(it)?,
            _ => self.out.push_str(&named(value)?),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        let quoted = quoted(text);
        self.fuel.take_bytes(quoted.len())?;
        self.out.push_str(&quoted);
        Ok(())
    }

    /// Prints what stands within a value.
    fn within(
        &mut self,
        around: Around,
        print: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let in_namespace = self
            .around
            .iter()
            .any(|it| matches!(it, Around::Namespace(_)));
        // Python prints dots there; but what is the same value there need not be the same here.
        if in_namespace && self.around.contains(&around) {
            return unknown("a value that has itself in it cannot be printed");
        }
        self.around.push(around);
        self.fuel.nested(|| print(self))?;
        self.around.pop();
        Ok(())
    }

    fn items(&mut self, items: &Rc<Items>, [begin, end]: [&str; 2]) -> Result<()> {
        self.out.push_str(begin);
        let around = Around::Items(Rc::as_ptr(items));
        self.within(around, |it| it.separated(items.iter().cloned()))?;
        self.out.push_str(end);
        Ok(())
    }

    fn separated(&mut self, values: impl Iterator<Item = Value>) -> Result<()> {
        for (index, value) in values.enumerate() {
            self.separate(index);
            self.value(&value)?;
        }
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        self.out.push_str(if index > 0 { ", " } else { "" });
    }

    fn dict(&mut self, dict: &Dict) -> Result<()> {
        self.out.push('{');
        for (index, (key, value)) in dict.iter().enumerate() {
            self.separate(index);
            self.value(key)?;
            self.out.push_str(": ");
            self.value(value)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn view(&mut self, view: &View) -> Result<()> {
        self.out.extend([view.part.name(), "(["]);
        let values = (0..view.table.len()).filter_map(|place| view.at(place));
        let around = Around::Table(Rc::as_ptr(&view.table));
        self.within(around, |it| it.separated(values))?;
        self.out.push_str("])");
        Ok(())
    }

    fn namespace(&mut self, namespace: &Rc<Namespace>) -> Result<()> {
        let around = Around::Namespace(Rc::as_ptr(namespace));
        self.out.push_str("<Namespace ");
        if self.around.contains(&around) {
            self.out.push_str("{...}");
        } else {
            let values = namespace.values.borrow();
            self.within(around, |it| it.dict(&values))?;
        }
        self.out.push('>');
        Ok(())
    }
}

fn range(range: &Range) -> String {
    let Range { start, stop, step } = range;
    match step {
        1 => format!("range({start}, {stop})"),
        _ => format!("range({start}, {stop}, {step})"),
    }
}

/// Prints what has a name and no address.
fn named(value: &Value) -> Result<String> {
    let shown = match value {
        Value::Loop(it) => it.shown(),
        Value::Macro(it) if it.name().is_empty() => Some("<Macro anonymous>".to_owned()),
        Value::Macro(it) => Some(format!("<Macro {}>", quoted(it.name()))),
        Value::Function(it) => class(it).map(|class| format!("<class '{class}'>")),
        Value::Object(it) if matches!(**it, Object::Blocks) => {
            Some("<TemplateReference None>".to_owned())
        }
        _ => None,
    };
    let missing = match value {
        Value::Generator(_) | Value::Loop(_) => "| list",
        _ => "()",
    };
    shown.map_or_else(
        || {
            unknown(format!(
                "a value of type {} has no text: expected one that has; is `{missing}` missing",
                value.kind()
            ))
        },
        Ok,
    )
}

/// Returns which of Python's classes a function is.
fn class(function: &Function) -> Option<&'static str> {
    Some(match function.name {
        "namespace" => {
            "transformers.utils.chat_template_utils._cached_compile_jinja_template.<locals>.TemplateNamespace"
        }
        "cycler" => "jinja2.utils.Cycler",
        "joiner" => "jinja2.utils.Joiner",
        _ => return None,
    })
}

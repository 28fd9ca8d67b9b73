//! The filter that prints a value in lines that are not too long.

use super::order::{Keyed, merge_sorted};
use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, TemplateError, refused},
    fuel::Fuel,
    operators, printing,
    run::Run,
    strings,
    value::Value,
};

/// How long lines may be.
const WIDTH: usize = 80;

pub(super) fn pprint(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let mut printer = Printer {
        run,
        out: String::new(),
    };
    let place = Place {
        indent: 0,
        allowance: 0,
        level: 0,
    };
    printer.value(&ordered(run, value)?, place)?;
    Ok(Value::from(printer.out))
}

/// Puts the keys of all dicts in order.
fn ordered(run: &Run<'_>, value: &Value) -> Result<Value> {
    match value {
        Value::List(items) => ordered_items(run, items).map(Value::list),
        Value::Tuple(items) if !has_names(value) => ordered_items(run, items).map(Value::tuple),
        Value::Dict(table) => run.fuel.nested(|| {
            run.fuel.take_items(table.len() + 1)?;
            let keyed = |(key, value): (&Value, &Value)| {
                let (key, item) = (key.clone(), ordered(run, value)?);
                Ok(Keyed { key, item })
            };
            let entries = table.iter().map(keyed).collect::<Result<_>>()?;
            let mut dict = Dict::default();
            for Keyed { key, item } in merge_sorted(run, entries, comes_first)? {
                dict.insert(&run.fuel, key, item)?;
            }
            Ok(Value::dict(dict))
        }),
        _ => Ok(value.clone()),
    }
}

fn ordered_items(run: &Run<'_>, items: &[Value]) -> Result<Vec<Value>> {
    run.fuel.nested(|| {
        run.fuel.take_items(items.len() + 1)?;
        items.iter().map(|it| ordered(run, it)).collect()
    })
}

/// Tuples with names are printed as they are.
fn has_names(value: &Value) -> bool {
    matches!(value, Value::Tuple(items) if items.named("grouper").is_some())
}

/// Orders keys, and those of different types by how these are called.
fn comes_first(fuel: &Fuel, left: &Value, right: &Value) -> Result<bool> {
    super::order::refuse_nan(fuel, left)?;
    super::order::refuse_nan(fuel, right)?;
    let is_known =
        |it: &Value| it.is_number() || matches!(it, Value::Text(_) | Value::Tuple(_) | Value::None);
    let are_known = is_known(left) && is_known(right) && left.kind() != right.kind();
    match operators::less(fuel, left, right) {
        Err(TemplateError::Faulty(_)) if are_known => Ok(left.kind() < right.kind()),
        result => result,
    }
}

/// Where a value is printed.
#[derive(Clone, Copy)]
struct Place {
    indent: usize,
    /// How much has to fit behind it.
    allowance: usize,
    level: usize,
}

struct Printer<'r, 't> {
    run: &'r Run<'t>,
    out: String,
}

impl Printer<'_, '_> {
    fn value(&mut self, value: &Value, place: Place) -> Result<()> {
        let text = self.repr(value)?;
        if text.chars().count() + place.indent + place.allowance <= WIDTH {
            self.out.push_str(&text);
            return Ok(());
        }
        let level = place.level + 1;
        let within = Place { level, ..place };
        let fuel = &self.run.fuel;
        fuel.nested(|| match value {
            Value::List(items) => self.items(items, within, ["[", "]"]),
            Value::Tuple(items) if !has_names(value) => match items.len() {
                1 => self.items(items, within, ["(", ",)"]),
                _ => self.items(items, within, ["(", ")"]),
            },
            Value::Dict(table) => self.table(table, within),
            Value::Text(it) if !it.is_empty() => self.text(it, within),
            _ => {
                self.out.push_str(&text);
                Ok(())
            }
        })
    }

    fn repr(&self, value: &Value) -> Result<String> {
        printing::repr(&self.run.fuel, value)
    }

    fn new_line(&mut self, indent: usize) -> Result<()> {
        self.run.fuel.take_bytes(indent)?;
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        Ok(())
    }

    fn items(&mut self, items: &[Value], place: Place, [begin, end]: [&str; 2]) -> Result<()> {
        self.out.push_str(begin);
        let indent = place.indent + 1;
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
                self.new_line(indent)?;
            }
            let allowance = match at + 1 == items.len() {
                true => place.allowance + end.len(),
                false => 1,
            };
            self.value(
                item,
                Place {
                    indent,
                    allowance,
                    ..place
                },
            )?;
        }
        self.out.push_str(end);
        Ok(())
    }

    fn table(&mut self, table: &Dict, place: Place) -> Result<()> {
        self.out.push('{');
        let indent = place.indent + 1;
        for (at, (key, value)) in table.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
                self.new_line(indent)?;
            }
            let key = self.repr(key)?;
            let indent = indent + key.chars().count() + 2;
            self.out.extend([&*key, ": "]);
            let allowance = match at + 1 == table.len() {
                true => place.allowance + 1,
                false => 1,
            };
            self.value(
                value,
                Place {
                    indent,
                    allowance,
                    ..place
                },
            )?;
        }
        self.out.push('}');
        Ok(())
    }

    /// Prints a text in several parts, within brackets if nothing else is around it.
    fn text(&mut self, text: &str, mut place: Place) -> Result<()> {
        let is_alone = place.level == 1;
        if is_alone {
            place.indent += 1;
            place.allowance += 1;
        }
        let parts = self.parts(text, place)?;
        let brackets = is_alone && parts.len() > 1;
        self.out.push_str(if brackets { "(" } else { "" });
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.new_line(place.indent)?;
            }
            self.out.push_str(part);
        }
        self.out.push_str(if brackets { ")" } else { "" });
        Ok(())
    }

    /// Splits a text into lines, and lines that are too long between words.
    fn parts(&self, text: &str, place: Place) -> Result<Vec<String>> {
        self.run.fuel.take_items(strings::lines(text).count())?;
        let lines: Vec<&str> = strings::lines(text).collect();
        let mut parts = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let allowance = match at + 1 == lines.len() {
                true => place.allowance,
                false => 0,
            };
            let whole = self.repr(&Value::from(*line))?;
            match fits(&whole, place.indent + allowance) {
                true => parts.push(whole),
                false => self.words(line, place.indent, allowance, &mut parts)?,
            }
        }
        match parts.is_empty() {
            true => refused("a text has no lines"),
            false => Ok(parts),
        }
    }

    fn words(
        &self,
        line: &str,
        indent: usize,
        allowance: usize,
        parts: &mut Vec<String>,
    ) -> Result<()> {
        let (mut rest, mut current, mut shown) = (line, String::new(), String::new());
        while !rest.is_empty() {
            let (word, after) = rest.split_at(end_of_word(rest));
            rest = after;
            let allowance = if rest.is_empty() { allowance } else { 0 };
            current.push_str(word);
            let whole = self.repr(&Value::from(&*current))?;
            if fits(&whole, indent + allowance) {
                shown = whole;
            } else {
                parts.extend(Some(shown).filter(|it| !it.is_empty()));
                shown = self.repr(&Value::from(word))?;
                word.clone_into(&mut current);
            }
        }
        parts.extend(Some(shown).filter(|it| !it.is_empty()));
        Ok(())
    }
}

fn fits(text: &str, around: usize) -> bool {
    text.chars().count() + around <= WIDTH
}

/// Returns where the white space after a word ends.
fn end_of_word(text: &str) -> usize {
    let word = text.find(strings::is_space).unwrap_or(text.len());
    let after = text.split_at(word).1;
    word + (after.len() - after.trim_start_matches(strings::is_space).len())
}

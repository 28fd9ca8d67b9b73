//! Filters that take values apart, and make lists of them.

use super::{Source, attributes::Path, choosing::generator, escape, soft_text};
use crate::{
    access,
    calls::{Filter, Given},
    dict::Dict,
    error::{Result, refused, unknown},
    iteration,
    objects::Object,
    operators,
    run::Run,
    value::{Part, Value, View},
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "attr" => attr,
        "batch" => batch,
        "count" | "length" => length,
        "d" | "default" => default,
        "first" => first,
        "items" => items,
        "join" => join,
        "last" => last,
        "list" => list,
        "random" => |_, _, _| unknown("what `random` gives is not known beforehand"),
        "reverse" => reverse,
        "slice" => slice,
        _ => return None,
    })
}

fn attr(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["name"])?;
    let name = arguments.required_text(0)?;
    match value {
        Value::Object(it) if matches!(**it, Object::Blocks) => {
            unknown("attr does not know what `self` has")
        }
        // Its own items are no attributes, which are those that an empty one has too.
        Value::Dict(_) => {
            let none = Value::dict(Dict::default());
            match access::attribute(run, &none, name)? {
                Value::Undefined => Ok(Value::Undefined),
                _ => access::attribute(run, value, name),
            }
        }
        _ => access::attribute(run, value, name),
    }
}

fn length(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    run.fuel.take_bytes(value.size_bytes())?;
    match (value.len(), value) {
        (Some(length), _) => Ok(Value::from(length)),
        (None, Value::Generator(_)) => refused("a generator has no length; is `| list` missing"),
        _ => refused(format!("a value of type {} has no length", value.kind())),
    }
}

fn default(_: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["default_value", "boolean"])?;
    let is_missing = value.is_undefined() || arguments.is_true(1) && !value.is_true();
    Ok(match is_missing {
        true => arguments.get(0).cloned().unwrap_or_else(|| Value::from("")),
        false => value.clone(),
    })
}

fn list(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    iteration::all(run, value).map(Value::list)
}

fn first(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let first = iteration::iter(value)?.next(run)?;
    Ok(first.unwrap_or(Value::Undefined))
}

fn last(_: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    if let Some(text) = value.as_str() {
        let last = text.char_indices().next_back();
        let last = last.map(|(at, _)| Value::text_like(text.split_at(at).1, value));
        return Ok(last.unwrap_or(Value::Undefined));
    }
    match reversed(value) {
        Some(mut items) => Ok(items(0).unwrap_or(Value::Undefined)),
        None => refused(format!(
            "a value of type {} has no last item; is `| list` missing",
            value.kind()
        )),
    }
}

type At = Box<dyn FnMut(usize) -> Option<Value>>;

/// Returns what is at a place counted from the end, where Python can go backward.
fn reversed(value: &Value) -> Option<At> {
    let length = value.len()?;
    let mut at: At = match value.clone() {
        Value::Undefined => Box::new(|_| None),
        Value::List(items) | Value::Tuple(items) => Box::new(move |at| items.get(at).cloned()),
        Value::Dict(table) => {
            let view = View {
                part: Part::Keys,
                table,
            };
            Box::new(move |at| view.at(at))
        }
        Value::View(view) => Box::new(move |at| view.at(at)),
        Value::Range(range) => Box::new(move |at| range.at(at).map(Value::Int)),
        _ => return None,
    };
    Some(Box::new(move |back| {
        at(length.checked_sub(back)?.checked_sub(1)?)
    }))
}

fn reverse(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    if let Some(text) = value.as_str() {
        run.fuel.take_bytes(text.len())?;
        let backward: String = text.chars().rev().collect();
        return Ok(Value::text_like(backward, value));
    }
    let Some(mut items) = reversed(value) else {
        let mut items = iteration::all(run, value)?;
        items.reverse();
        return Ok(Value::list(items));
    };
    let mut at = 0;
    Ok(generator(value, given, move |_| {
        let item = items(at);
        at += 1;
        Ok(item)
    }))
}

fn items(_: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let (of, mut at) = (value.clone(), 0);
    Ok(generator(value, given, move |_| match &of {
        Value::Undefined => Ok(None),
        Value::Dict(table) => {
            let pair = table.entry_at(at);
            at += 1;
            Ok(pair.map(|(key, value)| Value::pair(key.clone(), value.clone())))
        }
        _ => refused(format!(
            "items expects a dict, found a value of type {}",
            of.kind()
        )),
    }))
}

fn batch(_: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["linecount", "fill_with"])?;
    let (count, fill) = (arguments.required(0)?.clone(), arguments.some(1).cloned());
    let (mut source, mut kept) = (Source::new(value), Vec::new());
    Ok(generator(value, given, move |run| {
        while let Some(item) = source.next(run)? {
            let is_full = operators::equal_single(&Value::from(kept.len()), &count);
            let full = is_full.then(|| std::mem::take(&mut kept));
            kept.push(item);
            if full.is_some() {
                return Ok(full.map(Value::list));
            }
        }
        let mut rest = std::mem::take(&mut kept);
        if rest.is_empty() {
            return Ok(None);
        }
        if let Some(fill) = &fill {
            let missing = super::size(&count)?.saturating_sub(rest.len());
            run.fuel.take_items(missing)?;
            rest.extend(std::iter::repeat_n(fill, missing).cloned());
        }
        Ok(Some(Value::list(rest)))
    }))
}

fn slice(_: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["slices", "fill_with"])?;
    let (count, fill) = (arguments.required(0)?.clone(), arguments.some(1).cloned());
    let (of, mut all, mut number) = (value.clone(), None, 0);
    Ok(generator(value, given, move |run| {
        let items = match &all {
            Some(items) => items,
            None => all.insert(iteration::all(run, &of)?),
        };
        let count = count.expect_index()?;
        if count == 0 {
            return refused("slice cannot make 0 slices");
        }
        let count = usize::try_from(count).unwrap_or(0);
        if number >= count {
            return Ok(None);
        }
        let (each, extra) = (items.len() / count, items.len() % count);
        let begin = number * each + number.min(extra);
        let length = each + usize::from(number < extra);
        run.fuel.take_items(length)?;
        let mut slice: Vec<Value> = items.iter().skip(begin).take(length).cloned().collect();
        slice.extend(fill.clone().filter(|_| number >= extra));
        number += 1;
        Ok(Some(Value::list(slice)))
    }))
}

fn join(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["d", "attribute"])?;
    let between = match arguments.get(0) {
        Some(between) => soft_text(run, between)?,
        None => Value::from(""),
    };
    let path = Path::new(run, arguments.get(1))?;
    let (mut parts, mut left) = (Vec::new(), iteration::iter(value)?);
    while let Some(item) = left.next(run)? {
        let part = soft_text(run, &path.of(run, &item, None)?)?;
        run.fuel.take_bytes(part.as_str().map_or(0, str::len))?;
        parts.push(part);
    }
    let is_safe = between.is_safe() || parts.iter().any(Value::is_safe);
    if !(run.escapes() && is_safe) {
        return joined(run, &parts, between.expect_text()?).map(Value::from);
    }
    let parts = parts.iter().map(|it| escape(run, it));
    let parts: Vec<Value> = parts.collect::<Result<_>>()?;
    joined(run, &parts, escape(run, &between)?.expect_text()?).map(Value::safe)
}

fn joined(run: &Run<'_>, parts: &[Value], between: &str) -> Result<String> {
    run.fuel
        .take_bytes(between.len().saturating_mul(parts.len()))?;
    let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
    Ok(parts.join(between))
}

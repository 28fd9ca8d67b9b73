//! Jinja2's functions that minijinja has otherwise or not at all.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, Rest, ValueOrKwargs, from_args},
};

use super::{
    arguments::{Arguments, refused},
    filters::iterate,
    methods::hashable,
    objects::{Range, Shape, pairs},
};

/// More numbers than this are refused by the sandbox of `transformers` too.
const MOST_NUMBERS: u64 = 100_000;

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.remove_global("debug");
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("range", range);
    environment.add_function(
        "dict",
        |state: &State<'_, '_>, given: Rest<ValueOrKwargs>| dict(state, &given.into_values()),
    );
    environment.add_function("namespace", namespace);
    environment.add_function("cycler", cycler);
    environment.add_function("joiner", joiner);
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(refused(super::printing::text(message)?))
}

fn range(bounds: Rest<Value>) -> Result<Value, Error> {
    let bounds = bounds.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    let (start, stop, step) = match bounds[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [_, _, 0] => return Err(refused("a range cannot have steps of 0")),
        [start, stop, step] => (start, stop, step),
        _ => return Err(Error::from(ErrorKind::TooManyArguments)),
    };
    let range = Range { start, stop, step };
    match range.count() {
        0..=MOST_NUMBERS => Ok(Value::from_object(range)),
        count => Err(refused(format!(
            "a range of {count} numbers: expected at most {MOST_NUMBERS}"
        ))),
    }
}

fn whole(value: &Value) -> Result<i64, Error> {
    let is_whole = value.is_integer() || value.kind() == minijinja::value::ValueKind::Bool;
    match is_whole {
        true => i64::try_from(value.clone()),
        false => Err(refused(format!(
            "expected a whole number, found a value of type {}",
            value.kind()
        ))),
    }
}

/// Makes a dict of another or of pairs, and of what has a name.
fn dict(state: &State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let (first, named): (Option<Value>, Kwargs) = from_args(given)?;
    let mut all = match first {
        Some(dict) if Shape::of(&dict) == Shape::Dict => pairs(&dict),
        Some(values) => iterate(state, &values)?
            .iter()
            .map(|it| as_pair(state, it))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    for name in named.args() {
        all.push((Value::from(name), named.get(name)?));
    }
    Ok(Value::from_pairs(all))
}

fn as_pair(state: &State<'_, '_>, value: &Value) -> Result<(Value, Value), Error> {
    match iterate(state, value)?.as_slice() {
        [key, value] => Ok((hashable(key.clone())?, value.clone())),
        other => Err(refused(format!(
            "expected a key and a value, found {} values",
            other.len()
        ))),
    }
}

/// Makes a namespace, in which `transformers` keeps no names that begin with an underscore.
fn namespace(state: &State<'_, '_>, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = dict(state, &given.into_values())?;
    let is_private = |(key, _): &(Value, Value)| key.as_str().is_some_and(|it| it.starts_with('_'));
    match pairs(&values).iter().find(|it| is_private(it)) {
        Some((key, _)) => Err(refused(format!(
            "a namespace has no names that begin with an underscore, found `{key}`"
        ))),
        None => minijinja::functions::namespace(Some(ValueOrKwargs::from(values))),
    }
}

/// Gives one value after the other, and begins anew after the last.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: Mutex<usize>,
}

fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    match items.is_empty() {
        true => Err(refused("a cycler needs something to go through")),
        false => Ok(Value::from_object(Cycler {
            items: items.to_vec(),
            at: Mutex::new(0),
        })),
    }
}

impl Cycler {
    fn current(&self, at: usize) -> Value {
        self.items.get(at).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        (key.as_str() == Some("current")).then(|| self.current(at))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(arguments)?;
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "next" => {
                let current = self.current(*at);
                *at = (*at + 1) % self.items.len();
                Ok(current)
            }
            "reset" => {
                *at = 0;
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// Gives nothing the first time, and then always the same.
#[derive(Debug)]
struct Joiner {
    between: Value,
    used: AtomicBool,
}

fn joiner(arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 1)?;
    let between = given.get(0, "sep")?.unwrap_or_else(|| Value::from(", "));
    given.finish()?;
    let used = AtomicBool::new(false);
    Ok(Value::from_object(Joiner { between, used }))
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(arguments)?;
        match self.used.swap(true, Ordering::Relaxed) {
            true => Ok(self.between.clone()),
            false => Ok(Value::from("")),
        }
    }
}

//! Going through values, as Python does.

use std::{cell::RefCell, fmt, rc::Rc, sync::Arc};

use crate::{
    disposal::{Parts, dispose},
    error::{Result, refused},
    run::{Run, checked},
    value::{Items, Range, Value, View},
};

/// Gives the next value of a generator.
pub(crate) type Next = dyn FnMut(&Run<'_>) -> Result<Option<Value>>;

/// What can be gone through once; nothing of it is worked out before it is asked for.
pub(crate) struct Generator {
    next: RefCell<Box<Next>>,
    depth: u32,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator>")
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        dispose(Parts::Next(self.next.replace(Box::new(|_| Ok(None)))));
    }
}

impl Generator {
    /// Makes one that is made from values that are `depth` deep.
    pub(crate) fn value(
        depth: u32,
        next: impl FnMut(&Run<'_>) -> Result<Option<Value>> + 'static,
    ) -> Value {
        Value::Generator(Rc::new(Self {
            next: RefCell::new(Box::new(next)),
            depth: 1 + depth,
        }))
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    pub(crate) fn next(&self, run: &Run<'_>) -> Result<Option<Value>> {
        let Ok(mut next) = self.next.try_borrow_mut() else {
            return refused("a generator cannot go through itself");
        };
        let next = run.fuel.nested(|| (*next)(run))?;
        next.map(checked).transpose()
    }
}

/// What is left of a value that is gone through.
#[derive(Clone, Debug)]
pub(crate) enum Iter {
    Empty,
    Items(Rc<Items>, usize),
    View(Rc<View>, usize),
    Range(Rc<Range>, usize),
    /// A text and the byte that comes next.
    Text(Arc<str>, usize),
    Generator(Rc<Generator>),
}

impl Iter {
    pub(crate) fn next(&mut self, run: &Run<'_>) -> Result<Option<Value>> {
        run.fuel.take(1)?;
        Ok(match self {
            Self::Empty => None,
            Self::Items(items, at) => step(at, |at| items.get(at).cloned()),
            Self::View(view, at) => step(at, |at| view.at(at)),
            Self::Range(range, at) => step(at, |at| range.at(at).map(Value::Int)),
            Self::Text(text, at) => {
                let c = text.get(*at..).and_then(|it| it.chars().next());
                *at += c.map_or(0, char::len_utf8);
                c.map(|it| Value::from(&*it.encode_utf8(&mut [0; 4])))
            }
            Self::Generator(generator) => generator.next(run)?,
        })
    }
}

fn step(at: &mut usize, get: impl FnOnce(usize) -> Option<Value>) -> Option<Value> {
    let value = get(*at);
    *at += 1;
    value
}

/// Returns whether Python can go through a value.
pub(crate) fn is_iterable(value: &Value) -> bool {
    iter(value).is_ok()
}

/// Begins to go through a value.
pub(crate) fn iter(value: &Value) -> Result<Iter> {
    Ok(match value {
        Value::Undefined => Iter::Empty,
        Value::Text(text) | Value::Safe(text) => Iter::Text(text.clone(), 0),
        Value::List(items) | Value::Tuple(items) => Iter::Items(items.clone(), 0),
        Value::Dict(table) => Iter::View(
            Rc::new(View {
                part: crate::value::Part::Keys,
                table: table.clone(),
            }),
            0,
        ),
        Value::View(view) => Iter::View(view.clone(), 0),
        Value::Range(range) => Iter::Range(range.clone(), 0),
        Value::Generator(generator) => Iter::Generator(generator.clone()),
        _ => {
            return refused(format!(
                "a value of type {} has nothing to go through",
                value.kind()
            ));
        }
    })
}

/// Goes through a value to its end.
pub(crate) fn all(run: &Run<'_>, value: &Value) -> Result<Vec<Value>> {
    if let Value::List(items) | Value::Tuple(items) = value {
        run.fuel.take_items(items.len())?;
        return Ok(items.to_vec());
    }
    let mut left = iter(value)?;
    let mut values = Vec::new();
    while let Some(value) = left.next(run)? {
        values.push(value);
    }
    Ok(values)
}

//! Loops and what `loop` stands for.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
};

use crate::{
    calls::Given,
    disposal::{Parts, dispose},
    error::{Result, refused},
    iteration::{self, Iter},
    operators,
    run::Run,
    scope::FrameId,
    tree::For,
    value::Value,
};

/// A loop on its way.
#[derive(Debug)]
pub(crate) struct Loop {
    statement: Arc<For>,
    /// The frame that the statement stands in.
    around: FrameId,
    /// How many loops of the same statement are around it.
    depth0: u32,
    left: RefCell<Left>,
    /// How many items there are, where that is known.
    length: Cell<Option<usize>>,
    place: Cell<usize>,
    previous: RefCell<Value>,
    current: RefCell<Value>,
    changed: RefCell<Option<Value>>,
    nesting: u32,
}

/// The items that are still to come: some are known already.
#[derive(Debug)]
struct Left {
    known: VecDeque<Value>,
    rest: Iter,
}

impl Drop for Loop {
    fn drop(&mut self) {
        let has_deep = self.nesting > 2 || self.changed.get_mut().is_some();
        if has_deep {
            self.empty();
        }
    }
}

impl Loop {
    /// Begins a loop, with the frame that its statement stands in and how many loops of the same are around it.
    pub(crate) fn new(
        run: &Run<'_>,
        statement: &Arc<For>,
        (around, depth0): (FrameId, u32),
        iterated: &Value,
    ) -> Result<Self> {
        run.fuel.take_bytes(iterated.size_bytes())?;
        let length = match statement.condition {
            Some(_) => None,
            None => iterated
                .len()
                .filter(|_| !matches!(iterated, Value::Undefined)),
        };
        Ok(Self {
            statement: statement.clone(),
            around,
            depth0,
            left: RefCell::new(Left {
                known: VecDeque::new(),
                rest: iteration::iter(iterated)?,
            }),
            length: Cell::new(length),
            place: Cell::new(0),
            previous: RefCell::new(Value::Undefined),
            current: RefCell::new(Value::Undefined),
            changed: RefCell::new(None),
            nesting: 1 + iterated.depth(),
        })
    }

    /// Returns how many items there are, where that is known.
    pub(crate) fn len(&self) -> Option<usize> {
        self.length.get()
    }

    /// Returns how many values are nested in it.
    pub(crate) fn depth(&self) -> u32 {
        self.nesting
    }

    /// Goes on to the next item.
    pub(crate) fn step(&self, run: &Run<'_>) -> Result<Option<Value>> {
        let known = self.left.borrow_mut().known.pop_front();
        let next = match known {
            Some(value) => Some(value),
            None => self.pull(run)?,
        };
        if let Some(value) = &next {
            let before = self.current.replace(value.clone());
            self.previous.replace(before);
            self.place.set(self.place.get() + 1);
        }
        Ok(next)
    }

    /// Takes the next item that the loop's condition is true of.
    fn pull(&self, run: &Run<'_>) -> Result<Option<Value>> {
        loop {
            // Nothing is borrowed while the next item is worked out, which may ask this loop.
            let mut rest = self.left.borrow().rest.clone();
            let next = rest.next(run)?;
            self.left.borrow_mut().rest = rest;
            let Some(value) = next else {
                return Ok(None);
            };
            let Some(condition) = &self.statement.condition else {
                return Ok(Some(value));
            };
            let frame = run.frames.open(self.around);
            let is_wanted = run
                .assign(&self.statement.target, value.clone(), frame)
                .and_then(|()| run.evaluate(condition, frame))
                .map(|it| it.is_true());
            run.frames.close(frame);
            if is_wanted? {
                return Ok(Some(value));
            }
        }
    }

    /// Returns the item after the current one, without going on to it.
    fn peek(&self, run: &Run<'_>) -> Result<Option<Value>> {
        if let Some(value) = self.left.borrow().known.front() {
            return Ok(Some(value.clone()));
        }
        let next = self.pull(run)?;
        self.left.borrow_mut().known.extend(next.clone());
        Ok(next)
    }

    fn count(&self, run: &Run<'_>) -> Result<usize> {
        if let Some(length) = self.length.get() {
            return Ok(length);
        }
        let mut more = Vec::new();
        while let Some(value) = self.pull(run)? {
            more.push(value);
        }
        let mut left = self.left.borrow_mut();
        left.known.extend(more);
        let length = self.place.get() + left.known.len();
        self.length.set(Some(length));
        Ok(length)
    }

    /// Returns what a name after `loop.` stands for.
    pub(crate) fn attribute(&self, run: &Run<'_>, name: &str) -> Result<Option<Value>> {
        let index = self.place.get();
        let index0 = index.saturating_sub(1);
        Ok(Some(match name {
            "index" => Value::from(index),
            "index0" => Value::from(index0),
            "revindex" => Value::from(self.count(run)?.saturating_sub(index0)),
            "revindex0" => Value::from(self.count(run)?.saturating_sub(index)),
            "first" => Value::from(index == 1),
            "last" => Value::from(self.peek(run)?.is_none()),
            "length" => Value::from(self.count(run)?),
            "previtem" => self.previous.borrow().clone(),
            "nextitem" => self.peek(run)?.unwrap_or(Value::Undefined),
            "depth" => Value::Int(i64::from(self.depth0) + 1),
            "depth0" => Value::Int(i64::from(self.depth0)),
            _ => return Ok(None),
        }))
    }

    /// Calls a method of `loop`.
    pub(crate) fn method(&self, run: &Run<'_>, name: &str, given: &Given) -> Result<Value> {
        if !given.named.is_empty() {
            return refused(format!("`loop.{name}` takes no names"));
        }
        let values = &given.positional;
        match name {
            "cycle" => match values.len() {
                0 => refused("`loop.cycle` needs something to go through"),
                count => {
                    let at = self.place.get().saturating_sub(1) % count;
                    Ok(values.get(at).cloned().unwrap_or(Value::Undefined))
                }
            },
            _ => {
                run.fuel.take_items(values.len())?;
                let values = Value::tuple(values.clone());
                let before = self.changed.replace(Some(values.clone()));
                match before {
                    Some(before) => operators::equal(&run.fuel, &before, &values).map(|it| !it),
                    None => Ok(true),
                }
                .map(Value::from)
            }
        }
    }

    /// Renders the loop's body for other items: what `loop(…)` does in a recursive one.
    pub(crate) fn recurse(&self, run: &Run<'_>, given: &Given) -> Result<Value> {
        if !self.statement.is_recursive {
            return refused("`loop` cannot be called in a loop that is not `recursive`");
        }
        let iterated = given.read(["iterable"])?.required(0)?.clone();
        let mut out = String::new();
        let place = (self.around, self.depth0 + 1);
        let inner = Self::new(run, &self.statement, place, &iterated)?;
        run.loop_through(Rc::new(inner), &mut out)?;
        Ok(run.marked(out))
    }

    /// Returns the statement and the frame that it stands in.
    pub(crate) fn statement(&self) -> (&Arc<For>, FrameId) {
        (&self.statement, self.around)
    }

    /// Lets go of what it has, among which it may be itself.
    pub(crate) fn empty(&self) {
        let left = Left {
            known: VecDeque::new(),
            rest: Iter::Empty,
        };
        let mut values = vec![
            self.previous.replace(Value::Undefined),
            self.current.replace(Value::Undefined),
        ];
        values.extend(self.changed.replace(None));
        values.extend(self.left.replace(left).known);
        dispose(Parts::Values(values));
    }

    /// Returns what Python prints of it, where it is known how many items there are.
    pub(crate) fn shown(&self) -> Option<String> {
        let length = self.len()?;
        Some(format!("<LoopContext {}/{length}>", self.place.get()))
    }
}

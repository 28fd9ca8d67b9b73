//! One rendering: statements.

mod calling;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use crate::{
    calls::Filter,
    error::{Result, refused, too_large, unknown},
    fuel::Fuel,
    functions, iteration,
    loops::Loop,
    macros::Macro,
    objects::Object,
    printing,
    scope::{FrameId, Frames},
    tree::{Applied, Body, For, Scope, Statement, StatementKind, Symbol, Target, Tree},
    value::{Namespace, Value},
};

/// Values that are nested deeper are nothing that anybody wrote.
const MOST_NESTED_VALUES: u32 = 200;

/// What one rendering has.
pub(crate) struct Run<'t> {
    pub(crate) fuel: Fuel,
    pub(crate) frames: Frames,
    tree: &'t Tree,
    escapes: Cell<bool>,
    /// All of them, for one may have itself.
    namespaces: RefCell<Vec<Rc<Namespace>>>,
    /// Those that something has beyond their end, for one may have itself.
    loops: RefCell<Vec<Rc<Loop>>>,
}

/// Where it goes on after a statement.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
}

/// Renders a template.
pub(crate) fn render(tree: &Tree, variables: Vec<(Symbol, Value)>, fuel: u64) -> Result<String> {
    let run = Run {
        fuel: Fuel::new(fuel),
        frames: Frames::new(variables),
        tree,
        escapes: Cell::new(false),
        namespaces: RefCell::new(Vec::new()),
        loops: RefCell::new(Vec::new()),
    };
    let mut out = String::new();
    let top = run.frames.open(Frames::GIVEN);
    run.frames.keep(top);
    let result = run.own_body(&tree.body, top, &mut out);
    let (namespaces, loops) = (run.namespaces.take(), run.loops.take());
    for namespace in &namespaces {
        namespace.values.take();
    }
    loops.iter().for_each(|it| it.empty());
    result.map(|_| out)
}

/// Refuses a value that is nested too deep: each that is worked out is asked here.
pub(crate) fn checked(value: Value) -> Result<Value> {
    match value.depth() > MOST_NESTED_VALUES {
        true => too_large("a value is nested too deep"),
        false => Ok(value),
    }
}

impl Run<'_> {
    /// Returns whether what is printed is escaped.
    pub(crate) fn escapes(&self) -> bool {
        self.escapes.get()
    }

    /// Makes a namespace, which is emptied when the rendering ends.
    pub(crate) fn keep(&self, namespace: Namespace) -> Value {
        let namespace = Rc::new(namespace);
        self.namespaces.borrow_mut().push(namespace.clone());
        Value::Namespace(namespace)
    }

    /// Returns the name that a number stands for.
    pub(crate) fn name(&self, symbol: Symbol) -> Arc<str> {
        let name = usize::try_from(symbol.0)
            .ok()
            .and_then(|at| self.tree.names.get(at));
        name.cloned().unwrap_or_default()
    }

    /// Returns a variable, or a function of that name.
    pub(crate) fn variable(&self, symbol: Symbol, frame: FrameId) -> Result<Value> {
        let found = self.frames.get(frame, symbol)?;
        Ok(found.unwrap_or_else(|| match &*self.name(symbol) {
            "self" => Value::Object(Rc::new(Object::Blocks)),
            name => functions::find(name).unwrap_or(Value::Undefined),
        }))
    }

    /// Marks a text that was rendered as safe, where all that is not is escaped.
    pub(crate) fn marked(&self, text: String) -> Value {
        match self.escapes() {
            true => Value::safe(text),
            false => Value::from(text),
        }
    }

    /// Does what is nested, unless it is nested too deep.
    pub(crate) fn nested<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.fuel.nested(work)
    }

    /// Renders a body in the frame that was opened for it.
    pub(crate) fn own_body(&self, body: &Body, frame: FrameId, out: &mut String) -> Result<Flow> {
        self.hide(body, frame)?;
        self.body(&body.statements, frame, out)
    }

    /// Renders a body in a frame of its own.
    fn inner_body(&self, body: &Body, around: FrameId, out: &mut String) -> Result<Flow> {
        self.within(around, |frame| self.own_body(body, frame, out))
    }

    /// Hides what a body is to set.
    pub(crate) fn hide(&self, body: &Body, frame: FrameId) -> Result<()> {
        let hidden = self.tree.hidden.get(body.id);
        let names = hidden.map_or(&[][..], Vec::as_slice);
        // Each name is looked for among those before it.
        self.fuel
            .take_bytes(names.len().saturating_mul(names.len()))?;
        for name in names {
            self.frames.set(frame, *name, Value::Undefined);
        }
        Ok(())
    }

    /// Gives a name its value. What the template sets outside of all bodies is seen by its blocks.
    fn define(&self, frame: FrameId, name: Symbol, value: Value) {
        if frame == Frames::TEMPLATE && !self.tree.blocks.is_empty() {
            self.frames.set(Frames::GIVEN, name, value.clone());
        }
        self.frames.set(frame, name, value);
    }

    /// Renders statements.
    fn body(&self, body: &[Statement], frame: FrameId, out: &mut String) -> Result<Flow> {
        self.nested(|| {
            for statement in body {
                self.fuel.take(1)?;
                let flow = self.statement(statement, frame, out);
                match flow.map_err(|it| it.at(statement.line))? {
                    Flow::Next => {}
                    flow => return Ok(flow),
                }
            }
            Ok(Flow::Next)
        })
    }

    fn statement(&self, statement: &Statement, frame: FrameId, out: &mut String) -> Result<Flow> {
        match &statement.kind {
            StatementKind::Data(text) => self.write(text, out)?,
            StatementKind::Print(value) => self.print(&self.evaluate(value, frame)?, out)?,
            StatementKind::PrintAll(values) => {
                for value in values {
                    self.fuel.take(1)?;
                    self.print(&self.evaluate(value, frame)?, out)?;
                }
            }
            StatementKind::Set(target, value) => {
                self.assign(target, self.evaluate(value, frame)?, frame)?;
            }
            StatementKind::Macro(name, definition) => {
                self.define(frame, *name, Macro::value(self, definition, frame));
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
            StatementKind::Load => return unknown("a chat template cannot load other templates"),
            _ => return self.block_statement(&statement.kind, frame, out),
        }
        Ok(Flow::Next)
    }

    /// Renders a statement that has a body.
    fn block_statement(
        &self,
        kind: &StatementKind,
        frame: FrameId,
        out: &mut String,
    ) -> Result<Flow> {
        match kind {
            StatementKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.evaluate(condition, frame)?.is_true() {
                        return self.body(body, frame, out);
                    }
                }
                self.body(otherwise, frame, out)
            }
            StatementKind::For(statement) => self.for_loop(statement, frame, out),
            StatementKind::SetBlock(target, filters, body) => {
                let (value, flow) = self.captured(body, filters, frame)?;
                if let Some(value) = value {
                    self.assign(target, value, frame)?;
                }
                Ok(flow)
            }
            StatementKind::FilterBlock(filters, body) => {
                let (value, flow) = self.captured(body, filters, frame)?;
                if let Some(value) = value {
                    self.write(value.expect_text()?, out)?;
                }
                Ok(flow)
            }
            StatementKind::With(values, body) => self.within(frame, |inner| {
                for (target, value) in values {
                    self.assign(target, self.evaluate(value, frame)?, inner)?;
                }
                self.own_body(body, inner, out)
            }),
            StatementKind::Generation(body) => self.inner_body(body, frame, out),
            StatementKind::Block(body, scope) => {
                let around = match scope {
                    Scope::Template => Frames::GIVEN,
                    Scope::Around => frame,
                };
                self.inner_body(body, around, out)
            }
            StatementKind::Autoescape(value, body) => {
                let escapes = self.evaluate(value, frame)?.is_true();
                let before = self.escapes.replace(escapes);
                let flow = self.inner_body(body, frame, out);
                self.escapes.set(before);
                flow
            }
            StatementKind::Call(call, body) => {
                let caller = Macro::value(self, body, frame);
                let value = self.call_with(call, frame, Some(("caller".into(), caller)))?;
                self.write(value.expect_text()?, out)?;
                Ok(Flow::Next)
            }
            StatementKind::Data(_)
            | StatementKind::Print(_)
            | StatementKind::PrintAll(_)
            | StatementKind::Set(..)
            | StatementKind::Macro(..)
            | StatementKind::Break
            | StatementKind::Continue
            | StatementKind::Load => Ok(Flow::Next),
        }
    }

    /// Does something with a frame of its own.
    fn within<T>(&self, around: FrameId, work: impl FnOnce(FrameId) -> Result<T>) -> Result<T> {
        let frame = self.frames.open(around);
        let result = work(frame);
        self.frames.close(frame);
        result
    }

    /// Renders a body as a text, and filters it. There is none where a loop is left in it.
    fn captured(
        &self,
        body: &Body,
        filters: &[Applied<Filter>],
        frame: FrameId,
    ) -> Result<(Option<Value>, Flow)> {
        self.within(frame, |inner| {
            let mut text = String::new();
            let flow = self.own_body(body, inner, &mut text)?;
            if flow != Flow::Next {
                return Ok((None, flow));
            }
            let mut value = self.marked(text);
            for filter in filters {
                value = checked(self.filter(filter, &value, inner)?)?;
            }
            Ok((Some(value), flow))
        })
    }

    fn write(&self, text: &str, out: &mut String) -> Result<()> {
        self.fuel.take_bytes(text.len())?;
        out.push_str(text);
        Ok(())
    }

    /// Prints a value.
    fn print(&self, value: &Value, out: &mut String) -> Result<()> {
        match value {
            Value::Safe(text) => self.write(text, out),
            Value::Text(text) if !self.escapes() => self.write(text, out),
            value => {
                let text = match self.escapes() {
                    true => printing::escape(&self.fuel, value)?,
                    false => printing::text(&self.fuel, value)?,
                };
                self.write(&text, out)
            }
        }
    }

    fn for_loop(&self, statement: &Arc<For>, frame: FrameId, out: &mut String) -> Result<Flow> {
        let iterated = self.evaluate(&statement.iterated, frame)?;
        let state = Rc::new(Loop::new(self, statement, (frame, 0), &iterated)?);
        self.loop_through(state, out)
    }

    /// Renders a loop's body for each of its items.
    pub(crate) fn loop_through(&self, state: Rc<Loop>, out: &mut String) -> Result<Flow> {
        let (statement, around) = state.statement();
        let mut frame = self.frames.open(around);
        let mut is_done = false;
        let result = (|| {
            while let Some(item) = state.step(self)? {
                frame = self.frames.renewed(frame, around);
                if let Some(name) = statement.state {
                    self.frames.set(frame, name, Value::Loop(state.clone()));
                }
                self.hide(&statement.body, frame)?;
                self.assign(&statement.target, item, frame)?;
                match self.body(&statement.body.statements, frame, out)? {
                    Flow::Next => is_done = true,
                    Flow::Continue => {}
                    Flow::Break => break,
                }
            }
            Ok(())
        })();
        self.frames.close(frame);
        if Rc::strong_count(&state) > 1 {
            self.frames.keep(around);
            self.loops.borrow_mut().push(state.clone());
        }
        result?;
        // As in Jinja2, what was left at once counts as nothing.
        match is_done {
            true => Ok(Flow::Next),
            false => self.inner_body(&statement.otherwise, around, out),
        }
    }

    /// Gives names their values.
    pub(crate) fn assign(&self, target: &Target, value: Value, frame: FrameId) -> Result<()> {
        match target {
            Target::Name(name) => {
                self.define(frame, *name, value);
                Ok(())
            }
            Target::Attribute(namespace, name) => match self.variable(*namespace, frame)? {
                Value::Namespace(namespace) => functions::set_namespace(&namespace, name, value),
                other => refused(format!(
                    "only a namespace's names can be given a value, found a value of type {}",
                    other.kind()
                )),
            },
            Target::Tuple(targets) => {
                let values = self.unpacked(&value, targets.len())?;
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, frame)?;
                }
                Ok(())
            }
        }
    }

    fn unpacked(&self, value: &Value, count: usize) -> Result<Vec<Value>> {
        let values = iteration::all(self, value)?;
        match values.len() == count {
            true => Ok(values),
            false => refused(format!(
                "expected {count} values to unpack, found {}",
                values.len()
            )),
        }
    }
}

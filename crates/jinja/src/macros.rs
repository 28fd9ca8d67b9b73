//! Macros, and the bodies of calls.

use std::{rc::Rc, sync::Arc};

use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, refused},
    iteration,
    run::{Run, checked},
    scope::FrameId,
    tree::{Definition, Symbol},
    value::Value,
};

/// A macro with the frame that it sees.
#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) definition: Arc<Definition>,
    around: FrameId,
}

impl Macro {
    /// Makes a macro that sees `around`, which is kept for it.
    pub(crate) fn value(run: &Run<'_>, definition: &Arc<Definition>, around: FrameId) -> Value {
        run.frames.keep(around);
        Value::Macro(Rc::new(Self {
            definition: definition.clone(),
            around,
        }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    /// Returns what it says of itself.
    pub(crate) fn attribute(&self, run: &Run<'_>, name: &str) -> Option<Value> {
        let definition = &self.definition;
        Some(match name {
            "name" if definition.name.is_empty() => Value::None,
            "name" => Value::from(definition.name.clone()),
            "arguments" => {
                let names = definition.parameters.iter().map(|(it, _)| *it);
                Value::tuple(names.map(|it| run.name(it).into()).collect())
            }
            "catch_kwargs" => Value::from(definition.kwargs.is_some()),
            "catch_varargs" => Value::from(definition.varargs.is_some()),
            "caller" => Value::from(definition.caller.is_some()),
            "explicit_caller" => Value::from(definition.has_own_caller),
            _ => return None,
        })
    }

    /// Renders its body.
    pub(crate) fn call(&self, run: &Run<'_>, given: &Given) -> Result<Value> {
        let frame = run.frames.open(self.around);
        let result = self.bind(run, frame, given).and_then(|()| {
            let mut out = String::new();
            run.own_body(&self.definition.body, frame, &mut out)?;
            Ok(run.marked(out))
        });
        run.frames.leave(frame);
        result
    }

    /// Gives the parameters their values.
    fn bind(&self, run: &Run<'_>, frame: FrameId, given: &Given) -> Result<()> {
        let definition = &self.definition;
        let compared = (definition.parameters.len() + 1).saturating_mul(given.named.len() + 1);
        run.fuel.take_bytes(compared)?;
        let mut named = given.named.clone();
        let mut take = |symbol: Symbol| {
            let name = run.name(symbol);
            let at = named.iter().position(|(it, _)| *it == name)?;
            Some(named.remove(at).1)
        };
        let mut missing = Vec::new();
        for (index, (symbol, default)) in definition.parameters.iter().enumerate() {
            let value = given
                .positional
                .get(index)
                .cloned()
                .or_else(|| take(*symbol));
            missing.extend(
                default
                    .as_ref()
                    .filter(|_| value.is_none())
                    .map(|it| (*symbol, it)),
            );
            run.frames
                .set(frame, *symbol, value.unwrap_or(Value::Undefined));
        }
        if let Some(caller) = definition.caller {
            let value = take(caller).filter(|it| !it.is_none());
            run.frames
                .set(frame, caller, value.unwrap_or(Value::Undefined));
        }
        self.bind_rest(run, frame, (&given.positional, named))?;
        for (symbol, default) in missing {
            let value = run.evaluate(default, frame)?;
            run.frames.set(frame, symbol, value);
        }
        Ok(())
    }

    /// Keeps or refuses what is given beyond the parameters.
    fn bind_rest(
        &self,
        run: &Run<'_>,
        frame: FrameId,
        (positional, named): (&[Value], Vec<(Arc<str>, Value)>),
    ) -> Result<()> {
        let definition = &self.definition;
        if let Some(kwargs) = definition.kwargs {
            let mut dict = Dict::default();
            for (name, value) in named {
                dict.insert_text(name, value);
            }
            run.frames.set(frame, kwargs, checked(Value::dict(dict))?);
        } else if let Some((name, _)) = named.first() {
            return refused(format!(
                "the macro `{}` has no parameter `{name}`",
                self.name()
            ));
        }
        let rest = positional
            .get(definition.parameters.len()..)
            .unwrap_or_default();
        if let Some(varargs) = definition.varargs {
            let rest = checked(Value::tuple(rest.to_vec()))?;
            run.frames.set(frame, varargs, rest);
        } else if !rest.is_empty() {
            return refused(format!(
                "the macro `{}` takes {} values, found {}",
                self.name(),
                definition.parameters.len(),
                positional.len()
            ));
        }
        Ok(())
    }
}

/// Adds what follows `*` and `**` to arguments.
pub(crate) fn spread(
    run: &Run<'_>,
    given: &mut Given,
    more: Option<Value>,
    more_named: Option<Value>,
) -> Result<()> {
    if let Some(more) = more {
        given.positional.extend(iteration::all(run, &more)?);
    }
    let Some(more) = more_named else {
        return Ok(());
    };
    let Value::Dict(table) = &more else {
        return refused(format!(
            "expected a dict after `**`, found a value of type {}",
            more.kind()
        ));
    };
    for (name, value) in table.iter() {
        run.fuel.take(1)?;
        run.fuel.take_bytes(given.named.len())?;
        let name: Arc<str> = name.expect_text()?.into();
        if given.named.iter().any(|(it, _)| *it == name) {
            return refused(format!("the argument `{name}` is given twice"));
        }
        given.named.push((name, value.clone()));
    }
    Ok(())
}

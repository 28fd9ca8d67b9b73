//! One rendering: expressions.

use std::{rc::Rc, sync::Arc};

use crate::{
    access,
    calls::{Filter, Given, Test},
    dict::Dict,
    error::{Result, refused},
    macros, methods, operators, printing,
    run::{Run, checked},
    scope::FrameId,
    tree::{Applied, Arguments, Call, Comparison, Expression, ExpressionKind},
    value::Value,
};

impl Run<'_> {
    /// Works an expression out.
    pub(crate) fn evaluate(&self, expression: &Expression, frame: FrameId) -> Result<Value> {
        let value = match &expression.kind {
            ExpressionKind::None => return Ok(Value::None),
            ExpressionKind::Bool(it) => return Ok(Value::Bool(*it)),
            ExpressionKind::Int(it) => return Ok(Value::Int(*it)),
            ExpressionKind::Float(it) => return Ok(Value::Float(*it)),
            ExpressionKind::Text(it) => return Ok(Value::Text(it.clone())),
            ExpressionKind::Name(it) => self.variable(*it, frame),
            kind => self.nested(|| {
                self.fuel.take(1)?;
                self.compound(kind, frame)
            }),
        };
        value.and_then(checked).map_err(|it| it.at(expression.line))
    }

    fn compound(&self, kind: &ExpressionKind, frame: FrameId) -> Result<Value> {
        match kind {
            ExpressionKind::Attribute(value, name) => {
                access::attribute(self, &self.evaluate(value, frame)?, name)
            }
            ExpressionKind::Item(value, key) => self.item(value, key, frame),
            ExpressionKind::Call(call) => self.call_with(call, frame, None),
            ExpressionKind::Filter(value, filter) => {
                self.filter(filter, &self.evaluate(value, frame)?, frame)
            }
            ExpressionKind::Test(value, test) => {
                self.test(test, &self.evaluate(value, frame)?, frame)
            }
            ExpressionKind::Concatenate(parts) => self.concatenate(parts, frame),
            ExpressionKind::Compare(first, others) => self.compare(first, others, frame),
            ExpressionKind::List(items) => self.evaluate_all(items, frame).map(Value::list),
            ExpressionKind::Tuple(items) => self.evaluate_all(items, frame).map(Value::tuple),
            ExpressionKind::Dict(items) => self.dict(items, frame),
            ExpressionKind::Big(it) => {
                let value = Value::Big(Rc::new(it.clone()));
                self.fuel.take_bytes(value.size_bytes())?;
                Ok(value)
            }
            _ => self.operation(kind, frame),
        }
    }

    fn operation(&self, kind: &ExpressionKind, frame: FrameId) -> Result<Value> {
        match kind {
            ExpressionKind::Not(value) => Ok(Value::from(!self.evaluate(value, frame)?.is_true())),
            ExpressionKind::Negate(value) => {
                operators::negate(&self.fuel, &self.evaluate(value, frame)?)
            }
            ExpressionKind::Positive(value) => operators::positive(&self.evaluate(value, frame)?),
            ExpressionKind::And(parts) => {
                let [left, right] = &**parts;
                match self.evaluate(left, frame)? {
                    it if it.is_true() => self.evaluate(right, frame),
                    it => Ok(it),
                }
            }
            ExpressionKind::Or(parts) => {
                let [left, right] = &**parts;
                match self.evaluate(left, frame)? {
                    it if it.is_true() => Ok(it),
                    _ => self.evaluate(right, frame),
                }
            }
            ExpressionKind::Binary(operator, parts) => {
                let [left, right] = &**parts;
                let (left, right) = (self.evaluate(left, frame)?, self.evaluate(right, frame)?);
                operators::binary(self, *operator, [&left, &right])
            }
            ExpressionKind::Conditional(parts) => {
                let (condition, value, otherwise) = &**parts;
                match self.evaluate(condition, frame)?.is_true() {
                    true => self.evaluate(value, frame),
                    false => otherwise
                        .as_ref()
                        .map_or(Ok(Value::Undefined), |it| self.evaluate(it, frame)),
                }
            }
            // A slice is read where it stands.
            _ => refused("a slice stands where none can be"),
        }
    }

    fn evaluate_all(&self, items: &[Expression], frame: FrameId) -> Result<Vec<Value>> {
        self.fuel.take_items(items.len())?;
        items.iter().map(|it| self.evaluate(it, frame)).collect()
    }

    fn dict(&self, items: &[(Expression, Expression)], frame: FrameId) -> Result<Value> {
        let mut dict = Dict::default();
        for (key, value) in items {
            self.fuel.take(1)?;
            let key = self.evaluate(key, frame)?;
            dict.insert(&self.fuel, key, self.evaluate(value, frame)?)?;
        }
        Ok(Value::dict(dict))
    }

    fn item(&self, value: &Expression, key: &Expression, frame: FrameId) -> Result<Value> {
        let of = self.evaluate(value, frame)?;
        match &key.kind {
            ExpressionKind::Slice(parts) => {
                let mut bounds = [const { None }; 3];
                for (bound, part) in bounds.iter_mut().zip(&**parts) {
                    *bound = part
                        .as_ref()
                        .map(|it| self.evaluate(it, frame))
                        .transpose()?;
                }
                match access::slice(self, &of, &bounds)? {
                    Some(part) => Ok(part),
                    None => refused(format!("a value of type {} has no such part", of.kind())),
                }
            }
            ExpressionKind::Tuple(keys) if keys.iter().any(is_slice) => match of {
                Value::Undefined => refused("what has an item taken of it is undefined"),
                _ => Ok(Value::Undefined),
            },
            _ => access::item(self, &of, &self.evaluate(key, frame)?),
        }
    }

    fn concatenate(&self, parts: &[Expression], frame: FrameId) -> Result<Value> {
        let values = self.evaluate_all(parts, frame)?;
        let is_safe = self.escapes() && values.iter().any(Value::is_safe);
        let mut out = String::new();
        for value in &values {
            let text = match is_safe {
                true => printing::escape(&self.fuel, value)?,
                false => printing::text(&self.fuel, value)?,
            };
            self.fuel.take_bytes(text.len())?;
            out.push_str(&text);
        }
        Ok(match is_safe {
            true => Value::safe(out),
            false => Value::from(out),
        })
    }

    fn compare(
        &self,
        first: &Expression,
        others: &[(Comparison, Expression)],
        frame: FrameId,
    ) -> Result<Value> {
        let mut left = self.evaluate(first, frame)?;
        for (comparison, right) in others {
            let right = self.evaluate(right, frame)?;
            if !operators::compare(self, *comparison, [&left, &right])? {
                return Ok(Value::from(false));
            }
            left = right;
        }
        Ok(Value::from(true))
    }

    /// Applies a filter.
    pub(crate) fn filter(
        &self,
        filter: &Applied<Filter>,
        value: &Value,
        frame: FrameId,
    ) -> Result<Value> {
        let Some(function) = filter.function else {
            return refused(format!("there is no filter named `{}`", filter.name));
        };
        let given = self.arguments(&filter.arguments, frame, None)?;
        function(self, value, &given).map_err(|it| it.at(filter.line))
    }

    fn test(&self, test: &Applied<Test>, value: &Value, frame: FrameId) -> Result<Value> {
        let Some(function) = test.function else {
            return refused(format!("there is no test named `{}`", test.name));
        };
        let given = self.arguments(&test.arguments, frame, None)?;
        let answer = function(self, value, &given);
        answer.map(Value::from).map_err(|it| it.at(test.line))
    }

    /// Calls what a call names, with one more argument that has a name.
    pub(crate) fn call_with(
        &self,
        call: &Call,
        frame: FrameId,
        more: Option<(Arc<str>, Value)>,
    ) -> Result<Value> {
        // A method that is called at once need not be made a value.
        if let ExpressionKind::Attribute(of, name) = &call.callee.kind {
            let of = self.evaluate(of, frame)?;
            if methods::has(&of, name) && !methods::changes(&of, name) {
                let given = self.arguments(&call.arguments, frame, more)?;
                return self.nested(|| self.call_method(&of, name, &given));
            }
            let callee = access::attribute(self, &of, name)?;
            let given = self.arguments(&call.arguments, frame, more)?;
            return self.call(&callee, &given);
        }
        let callee = self.evaluate(&call.callee, frame)?;
        let given = self.arguments(&call.arguments, frame, more)?;
        self.call(&callee, &given)
    }

    fn arguments(
        &self,
        arguments: &Arguments,
        frame: FrameId,
        more: Option<(Arc<str>, Value)>,
    ) -> Result<Given> {
        let mut given = Given::positional(self.evaluate_all(&arguments.positional, frame)?);
        self.fuel.take_items(arguments.named.len())?;
        for (name, value) in &arguments.named {
            given
                .named
                .push((name.clone(), self.evaluate(value, frame)?));
        }
        given.named.extend(more);
        let part = |it: &Option<Box<Expression>>| {
            it.as_ref().map(|it| self.evaluate(it, frame)).transpose()
        };
        let (more, more_named) = (part(&arguments.more)?, part(&arguments.more_named)?);
        macros::spread(self, &mut given, more, more_named)?;
        Ok(given)
    }
}

fn is_slice(expression: &Expression) -> bool {
    matches!(expression.kind, ExpressionKind::Slice(_))
}

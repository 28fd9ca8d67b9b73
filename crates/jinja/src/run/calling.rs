//! One rendering: calls.

use super::Run;
use crate::{
    calls::Given,
    error::{Result, TemplateError, refused},
    methods,
    objects::Object,
    scope::Frames,
    value::Value,
};

impl Run<'_> {
    /// Calls a function, a method, a macro or what else can be called.
    pub(crate) fn call(&self, callee: &Value, given: &Given) -> Result<Value> {
        self.nested(|| match callee {
            Value::Function(function) => (function.call)(self, given),
            Value::Method(method) => self.call_method(&method.of, &method.name, given),
            Value::Macro(it) => it.call(self, given),
            Value::Loop(it) => it.recurse(self, given),
            Value::Object(object) => match &**object {
                Object::Joiner { between, used } => {
                    given.nothing()?;
                    match used.replace(true) {
                        true => Ok(between.clone()),
                        false => Ok(Value::from("")),
                    }
                }
                _ => self.uncallable(callee),
            },
            _ => self.uncallable(callee),
        })
    }

    fn uncallable(&self, callee: &Value) -> Result<Value> {
        refused(match callee {
            Value::Undefined => "what is called is undefined".to_owned(),
            _ => format!("a value of type {} cannot be called", callee.kind()),
        })
    }

    /// Calls a method of a value.
    pub(crate) fn call_method(&self, of: &Value, name: &str, given: &Given) -> Result<Value> {
        match of {
            Value::Loop(it) => it.method(self, name, given),
            Value::Object(object) if matches!(**object, Object::Blocks) => {
                given.nothing()?;
                let block = self.tree.blocks.iter().find(|(it, _)| **it == *name);
                let (_, body) =
                    block.ok_or_else(|| TemplateError::new("there is no such block"))?;
                let mut out = String::new();
                self.inner_body(body, Frames::GIVEN, &mut out)?;
                Ok(self.marked(out))
            }
            _ => methods::call(self, of, name, given),
        }
    }

    /// Returns whether the template has a block of that name.
    pub(crate) fn has_block(&self, name: &str) -> bool {
        self.tree.blocks.iter().any(|(it, _)| **it == *name)
    }
}

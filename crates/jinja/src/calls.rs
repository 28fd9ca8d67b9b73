//! What is called, and what with.

use std::sync::Arc;

use crate::{
    error::{Result, TemplateError, refused},
    run::Run,
    value::Value,
};

/// What stands in a call's parentheses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Arc<str>, Value)>,
}

/// A function that a template can call by its name.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) call: fn(&Run<'_>, &Given) -> Result<Value>,
}

/// A filter: what it is applied to comes first.
pub(crate) type Filter = fn(&Run<'_>, &Value, &Given) -> Result<Value>;

/// A test: what is asked about comes first.
pub(crate) type Test = fn(&Run<'_>, &Value, &Given) -> Result<bool>;

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

impl Given {
    pub(crate) fn positional(positional: Vec<Value>) -> Self {
        let named = Vec::new();
        Self { positional, named }
    }

    /// Reads the arguments by the names that they have, in order. Refuses more of them, names that are not among
    /// them, and names of what is given by its place. A name that is empty can be given by its place only.
    pub(crate) fn read<'a, const N: usize>(
        &'a self,
        names: [&'static str; N],
    ) -> Result<Arguments<'a, N>> {
        if self.positional.len() > N {
            return refused(format!(
                "expected at most {N} arguments, found {}",
                self.positional.len()
            ));
        }
        let mut values = [None; N];
        for (slot, value) in values.iter_mut().zip(&self.positional) {
            *slot = Some(value);
        }
        for (name, value) in &self.named {
            let place = names.iter().position(|it| !it.is_empty() && **it == **name);
            match place.and_then(|at| values.get_mut(at)) {
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => return refused(format!("`{name}` is given twice")),
                None => return refused(format!("there is no argument `{name}`")),
            }
        }
        Ok(Arguments { values, names })
    }

    /// Refuses all arguments.
    pub(crate) fn nothing(&self) -> Result<()> {
        self.read([]).map(drop)
    }
}

/// Arguments that may be given by place or by name.
pub(crate) struct Arguments<'a, const N: usize> {
    values: [Option<&'a Value>; N],
    names: [&'static str; N],
}

impl<'a, const N: usize> Arguments<'a, N> {
    /// Returns the argument at a place, if it is given.
    pub(crate) fn get(&self, place: usize) -> Option<&'a Value> {
        self.values.get(place).copied().flatten()
    }

    /// As [`Arguments::get`], where none is as good as nothing.
    pub(crate) fn some(&self, place: usize) -> Option<&'a Value> {
        self.get(place).filter(|it| !it.is_none())
    }

    pub(crate) fn required(&self, place: usize) -> Result<&'a Value> {
        self.get(place).ok_or_else(|| {
            let name = self.names.get(place).filter(|it| !it.is_empty());
            TemplateError::new(match name {
                Some(name) => format!("the argument `{name}` is missing"),
                None => "an argument is missing".to_owned(),
            })
        })
    }

    /// Returns a text, or nothing where it is missing or none.
    pub(crate) fn text(&self, place: usize) -> Result<Option<&'a str>> {
        self.some(place).map(Value::expect_text).transpose()
    }

    pub(crate) fn required_text(&self, place: usize) -> Result<&'a str> {
        self.required(place)?.expect_text()
    }

    /// Returns a whole number, or nothing where it is missing or none.
    pub(crate) fn integer(&self, place: usize) -> Result<Option<i64>> {
        self.some(place).map(Value::expect_i64).transpose()
    }

    /// Returns whether it is given and true.
    pub(crate) fn is_true(&self, place: usize) -> bool {
        self.get(place).is_some_and(Value::is_true)
    }
}

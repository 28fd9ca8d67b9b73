//! What a function of a template's is called with.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, from_args},
};

/// Arguments that may be given by place or by name.
pub(super) struct Arguments<'a> {
    positional: &'a [Value],
    named: Kwargs,
}

impl<'a> Arguments<'a> {
    /// Reads what stands in parentheses, of which at most `most` have no name.
    pub(super) fn of(given: &'a [Value], most: usize) -> Result<Self, Error> {
        let (positional, named): (&[Value], Kwargs) = from_args(given)?;
        if positional.len() > most {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        Ok(Self { positional, named })
    }

    /// Returns the argument at `place`, or the one of that name.
    pub(super) fn get(&self, place: usize, name: &str) -> Result<Option<Value>, Error> {
        match self.positional.get(place) {
            Some(value) => Ok(Some(value.clone())),
            None if name.is_empty() => Ok(None),
            None => self.named.get(name),
        }
    }

    /// As [`Arguments::get`], where none is as good as nothing.
    pub(super) fn some(&self, place: usize, name: &str) -> Result<Option<Value>, Error> {
        Ok(self.get(place, name)?.filter(|it| !it.is_none()))
    }

    pub(super) fn required(&self, place: usize, name: &str) -> Result<Value, Error> {
        let value = self.get(place, name)?;
        value.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    pub(super) fn text(&self, place: usize, name: &str) -> Result<Option<String>, Error> {
        let value = self.some(place, name)?;
        value
            .map(|it| expect_text(&it).map(str::to_owned))
            .transpose()
    }

    pub(super) fn required_text(&self, place: usize, name: &str) -> Result<String, Error> {
        expect_text(&self.required(place, name)?).map(str::to_owned)
    }

    pub(super) fn integer(&self, place: usize, name: &str) -> Result<Option<i64>, Error> {
        self.some(place, name)?.map(i64::try_from).transpose()
    }

    pub(super) fn is_true(&self, place: usize, name: &str) -> Result<bool, Error> {
        Ok(self.get(place, name)?.is_some_and(|it| it.is_true()))
    }

    /// Refuses what has a name that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.named.assert_all_used()
    }
}

pub(super) fn expect_text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| {
        refused(format!(
            "expected a text, found a value of type {}",
            value.kind()
        ))
    })
}

/// Makes the error of an operation that Python refuses too, or whose result there is not known here.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::variables::{self, Variable};
use crate::{ConfigError, Environment, Origin, dotenv, suggestion};

/// The raw values of the known variables, with where each came from.
pub(crate) struct Source {
    values: BTreeMap<&'static str, (OsString, Origin)>,
    /// Those of others, which settings may name.
    others: BTreeMap<String, OsString>,
}

/// One value, ready to be parsed.
pub(crate) struct Raw {
    variable: &'static Variable,
    pub(crate) value: String,
    origin: Origin,
}

impl Source {
    /// Collects the known variables of both sources; the process wins over `.env`, and an empty value
    /// counts as unset.
    pub(crate) fn new(
        process: impl IntoIterator<Item = (OsString, OsString)>,
        dotenv: &str,
    ) -> Result<Self, ConfigError> {
        let mut source = Self {
            values: BTreeMap::new(),
            others: BTreeMap::new(),
        };
        for assignment in dotenv::parse(dotenv)? {
            let origin = Origin::DotEnv {
                line: assignment.line,
            };
            source.insert(&assignment.name, assignment.value.into(), origin)?;
        }
        for (name, value) in process {
            // Names that are not UTF-8 are not ours.
            if let Some(name) = name.to_str() {
                source.insert(name, value, Origin::Process)?;
            }
        }
        Ok(source)
    }

    fn insert(&mut self, name: &str, value: OsString, origin: Origin) -> Result<(), ConfigError> {
        match known(name) {
            Some(variable) if !value.is_empty() => {
                self.values.insert(variable.name, (value, origin));
                Ok(())
            }
            None if name.starts_with(variables::PREFIX) => Err(ConfigError::Unknown {
                name: name.to_owned(),
                origin,
                suggestion: suggestion::nearest(name, names()),
            }),
            None if !value.is_empty() => {
                self.others.insert(name.to_owned(), value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the value of a variable that another one names, if it is text: one that is not in the table, or is.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        let known = self.values.get(name).map(|(value, _)| value);
        self.others.get(name).or(known)?.to_str()
    }

    /// Returns the value of `variable`, else its default in `environment`, if there is one.
    pub(crate) fn get(
        &self,
        variable: &'static Variable,
        environment: Environment,
    ) -> Result<Option<Raw>, ConfigError> {
        let raw = |value, origin| Raw {
            variable,
            value,
            origin,
        };
        let Some((value, origin)) = self.values.get(variable.name) else {
            let default = variable.default.value(environment);
            return Ok(default.map(|value| raw(value.to_owned(), Origin::Default)));
        };
        match value.to_str() {
            Some(value) => Ok(Some(raw(value.to_owned(), *origin))),
            None => {
                let found = "bytes that are not UTF-8".to_owned();
                Err(invalid(variable, *origin, found))
            }
        }
    }
}

impl Raw {
    /// Returns the error that this value is not what the variable takes.
    pub(crate) fn invalid(&self) -> ConfigError {
        let found = match self.variable.secret {
            true => "another value".to_owned(),
            false => format!("`{}`", self.value),
        };
        invalid(self.variable, self.origin, found)
    }

    /// Returns the error that something in this value is not as expected.
    pub(crate) fn wrong(&self, problem: Problem) -> ConfigError {
        ConfigError::Invalid {
            name: self.variable.name,
            origin: self.origin,
            expected: problem.expected,
            found: problem.found,
            fix: problem.fix.to_owned(),
        }
    }
}

/// What is wrong with a value of which a part can be named. No text of it tells a secret.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) fix: &'static str,
}

/// Returns the error that `variable` was set to `found`, which it does not take.
pub(crate) fn invalid(variable: &Variable, origin: Origin, found: String) -> ConfigError {
    ConfigError::Invalid {
        name: variable.name,
        origin,
        expected: variable.kind.to_owned(),
        found,
        fix: format!("correct it, or unset it{}", fallback(variable)),
    }
}

fn fallback(variable: &Variable) -> String {
    match variable.default {
        variables::Default::Everywhere(value) => format!(" for the default `{value}`"),
        variables::Default::By { .. } => " for the environment's default".to_owned(),
        variables::Default::Unset(meaning) => format!(" (then: {meaning})"),
    }
}

fn known(name: &str) -> Option<&'static Variable> {
    variables::ALL
        .iter()
        .copied()
        .find(|variable| variable.name == name)
}

fn names() -> impl Iterator<Item = &'static str> {
    variables::ALL.iter().map(|variable| variable.name)
}

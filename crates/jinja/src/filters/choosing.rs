//! Filters that apply a filter or a test to each item, when it is asked for.

use super::{
    Source,
    attributes::{Getter, Path},
};
use crate::{
    calls::{Filter, Given},
    dict::Dict,
    error::{Result, TemplateError, refused},
    iteration::Generator,
    run::Run,
    tests,
    value::{Value, deepest},
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "map" => map,
        "select" => |run, value, given| Ok(choose(run, value, given, (Picks::Passing, 0))),
        "reject" => |run, value, given| Ok(choose(run, value, given, (Picks::Failing, 0))),
        "selectattr" => |run, value, given| Ok(choose(run, value, given, (Picks::Passing, 1))),
        "rejectattr" => |run, value, given| Ok(choose(run, value, given, (Picks::Failing, 1))),
        "unique" => unique,
        _ => return None,
    })
}

/// Makes a generator that is as deep as what it is made from and all that it is given.
pub(super) fn generator(
    value: &Value,
    given: &Given,
    next: impl FnMut(&Run<'_>) -> Result<Option<Value>> + 'static,
) -> Value {
    let named = given.named.iter().map(|(_, value)| value);
    let all = named.chain(&given.positional).chain([value]);
    Generator::value(deepest(all), next)
}

/// What each item becomes.
enum Mapping {
    Attribute(Path, Option<Value>),
    Filter(Value, Given),
}

fn map(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let mut source = Source::new(value);
    // What is false has no items here, whatever it is.
    let (is_empty, mapping) = (!value.is_true(), Mapping::new(run, given));
    Ok(generator(value, given, move |run| {
        if is_empty {
            return Ok(None);
        }
        let mapping = mapping.as_ref().map_err(TemplateError::clone)?;
        let item = source.next(run)?;
        item.map(|it| mapping.apply(run, &it)).transpose()
    }))
}

impl Mapping {
    fn new(run: &Run<'_>, given: &Given) -> Result<Self> {
        if let Some((name, rest)) = given.positional.split_first() {
            let positional = rest.to_vec();
            let named = given.named.clone();
            return Ok(Self::Filter(name.clone(), Given { positional, named }));
        }
        let arguments = given.read(["attribute", "default"])?;
        match arguments.get(0) {
            Some(path) => {
                let default = arguments.some(1).cloned();
                Ok(Self::Attribute(Path::new(run, Some(path))?, default))
            }
            None => refused("map expects the name of a filter, or an attribute"),
        }
    }

    fn apply(&self, run: &Run<'_>, item: &Value) -> Result<Value> {
        match self {
            Self::Attribute(path, default) => path.of(run, item, default.as_ref()),
            Self::Filter(name, given) => match super::find(name.expect_text()?) {
                Some(filter) => filter(run, item, given),
                None => refused(format!("there is no filter `{}`", name.expect_text()?)),
            },
        }
    }
}

/// Which items stay.
#[derive(Clone, Copy, PartialEq)]
enum Picks {
    Passing,
    Failing,
}

/// What is asked of each item.
struct Question {
    path: Path,
    test: Option<Value>,
    given: Given,
}

/// Chooses items by a test of them, or of what the first `skipped` argument leads to.
fn choose(run: &Run<'_>, value: &Value, given: &Given, (picks, skipped): (Picks, usize)) -> Value {
    let mut source = Source::new(value);
    let (is_empty, question) = (!value.is_true(), Question::new(run, given, skipped));
    generator(value, given, move |run| {
        if is_empty {
            return Ok(None);
        }
        let question = question.as_ref().map_err(TemplateError::clone)?;
        while let Some(item) = source.next(run)? {
            if question.is_met(run, &item)? == (picks == Picks::Passing) {
                return Ok(Some(item));
            }
        }
        Ok(None)
    })
}

impl Question {
    fn new(run: &Run<'_>, given: &Given, skipped: usize) -> Result<Self> {
        let Some((attribute, rest)) = given.positional.split_at_checked(skipped) else {
            return refused("the name of an attribute is missing");
        };
        let (test, rest) = match rest.split_first() {
            Some((test, rest)) => (Some(test.clone()), rest),
            None => (None, rest),
        };
        let (positional, named) = (rest.to_vec(), given.named.clone());
        Ok(Self {
            path: Path::new(run, attribute.first())?,
            test,
            given: Given { positional, named },
        })
    }

    fn is_met(&self, run: &Run<'_>, item: &Value) -> Result<bool> {
        let value = self.path.of(run, item, None)?;
        let Some(name) = &self.test else {
            return Ok(value.is_true());
        };
        match tests::find(name.expect_text()?) {
            Some(test) => test(run, &value, &self.given),
            None => refused(format!("there is no test `{}`", name.expect_text()?)),
        }
    }
}

fn unique(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["case_sensitive", "attribute"])?;
    let getter = Getter::new(run, arguments.get(1), arguments.get(0))?;
    let (mut source, mut seen) = (Source::new(value), Dict::default());
    Ok(generator(value, given, move |run| {
        while let Some(item) = source.next(run)? {
            let key = getter.key(run, &item)?;
            if seen.get(&run.fuel, &key)?.is_none() {
                seen.insert(&run.fuel, key, Value::None)?;
                return Ok(Some(item));
            }
        }
        Ok(None)
    }))
}

//! What must hold of a table before anything is charged by it.

use std::collections::BTreeSet;

use llmopt_domain::Picodollars;

use crate::{Api, Day, Model, Period, Price, Rates, TableError};

/// The least that a token may cost: a tenth of a cent for a million. Less is taken for a slip, and nothing for worse.
const LEAST: u64 = 1_000;
/// The most that a token may cost: 2,000 dollars for a million.
const MOST: u64 = 2_000_000_000;

/// Checks every rule.
///
/// # Errors
/// If one is broken: the first that is found.
pub(crate) fn check(date: Day, models: &[Model]) -> Result<(), TableError> {
    names(models)?;
    for model in models {
        routes(model)?;
        periods(model)?;
        shutdown(model, models)?;
        for period in &model.periods {
            price(model, period)?;
            provenance(date, model, period)?;
        }
    }
    Ok(())
}

/// A name is one model's: nobody is charged for another one.
fn names(models: &[Model]) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for name in models.iter().flat_map(Model::names) {
        if name.is_empty() || name.contains(char::is_whitespace) || !seen.insert(name) {
            return Err(TableError::Rule {
                place: format!("the name `{name}`"),
                expected: "a name without spaces that stands once among all ids and aliases".into(),
                found: "it empty, with a space, or a second time".into(),
                fix: "remove it where it is wrong",
            });
        }
    }
    Ok(())
}

fn routes(model: &Model) -> Result<(), TableError> {
    if model.apis.is_empty() {
        return Err(TableError::Rule {
            place: format!("`{}`", model.id),
            expected: "a route in `apis`".into(),
            found: "none".into(),
            fix: "name the routes that the model answers at",
        });
    }
    Ok(())
}

/// Each price begins where the one before it ends.
fn periods(model: &Model) -> Result<(), TableError> {
    let Some(first) = model.periods.first() else {
        return Err(TableError::Rule {
            place: format!("`{}`", model.id),
            expected: "a price in `periods`".into(),
            found: "none".into(),
            fix: "add one, or remove the model",
        });
    };
    let mut begins = first.from;
    for (number, period) in model.periods.iter().enumerate() {
        if period.from != begins {
            return Err(TableError::Rule {
                place: place(model, period),
                expected: format!("the period to begin on {begins}, when the one before it ends"),
                found: period.from.to_string(),
                fix: "make `from` the `until` of the period before it",
            });
        }
        let last = number + 1 == model.periods.len();
        begins = match period.until {
            Some(until) if period.from < until => until,
            None if last => begins,
            found => {
                return Err(TableError::Rule {
                    place: place(model, period),
                    expected: format!("`until` to be a day after {}", period.from),
                    found: found.map_or_else(|| "none".to_owned(), |day| day.to_string()),
                    fix: "only the last period may have no `until`",
                });
            }
        };
    }
    Ok(())
}

/// A model ends after its last price begins, and what is named instead is there then.
fn shutdown(model: &Model, models: &[Model]) -> Result<(), TableError> {
    let Some(shutdown) = &model.shutdown else {
        return Ok(());
    };
    let place = || format!("the shutdown of `{}`", model.id);
    if let Some(late) = model.periods.iter().find(|it| it.from >= shutdown.on) {
        return Err(TableError::Rule {
            place: place(),
            expected: format!("a day after {}, when a price begins", late.from),
            found: shutdown.on.to_string(),
            fix: "correct the day, or remove the price",
        });
    }
    let Some(replacement) = &shutdown.replacement else {
        return Ok(());
    };
    let instead = models.iter().find(|it| it.id == *replacement);
    if instead.is_none_or(|it| it.shutdown_by(shutdown.on).is_some()) {
        return Err(TableError::Rule {
            place: place(),
            expected: format!(
                "a model of this table that still answers on {}",
                shutdown.on
            ),
            found: format!("`{replacement}`"),
            fix: "name another replacement by its id, or none",
        });
    }
    Ok(())
}

fn price(model: &Model, period: &Period) -> Result<(), TableError> {
    let Price {
        rates: usual,
        long_prompts,
        ..
    } = &period.price;
    rates(model, period, usual)?;
    let mut above = 0;
    for long in long_prompts {
        if long.above_prompt_tokens <= above {
            return Err(TableError::Rule {
                place: place(model, period),
                expected: format!("`above_prompt_tokens` to be more than {above}"),
                found: long.above_prompt_tokens.to_string(),
                fix: "give the shorter prompts first",
            });
        }
        above = long.above_prompt_tokens;
        rates(model, period, &long.rates)?;
    }
    Ok(())
}

fn rates(model: &Model, period: &Period, rates: &Rates) -> Result<(), TableError> {
    let within = |name, rate| within(model, period, (name, rate));
    within("input", rates.input)?;
    within("cache_read", rates.cache_read())?;
    within("cache_write", rates.cache_write())?;
    within("cache_write_long", rates.cache_write_long())?;
    if model.apis != [Api::Embeddings] || rates.output != Picodollars::ZERO {
        within("output", rates.output)?;
    }
    if rates.cache_read() > rates.input {
        return Err(TableError::Rule {
            place: place(model, period),
            expected: format!(
                "`cache_read` to be at most {}, the input's",
                rates.input.get()
            ),
            found: rates.cache_read().get().to_string(),
            fix: "correct it; leave it out where the cache costs what other input costs",
        });
    }
    Ok(())
}

fn within(model: &Model, period: &Period, rate: (&str, Picodollars)) -> Result<(), TableError> {
    let (name, rate) = (rate.0, rate.1.get());
    if (LEAST..=MOST).contains(&rate) {
        return Ok(());
    }
    Err(TableError::Rule {
        place: place(model, period),
        expected: format!("`{name}` to be from {LEAST} to {MOST} picodollars a token"),
        found: rate.to_string(),
        fix: "give dollars for a million tokens times 1,000,000",
    })
}

fn provenance(date: Day, model: &Model, period: &Period) -> Result<(), TableError> {
    if period.source.trim().is_empty() {
        return Err(TableError::Rule {
            place: place(model, period),
            expected: "a source".into(),
            found: "none".into(),
            fix: "say where the price is from",
        });
    }
    if period.verified > date {
        return Err(TableError::Rule {
            place: place(model, period),
            expected: format!("`verified` to be {date} at the latest, the table's date"),
            found: period.verified.to_string(),
            fix: "set the table's date to the day of its last change",
        });
    }
    Ok(())
}

fn place(model: &Model, period: &Period) -> String {
    format!("`{}` from {}", model.id, period.from)
}

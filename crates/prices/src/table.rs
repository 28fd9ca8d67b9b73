use std::{collections::BTreeMap, fmt};

use llmopt_domain::{Digest, Format};
use serde::{Deserialize, Serialize};

use crate::{Day, Model, Price, Shutdown, TableError, rules};

/// The table that this version was built with.
const EMBEDDED: &[u8] = include_bytes!("../prices.json");

/// All prices that are known, each of them checked.
#[derive(Clone, Debug)]
pub struct PriceTable {
    version: TableVersion,
    models: Vec<Model>,
    /// The place in `models` of every id and alias.
    places: BTreeMap<String, usize>,
}

/// Which table a cost was computed with; displayed as its date and the beginning of its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVersion {
    /// The day on which the table was last changed, as it says itself.
    pub date: Day,
    /// The digest of the table's bytes.
    pub digest: Digest,
}

/// What a table says of a model on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'t> {
    /// The price that holds.
    Price {
        /// The model, by whichever of its names it was looked for.
        model: &'t Model,
        /// Its price.
        price: &'t Price,
    },
    /// The provider does not answer any more.
    Retired {
        /// The first day without answers.
        since: Day,
        /// The model to use instead: one that answers on that day.
        replacement: Option<&'t str>,
    },
    /// The table has no price: such a request is to be refused, never to be taken as free.
    Unknown,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "format")]
    _format: Format<1>,
    date: Day,
    models: Vec<Model>,
}

impl PriceTable {
    /// Returns the table that this version was built with.
    ///
    /// # Errors
    /// None, if it is the one that the tests saw.
    pub fn embedded() -> Result<Self, TableError> {
        Self::parse(EMBEDDED)
    }

    /// Reads a table, such as a newer one from a store.
    ///
    /// # Errors
    /// If the bytes are not a table's JSON, have anything that is not known, or break a rule: prices overlap or leave
    /// days out, tiers do not ascend, a cache costs more to read than to do without, a name stands for two models.
    pub fn parse(bytes: &[u8]) -> Result<Self, TableError> {
        let document = read(bytes)?;
        rules::check(document.date, &document.models)?;
        let names = document.models.iter().enumerate();
        let places = names
            .flat_map(|(place, model)| model.names().map(move |name| (name.to_owned(), place)));
        Ok(Self {
            version: TableVersion {
                date: document.date,
                digest: Digest::of_bytes(bytes),
            },
            places: places.collect(),
            models: document.models,
        })
    }

    /// Finds what a model costs on a day: that of a request's start.
    pub fn find(&self, model: &str, at: Day) -> Lookup<'_> {
        let Some(model) = self.model(model) else {
            return Lookup::Unknown;
        };
        if let Some(shutdown) = model.shutdown_by(at) {
            return Lookup::Retired {
                since: shutdown.on,
                replacement: self.replacement(shutdown, at),
            };
        }
        match model.price(at) {
            Some(price) => Lookup::Price { model, price },
            None => Lookup::Unknown,
        }
    }

    /// Returns a model by its id or an alias.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.places
            .get(name)
            .and_then(|place| self.models.get(*place))
    }

    /// Returns all models, in the table's order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Returns which table this is.
    pub fn version(&self) -> &TableVersion {
        &self.version
    }

    /// Follows replacements, which end one day too, to one that answers.
    fn replacement<'t>(&'t self, shutdown: &'t Shutdown, at: Day) -> Option<&'t str> {
        let mut next = shutdown.replacement.as_deref();
        // Each ends later than the one before, so that this ends.
        while let Some(shutdown) = next.and_then(|id| self.model(id)?.shutdown_by(at)) {
            next = shutdown.replacement.as_deref();
        }
        next
    }
}

impl fmt::Display for TableVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.date, self.digest.short())
    }
}

fn read(bytes: &[u8]) -> Result<Document, TableError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let document = read.map_err(|error| TableError::Json {
        place: error.path().to_string(),
        source: error.into_inner(),
    })?;
    let end = deserializer.end();
    end.map_err(|source| TableError::Json {
        place: "the end".to_owned(),
        source,
    })?;
    Ok(document)
}

#[cfg(test)]
mod tests;

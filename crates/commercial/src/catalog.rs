use llmopt_prices::{Day, Model, Price};

use crate::{Commercial, CommercialError};

/// A model of a provider's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The model, as the provider spells it.
    pub model: String,
    /// The provider's name.
    pub provider: String,
}

/// A model that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The provider's name.
    pub provider: String,
    /// What the table says of the model.
    pub model: Model,
    /// What it costs today; `None` where nobody knows.
    pub price: Option<Price>,
}

impl Commercial {
    /// Returns whether `model` is one to ask here: an id of the table of prices, whatever its provider,
    /// `PROVIDER/MODEL` with a provider that is configured, or an alias.
    pub fn knows(&self, model: &str) -> bool {
        todo!()
    }

    /// Returns who is asked for `model`, the first to be asked first, with the most that the question may cost.
    pub fn resolve(&self, model: &str, today: Day) -> Result<Vec<Target>, CommercialError> {
        todo!()
    }

    /// Returns every model of the table whose provider is configured, in the table's order.
    pub fn catalog(&self, today: Day) -> Vec<CatalogEntry> {
        todo!()
    }
}

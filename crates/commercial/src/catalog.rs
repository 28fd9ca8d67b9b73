use std::sync::Arc;

use llmopt_prices::{Api, Day, Lookup, Model, Price, PriceTable, Refusal};
use llmopt_providers::OpenAiRoute;

use crate::{Commercial, CommercialError, Inner, provider::Configured};

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

/// A model to ask, and all that is known of what it costs.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) provider: Arc<Configured>,
    pub(crate) model: String,
    pub(crate) price: Price,
    pub(crate) price_version: String,
    /// Where the model answers.
    pub(crate) route: OpenAiRoute,
    /// The longest answer, where that is known.
    pub(crate) max_output_tokens: Option<u64>,
    /// What the model is known to refuse.
    pub(crate) rejects: Vec<Refusal>,
    /// Whether tokens may be generated, and cost, that are not in the answer.
    pub(crate) may_think: bool,
}

impl Commercial {
    /// Returns whether `model` is one to ask here: an id of the table of prices, whatever its provider,
    /// `PROVIDER/MODEL` with a provider that is configured, or an alias.
    pub fn knows(&self, model: &str) -> bool {
        self.inner.prices.current().model(model).is_some()
            || self.inner.with_prefix(model).is_some()
            || self.inner.aliases.contains_key(model)
    }

    /// Returns who is asked for `model`, the first to be asked first.
    ///
    /// # Errors
    /// Why the first of them cannot be asked, if none can.
    pub fn resolve(&self, model: &str, today: Day) -> Result<Vec<Target>, CommercialError> {
        let mut targets = Vec::new();
        let mut first_error = None;
        for candidate in self.inner.candidates(model, today) {
            match candidate {
                Ok(candidate) => targets.push(candidate.target()),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) if targets.is_empty() => Err(error),
            _ => Ok(targets),
        }
    }

    /// Returns every model of the table that answers and whose provider is configured, in the table's order.
    pub fn catalog(&self, today: Day) -> Vec<CatalogEntry> {
        let table = self.inner.prices.current();
        let entry = |model: &Model| {
            let provider = self.inner.seller_of(model)?;
            route(model)?;
            Some(CatalogEntry {
                provider: provider.setup.name.clone(),
                price: model.price(today).cloned(),
                model: model.clone(),
            })
        };
        table.models().iter().filter_map(entry).collect()
    }
}

impl Inner {
    /// Finds whom to ask for `model`, in turn; each may be one who cannot be asked. There is one at least.
    pub(crate) fn candidates(
        &self,
        model: &str,
        today: Day,
    ) -> Vec<Result<Candidate, CommercialError>> {
        let table = self.prices.current();
        let is_model = table.model(model).is_some() || self.with_prefix(model).is_some();
        match self.aliases.get(model).filter(|_| !is_model) {
            Some(chain) => {
                let chain = chain.iter();
                chain.map(|it| self.candidate(&table, it, today)).collect()
            }
            None => vec![self.candidate(&table, model, today)],
        }
    }

    fn candidate(
        &self,
        table: &PriceTable,
        name: &str,
        today: Day,
    ) -> Result<Candidate, CommercialError> {
        if let Some((provider, model)) = self.with_prefix(name) {
            return candidate(table, provider, model, today);
        }
        let unknown = || CommercialError::UnknownModel {
            model: name.to_owned(),
        };
        let model = table.model(name).ok_or_else(unknown)?;
        let provider = self.seller_of(model);
        let provider = provider.ok_or_else(|| CommercialError::NotConfigured {
            model: name.to_owned(),
            provider: model.provider.name().to_owned(),
        })?;
        candidate(table, provider, name, today)
    }

    /// Takes `PROVIDER/MODEL` apart, if there is such a provider.
    pub(crate) fn with_prefix<'m>(&self, model: &'m str) -> Option<(&Arc<Configured>, &'m str)> {
        let (name, model) = model.split_once('/')?;
        let mut providers = self.providers.iter();
        let provider = providers.find(|it| it.setup.name == name)?;
        (!model.is_empty()).then_some((provider, model))
    }

    fn seller_of(&self, model: &Model) -> Option<&Arc<Configured>> {
        let mut providers = self.providers.iter();
        providers.find(|it| it.setup.seller == Some(model.provider))
    }
}

impl Candidate {
    pub(crate) fn target(&self) -> Target {
        Target {
            model: self.model.clone(),
            provider: self.provider.setup.name.clone(),
        }
    }
}

fn candidate(
    table: &PriceTable,
    provider: &Arc<Configured>,
    model: &str,
    today: Day,
) -> Result<Candidate, CommercialError> {
    let seller = provider.setup.seller;
    let sold = table.model(model).filter(|it| Some(it.provider) == seller);
    let route = sold.map_or(Some(OpenAiRoute::Chat), route);
    let route = route.ok_or_else(|| CommercialError::NoAnswers {
        model: model.to_owned(),
    })?;
    let price = match sold.map(|_| table.find(model, today)) {
        Some(Lookup::Price { price, .. }) => Some(price.clone()),
        Some(Lookup::Retired { since, replacement }) => {
            return Err(CommercialError::Retired {
                model: model.to_owned(),
                since,
                replacement: replacement.map(str::to_owned),
            });
        }
        Some(Lookup::Unknown) | None => provider.setup.ceiling.map(Price::from),
    };
    let price = price.ok_or_else(|| CommercialError::NoPrice {
        model: model.to_owned(),
    })?;
    Ok(Candidate {
        provider: Arc::clone(provider),
        model: model.to_owned(),
        price,
        price_version: table.version().to_string(),
        route,
        max_output_tokens: sold.and_then(|it| it.max_output_tokens),
        rejects: sold.map(|it| it.rejects.clone()).unwrap_or_default(),
        // Of what the table does not know nobody knows it.
        may_think: sold.is_none_or(|it| it.thinks),
    })
}

/// Returns where a model answers, if it does.
fn route(model: &Model) -> Option<OpenAiRoute> {
    let answers_at = |api| model.apis.contains(&api);
    match () {
        () if answers_at(Api::Chat) || answers_at(Api::Messages) => Some(OpenAiRoute::Chat),
        () if answers_at(Api::Responses) => Some(OpenAiRoute::Responses),
        () => None,
    }
}

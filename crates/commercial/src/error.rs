use std::time::Duration;

use llmopt_domain::Picodollars;
use llmopt_prices::{CostError, Day};
use llmopt_providers::ProviderError;
use llmopt_spending::{Refusal, SpendingError};
use llmopt_storage::StorageError;
use thiserror::Error;

/// Why a commercial model does not answer.
#[derive(Debug, Error)]
pub enum CommercialError {
    /// No provider has the model.
    #[error(
        "no provider that is configured has a model `{model}`: expected an id of the table of prices, `PROVIDER/MODEL`, or an alias"
    )]
    UnknownModel {
        /// As it was asked for.
        model: String,
    },
    /// The provider of the model is not configured.
    #[error("model `{model}` is {provider}'s, which is not configured: set its key")]
    NotConfigured {
        /// The model.
        model: String,
        /// Its provider.
        provider: String,
    },
    /// Nobody knows what the model costs.
    #[error(
        "model `{model}` has no price: it is refused until the table of prices has one, or its provider a ceiling"
    )]
    NoPrice {
        /// The model.
        model: String,
    },
    /// The model answers nothing.
    #[error("model `{model}` makes embeddings and gives no answers: ask for a model that answers")]
    NoAnswers {
        /// The model.
        model: String,
    },
    /// The provider does not answer with the model any more.
    #[error("model `{model}` was shut down on {since}{}", instead(replacement.as_deref()))]
    Retired {
        /// The model.
        model: String,
        /// The first day without it.
        since: Day,
        /// The model to ask instead.
        replacement: Option<String>,
    },
    /// The model is known to refuse what is asked for: it was not asked.
    #[error("model `{model}` cannot answer this: {problem}")]
    Unfit {
        /// The model.
        model: String,
        /// What it does not take, and what it does.
        problem: String,
    },
    /// The price says nothing of what is asked for.
    #[error("the cost of model `{model}` cannot be bounded")]
    Cost {
        /// The model.
        model: String,
        /// Why.
        source: CostError,
    },
    /// A budget has less than the request may cost.
    #[error(
        "the request may cost {bound}, and budget `{}` has {} left of {}", .refusal.row, left(.refusal), .refusal.limit
    )]
    Budget {
        /// The most that the request may cost.
        bound: Picodollars,
        /// Which budget.
        refusal: Box<Refusal>,
    },
    /// The provider's limit has no turn soon enough.
    #[error("{provider} is asked as often as its limit of {limit} allows: come again in {} s", .wait.as_secs_f64().ceil())]
    Limited {
        /// The provider.
        provider: String,
        /// What is limited: `requests a minute` or `tokens a minute`, and of what.
        limit: String,
        /// After how long another question is served.
        wait: Duration,
    },
    /// The key has used the tokens of its minute.
    #[error("the key has used the {limit} tokens a minute that it may: come again in {} s", .wait.as_secs_f64().ceil())]
    KeyLimited {
        /// The limit.
        limit: u32,
        /// After how long another question is served.
        wait: Duration,
    },
    /// The question needs more tokens than may be used in a minute.
    #[error("the request may use {wanted} tokens, and {of} may use {limit} a minute")]
    OverTokenLimit {
        /// Whose limit it is: the provider's or the key's.
        of: String,
        /// What it needs.
        wanted: u64,
        /// The limit.
        limit: u32,
    },
    /// The provider has failed again and again, and is left alone.
    #[error("{provider} has failed again and again and is left alone for {} s", .retry_after.as_secs_f64().ceil())]
    CircuitOpen {
        /// The provider.
        provider: String,
        /// For how long.
        retry_after: Duration,
    },
    /// The provider did not answer, or not wholly; what it cost is settled.
    #[error("{provider} gave no answer after {attempts} {}", calls(*attempts))]
    Provider {
        /// The provider that was asked last.
        provider: String,
        /// How often providers were asked.
        attempts: u32,
        /// Why.
        source: Box<ProviderError>,
    },
    /// The request has a reservation: another with its name is or was worked on.
    #[error("a request of this name was asked before")]
    Repeated,
    /// Whatever works on questions broke. What it cost is settled by the next sweep.
    #[error("the question was lost: a fault of llmopt's, which its log tells")]
    Lost,
    /// The budgets could not be asked.
    #[error("the budgets could not be asked, so that nothing was")]
    Spending(#[from] SpendingError),
    /// The limits of the providers could not be asked.
    #[error("the limits of the providers could not be asked, so that nothing was")]
    Rates(#[source] StorageError),
}

/// What is wrong with what [`Commercial`](crate::Commercial) is made of.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SetupError {
    /// Two providers have a name.
    #[error("two providers are called `{0}`: expected a name for each")]
    SameName(String),
    /// A name that cannot be one.
    #[error("`{0}` is no name of a provider: expected 1 to 32 of a-z, 0-9 and `-`")]
    Name(String),
    /// An alias is the name of a model.
    #[error("alias `{0}` is the name of a commercial model: expected another")]
    ShadowsModel(String),
    /// An alias names what is no model.
    #[error("alias `{alias}` names `{model}`, which no provider has")]
    UnknownModel {
        /// The alias.
        alias: String,
        /// What it names.
        model: String,
    },
    /// An alias names nothing.
    #[error("alias `{0}` names no model: expected one at least")]
    Empty(String),
}

impl CommercialError {
    /// Returns after how long the question has its turn, where that is all that it lacks.
    pub fn until_turn(&self) -> Option<Duration> {
        match self {
            Self::Limited { wait, .. } | Self::KeyLimited { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// Returns whether the question has taken its tokens from the limit of its key, if that has one.
    pub fn counts_for_key(&self) -> bool {
        matches!(self, Self::Limited { .. } | Self::Repeated)
    }

    /// Returns after how long the same question may work, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { .. } | Self::KeyLimited { .. } => self.until_turn(),
            Self::CircuitOpen { retry_after, .. } => Some(*retry_after),
            Self::Provider { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Returns whether another model of the same alias may answer where this one did not.
    pub(crate) fn lets_others_try(&self) -> bool {
        match self {
            Self::Budget { refusal, .. } => refusal.row.scope.as_str().starts_with("provider/"),
            // What one provider finds malformed, others do too.
            Self::Provider { source, .. } => !matches!(**source, ProviderError::Invalid(_)),
            Self::UnknownModel { .. }
            | Self::NotConfigured { .. }
            | Self::NoPrice { .. }
            | Self::NoAnswers { .. }
            | Self::Retired { .. }
            | Self::Unfit { .. }
            | Self::Limited { .. }
            | Self::OverTokenLimit { .. }
            | Self::CircuitOpen { .. } => true,
            Self::KeyLimited { .. }
            | Self::Cost { .. }
            | Self::Repeated
            | Self::Lost
            | Self::Spending(_)
            | Self::Rates(_) => false,
        }
    }
}

fn instead(replacement: Option<&str>) -> String {
    replacement.map_or_else(String::new, |model| format!(": ask for `{model}` instead"))
}

fn left(refusal: &Refusal) -> Picodollars {
    let left = u64::try_from(refusal.available).unwrap_or_default();
    Picodollars::new(left).unwrap_or_default()
}

fn calls(attempts: u32) -> &'static str {
    if attempts == 1 { "call" } else { "calls" }
}

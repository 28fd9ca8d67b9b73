//! Asks commercial models: finds who answers, reserves the most that it may cost, waits for its turn, asks, asks
//! again or another where that may help, and settles what it did cost.
//!
//! Knows the order of these steps, and what each kind of failure makes of them. Does not know HTTP routes, the
//! environment, nor where budgets and rates are kept; prices, budgets and the providers' APIs are crates of their own.

mod answer;
mod ask;
mod bound;
mod call;
mod catalog;
mod error;
mod fit;
mod line;
mod past;
mod prices;
mod probe;
mod provider;
mod question;
mod tab;
mod turn;
mod used;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use answer::{Answer, AnswerEvent, AnswerStream, Receipt};
pub use bound::Quote;
pub use catalog::{CatalogEntry, Target};
pub use error::{CommercialError, SetupError};
pub use llmopt_providers::Circuit;
use llmopt_providers::{RetryPolicy, SharedRetryBudget, Timeouts};
use llmopt_spending::{AlertSink, Spending};
use llmopt_storage::RateStore;
pub use past::Past;
pub use prices::PriceBook;
pub use probe::{CircuitStatus, Probe};
pub use provider::{ModelLimits, ProviderSetup};
pub use question::{Asker, Question, WhenLimited};

use provider::Configured;
use tab::Short;

/// Commercial models, for as many tasks as share it. Cheap to clone.
#[derive(Clone)]
pub struct Commercial {
    inner: Arc<Inner>,
}

struct Inner {
    providers: Vec<Arc<Configured>>,
    aliases: BTreeMap<String, Vec<String>>,
    prices: PriceBook,
    spending: Spending,
    rates: Arc<dyn RateStore>,
    alerts: Arc<dyn AlertSink>,
    policy: Policy,
    retries: SharedRetryBudget,
    short: Short,
}

/// What [`Commercial`] works with.
pub struct CommercialParts {
    /// The providers that are configured; their names differ.
    pub providers: Vec<ProviderSetup>,
    /// Names for models, each with the ids to ask in turn: where one fails before its first word, the next is
    /// asked. The name of a model of a provider's is none.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// What models cost.
    pub prices: PriceBook,
    /// The budgets and the ledger.
    pub spending: Spending,
    /// Keeps the turns of the providers' limits.
    pub rates: Arc<dyn RateStore>,
    /// Who is told where a limit sends questions back again and again.
    pub alerts: Arc<dyn AlertSink>,
    /// How long to wait, and how often to try.
    pub policy: Policy,
}

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How long a question may wait for its turn before it is sent back with the time of its turn.
    pub longest_wait: Duration,
    /// When a question is asked again.
    pub retry: RetryPolicy,
    /// Questions that are asked again, in per cent of all that this process asks and of the provider's limit, besides a
    /// few.
    pub retry_percent: u32,
    /// How long answers are waited for.
    pub timeouts: Timeouts,
    /// Tokens of an answer where the question does not say how many.
    pub default_max_tokens: u32,
}

impl Default for Policy {
    /// Two seconds for a turn, what the official clients do for the rest, a tenth of the questions again, and
    /// 1,024 tokens.
    fn default() -> Self {
        Self {
            longest_wait: Duration::from_secs(2),
            retry: RetryPolicy::default(),
            retry_percent: 10,
            timeouts: Timeouts::default(),
            default_max_tokens: 1_024,
        }
    }
}

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use llmopt_prices::{Ceiling, Provider as Seller};
use llmopt_providers::{CircuitBreaker, Provider};

/// A provider as it is configured.
pub struct ProviderSetup {
    /// What it is called in models' ids (`NAME/MODEL`), in the ledger and in budgets (`provider/NAME`).
    pub name: String,
    /// Whose models' prices hold for it; `None` for a server of one's own.
    pub seller: Option<Seller>,
    /// Asks it.
    pub client: Arc<dyn Provider>,
    /// What models cost that the table has no price for; `None` refuses them.
    pub ceiling: Option<Ceiling>,
    /// How often it may be asked, all models together.
    pub limits: ModelLimits,
    /// How often single models may be asked, by their ids.
    pub models: BTreeMap<String, ModelLimits>,
}

/// How often models may be asked, by all processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelLimits {
    /// Requests in a minute, and as many at once; `None` is no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens in a minute, as estimated before; `None` is no limit.
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// A provider, and how it has done lately.
pub(crate) struct Configured {
    pub(crate) setup: ProviderSetup,
    pub(crate) breaker: CircuitBreaker,
}

use std::{collections::BTreeMap, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use llmopt_prices::{Ceiling, Provider as Seller, Region};
use llmopt_providers::{BreakerSettings, CircuitBreaker, Provider};
use llmopt_spending::{AlertSink, BudgetAlert};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{SetupError, turn::now_us};

/// A provider as it is configured.
pub struct ProviderSetup {
    /// What it is called in models' ids (`NAME/MODEL`), in the ledger and in budgets (`provider/NAME`).
    pub name: String,
    /// Whose models' prices hold for it; `None` for a server of one's own.
    pub seller: Option<Seller>,
    /// Whether it answers anywhere, or only in a region that was chosen, which costs more.
    pub region: Region,
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

impl fmt::Debug for ProviderSetup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderSetup")
            .field("name", &self.name)
            .field("seller", &self.seller)
            .field("ceiling", &self.ceiling)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A provider, and how it has done lately.
pub(crate) struct Configured {
    pub(crate) setup: ProviderSetup,
    pub(crate) breaker: CircuitBreaker,
    refusals: Mutex<Refusals>,
}

/// Questions that were sent back because of a limit, lately.
struct Refusals {
    since: Instant,
    count: u32,
}

/// So many in so long a time are told of, once in that time.
const SUSTAINED: u32 = 20;
const LATELY: Duration = Duration::from_secs(300);

impl Configured {
    pub(crate) fn new(setup: ProviderSetup) -> Result<Self, SetupError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=32).contains(&setup.name.len()) || !setup.name.bytes().all(plain) {
            return Err(SetupError::Name(setup.name));
        }
        Ok(Self {
            setup,
            breaker: CircuitBreaker::new(BreakerSettings::default()),
            refusals: Mutex::new(Refusals {
                since: Instant::now(),
                count: 0,
            }),
        })
    }

    /// Notes that a question was sent back because of a limit, and tells of it where that goes on and on.
    pub(crate) async fn note_refusal(&self, alerts: &dyn AlertSink) {
        let is_due = {
            let mut refusals = self.refusals.lock();
            if refusals.since.elapsed() > LATELY {
                *refusals = Refusals {
                    since: Instant::now(),
                    count: 0,
                };
            }
            refusals.count += 1;
            refusals.count == SUSTAINED
        };
        if !is_due {
            return;
        }
        let alert = BudgetAlert::Limited {
            provider: self.setup.name.clone(),
            refused: SUSTAINED,
            seconds: LATELY.as_secs(),
            at_ms: now_us() / 1_000,
        };
        if let Err(error) = alerts.tell(&alert).await {
            let error: &dyn std::error::Error = &*error;
            tracing::warn!(error, "an alert was not told");
        }
    }
}

use std::sync::Arc;

use llmopt_prices::Day;
use llmopt_providers::SharedRetryBudget;
use llmopt_spending::Spending;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::{
    Answer, Commercial, CommercialError, CommercialParts, Inner, PriceBook, Question, Quote,
    SetupError, line::Line, provider::Configured, tab::Short, turn::now_us,
};

/// Parts of an answer that wait for whoever reads it.
const WAITING_PARTS: usize = 32;
/// Questions that may be asked again before any other was asked.
pub(crate) const FIRST_RETRIES: u32 = 10;

impl Commercial {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If two providers have one name or one has none that can be, or an alias is a model's or names none.
    pub fn new(parts: CommercialParts) -> Result<Self, SetupError> {
        let mut providers: Vec<Arc<Configured>> = Vec::new();
        for setup in parts.providers {
            if providers.iter().any(|it| it.setup.name == setup.name) {
                return Err(SetupError::SameName(setup.name));
            }
            providers.push(Arc::new(Configured::new(setup)?));
        }
        let inner = Inner {
            providers,
            aliases: parts.aliases,
            prices: parts.prices,
            spending: parts.spending,
            rates: parts.rates,
            alerts: parts.alerts,
            retries: SharedRetryBudget::new(parts.policy.retry_percent, FIRST_RETRIES),
            policy: parts.policy,
            short: Short::default(),
        };
        inner.check_aliases()?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Asks a question and returns with the first part of the answer in hand; before that, other attempts and
    /// other models of the alias may have been tried. Dropping the call cancels it at the provider, and what it
    /// used is settled.
    ///
    /// # Errors
    /// Whatever [`CommercialError`] says; nothing stays reserved.
    pub async fn ask(&self, question: Question) -> Result<Answer, CommercialError> {
        let (line, events) = mpsc::channel(WAITING_PARTS);
        let (begun, begins) = oneshot::channel();
        // In a task of its own, which ends by settling whatever becomes of the caller. It is large, and beginning and
        // ending a task moves it about: that is a pointer.
        let work = Line::new(Arc::clone(&self.inner), question, line).run(begun);
        tokio::spawn(Box::pin(work).in_current_span());
        let target = begins.await.unwrap_or(Err(CommercialError::Lost))?;
        Ok(Answer { target, events })
    }

    /// Says what a question would cost, without asking it: at the first model that would be asked.
    ///
    /// # Errors
    /// As [`Commercial::ask`], where no model could be asked.
    pub fn quote(&self, question: &Question) -> Result<Quote, CommercialError> {
        let mut refused = None;
        for candidate in self.inner.candidates(&question.model, today()) {
            let default_max_tokens = self.inner.policy.default_max_tokens;
            let quoted = candidate.and_then(|it| {
                it.check(question)?;
                it.quote(question, default_max_tokens)
            });
            match quoted {
                Ok(quote) => return Ok(quote),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or(CommercialError::Lost))
    }

    /// Returns the budgets and the ledger.
    pub fn spending(&self) -> &Spending {
        &self.inner.spending
    }

    /// Returns the prices.
    pub fn prices(&self) -> &PriceBook {
        &self.inner.prices
    }
}

impl Inner {
    fn check_aliases(&self) -> Result<(), SetupError> {
        let table = self.prices.current();
        let is_model = |name: &str| table.model(name).is_some() || self.with_prefix(name).is_some();
        for (alias, chain) in &self.aliases {
            if is_model(alias) {
                return Err(SetupError::ShadowsModel(alias.clone()));
            }
            if chain.is_empty() {
                return Err(SetupError::Empty(alias.clone()));
            }
            if let Some(model) = chain.iter().find(|model| !is_model(model)) {
                return Err(SetupError::UnknownModel {
                    alias: alias.clone(),
                    model: model.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Returns the day of now.
pub(crate) fn today() -> Day {
    Day::of_unix_ms(now_us() / 1_000)
}

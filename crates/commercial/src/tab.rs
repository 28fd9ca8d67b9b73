use std::{collections::HashMap, time::Duration};

use llmopt_spending::{Ask, Outcome, Refusal, Settlement, Truth};
use llmopt_storage::spend::{
    Asked, Attempt, BudgetScope, Lasting, LedgerEntry, RequestId, Reservation, Sent,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    CommercialError, Inner, Question, Quote, catalog::Candidate, turn::now_us, used::Used,
};

/// How often settling is tried; after that a sweep does it, at the bound.
const TRIES: u32 = 3;
/// How long between two of them.
const PAUSE: Duration = Duration::from_millis(100);
/// How long after the last moment of an answer its reservation is taken for abandoned.
const GRACE: Duration = Duration::from_secs(60);

/// What is reserved for calls to one model, until it is settled. What of them may cost something is one call at
/// most.
pub(crate) struct Tab {
    reservation: Reservation,
    asked: Asked,
    /// Ends when the reservation would survive a loss of power: until then no provider has had all of a question.
    pub(crate) lasting: Lasting,
    /// The calls so far.
    pub(crate) attempts: Vec<Attempt>,
}

impl Inner {
    /// Reserves what a call to `candidate` may cost, the question's `nth` of such, and notes that it is about to be
    /// made, and answered in the time that is left.
    pub(crate) async fn open_tab(
        &self,
        candidate: &Candidate,
        quote: &Quote,
        question: &Question,
        (nth, time_left): (u32, Duration),
    ) -> Result<Tab, CommercialError> {
        let ask = ask(candidate, quote, question, (nth, time_left))?;
        let asked = ask.asked.clone();
        match self.spending.reserve_sent(&ask).await? {
            Outcome::Reserved(Sent {
                reservation,
                lasting,
            }) => Ok(Tab {
                reservation,
                asked,
                lasting,
                attempts: Vec::new(),
            }),
            Outcome::Refused(refusal) => {
                self.short.note(&refusal.row.scope);
                Err(over_budget(quote, refusal))
            }
            Outcome::Replay(_) => Err(CommercialError::Repeated),
        }
    }

    /// Refuses a question that a budget does not pay for which had too little lately: so that it takes no turn from
    /// those who have what they need.
    pub(crate) async fn look_at_budgets(
        &self,
        candidate: &Candidate,
        quote: &Quote,
        question: &Question,
    ) -> Result<(), CommercialError> {
        let ask = ask(candidate, quote, question, (0, Duration::ZERO))?;
        if !self.short.has_any(&ask.scopes) {
            return Ok(());
        }
        match self.spending.shortage(&ask).await? {
            Some(refusal) => Err(over_budget(quote, refusal)),
            None => Ok(()),
        }
    }

    /// Settles what the calls of a tab cost, and returns what the ledger has; `None` where the store does not
    /// answer: then a sweep settles it at its bound.
    pub(crate) async fn settle(&self, tab: &Tab, used: &Used) -> Option<LedgerEntry> {
        let truth = Truth {
            usage: used.usage,
            cost: used.cost,
            asked: tab.asked.clone(),
            attempts: tab.attempts.clone(),
            is_assumed: used.is_assumed,
            overrun: used.overrun.clone(),
            now_ms: now_us() / 1_000,
        };
        for nth in 1..=TRIES {
            match self.spending.settle(&tab.reservation, &truth).await {
                Ok(Settlement::Settled(entry) | Settlement::Before(entry)) => return Some(entry),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    let request = &tab.reservation.request;
                    tracing::error!(%request, nth, error, "what a request cost is not settled");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }
}

impl Tab {
    /// Notes a call.
    pub(crate) fn note(&mut self, candidate: &Candidate, used: &Used, failure: Option<String>) {
        self.attempts.push(Attempt {
            provider: candidate.provider.setup.name.clone(),
            model: candidate.model.clone(),
            usage: used.usage,
            cost: used.cost,
            failure,
        });
    }
}

/// Budgets that had too little lately.
#[derive(Default)]
pub(crate) struct Short(Mutex<HashMap<BudgetScope, Instant>>);

impl Short {
    /// How long that is remembered.
    const LATELY: Duration = Duration::from_secs(60);

    fn note(&self, scope: &BudgetScope) {
        let mut short = self.0.lock();
        short.retain(|_, since| since.elapsed() < Self::LATELY);
        short.insert(scope.clone(), Instant::now());
    }

    fn has_any(&self, scopes: &[BudgetScope]) -> bool {
        let short = self.0.lock();
        let is_short = |scope| {
            let since: Option<&Instant> = short.get(scope);
            since.is_some_and(|since| since.elapsed() < Self::LATELY)
        };
        scopes.iter().any(is_short)
    }
}

fn ask(
    candidate: &Candidate,
    quote: &Quote,
    question: &Question,
    (nth, time_left): (u32, Duration),
) -> Result<Ask, CommercialError> {
    let provider = &candidate.provider.setup.name;
    let now_ms = now_us() / 1_000;
    let lasts = u64::try_from((time_left + GRACE).as_millis()).unwrap_or(u64::MAX);
    Ok(Ask {
        request: part(&question.request, nth)?,
        bound: quote.bound,
        scopes: scopes(&question.asker.key, provider),
        asked: Asked {
            key: question.asker.key.clone(),
            model: candidate.model.clone(),
            provider: provider.clone(),
            price_version: candidate.price_version.clone(),
        },
        now_ms,
        expires_ms: now_ms.saturating_add(lasts),
    })
}

fn over_budget(quote: &Quote, refusal: Refusal) -> CommercialError {
    CommercialError::Budget {
        bound: quote.bound,
        refusal: Box::new(refusal),
    }
}

/// Whose budgets a call is spent from, narrowest first.
fn scopes(key: &str, provider: &str) -> Vec<BudgetScope> {
    let names = [
        format!("key/{key}"),
        format!("provider/{provider}"),
        "all".to_owned(),
    ];
    let wanted = names.into_iter().skip(usize::from(key.is_empty()));
    wanted
        .filter_map(|name| BudgetScope::try_from(name).ok())
        .collect()
}

/// Names the tab of a request that comes after `nth` others.
pub(crate) fn part(request: &RequestId, nth: u32) -> Result<RequestId, CommercialError> {
    request.part(nth).map_err(|_| CommercialError::Repeated)
}

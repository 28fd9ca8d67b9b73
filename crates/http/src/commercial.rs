//! What each error of asking a commercial model is to a caller.

use std::{fmt::Write as _, time::Duration};

use axum::Extension;
use llmopt_commercial::{Asker, CommercialError};
use llmopt_domain::{Picodollars, error_chain};
use llmopt_prices::CostError;
use llmopt_providers::ProviderError;
use llmopt_spending::{Refusal, SpendingError};
use llmopt_storage::{StorageError, spend::RequestId};

use crate::{BudgetShortage, Caller, Code, Problem, timestamp};

/// After how long a budget that many are at may be asked again.
const MOMENT: Duration = Duration::from_secs(1);

impl From<CommercialError> for Problem {
    fn from(error: CommercialError) -> Self {
        let code = code(&error);
        if code.status().is_server_error() {
            // No word of the provider's is in the error's texts: they may repeat the prompt.
            tracing::error!(error = %error_chain(&error), code = code.as_str(), "a commercial model did not answer");
        }
        let mut problem = match code {
            Code::Internal => Self::new(
                code,
                "something failed that is not the caller's fault: the log says what, by the request's id",
            )
            .with_cause(error_chain(&error)),
            _ => Self::new(code, detail(&error)),
        };
        if let CommercialError::Budget { bound, refusal } = &error {
            problem = problem.with_budget(shortage(*bound, refusal));
        }
        if let Some(wait) = wait(&error) {
            problem = problem.with_retry_after(wait);
        }
        if is_final(&error) {
            problem = problem.as_final();
        }
        problem
    }
}

/// Tells whose question it is by the key that was shown, if one was.
pub fn asker(caller: Option<&Extension<Caller>>) -> Asker {
    caller.map_or_else(Asker::default, |Extension(caller)| Asker {
        key: caller.id().to_owned(),
        tokens_per_minute: caller.0.record.limits.tokens_per_minute,
    })
}

/// Names a request of a caller for what it costs, as no other is named, whatever process draws it.
///
/// # Errors
/// If the system has no random bytes.
pub fn billed_request() -> Result<RequestId, Problem> {
    let mut bytes = [0_u8; 16];
    let drawn = getrandom::fill(&mut bytes).map_err(|error| error.to_string());
    let mut name = String::from("req_");
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    let named = drawn.and_then(|()| RequestId::try_from(name).map_err(|error| error.to_string()));
    named.map_err(|cause| {
        tracing::error!(error = cause, "a request could not be named");
        Problem::new(Code::Internal, "the request could not be named: try again").with_cause(cause)
    })
}

fn code(error: &CommercialError) -> Code {
    match error {
        CommercialError::UnknownModel { .. } | CommercialError::NoAnswers { .. } => {
            Code::ModelNotFound
        }
        CommercialError::NotConfigured { .. } => Code::ProviderNotConfigured,
        CommercialError::NoPrice { .. } => Code::ModelWithoutPrice,
        CommercialError::Retired { .. } => Code::ModelRetired,
        CommercialError::Cost { source, .. } => match source {
            CostError::NoTerms { .. } => Code::ModelWithoutPrice,
            CostError::TooMuch => Code::ValidationFailed,
        },
        CommercialError::Budget { .. } => Code::BudgetExceeded,
        CommercialError::Limited { .. } => Code::ProviderLimitReached,
        CommercialError::KeyLimited { .. } => Code::TooManyRequests,
        CommercialError::OverTokenLimit { .. } | CommercialError::Unfit { .. } => {
            Code::ValidationFailed
        }
        CommercialError::CircuitOpen { .. } => Code::ProviderUnavailable,
        CommercialError::Provider { source, .. } => provider(source),
        // Requests get names of their own, each drawn at random.
        CommercialError::Repeated | CommercialError::Lost => Code::Internal,
        CommercialError::Spending(error) => spending(error),
        CommercialError::Rates(error) => storage(error),
    }
}

fn provider(error: &ProviderError) -> Code {
    match error {
        ProviderError::RateLimited { .. } => Code::ProviderRateLimited,
        ProviderError::QuotaExhausted(_) => Code::ProviderQuotaExhausted,
        ProviderError::Overloaded(_) => Code::ProviderUnavailable,
        ProviderError::Authentication(_) | ProviderError::Permission(_) | ProviderError::Key(_) => {
            Code::ProviderKeyRefused
        }
        ProviderError::NotFound { .. } => Code::ModelNotFound,
        ProviderError::Invalid(_)
        | ProviderError::TooLarge(_)
        | ProviderError::Unsendable { .. } => Code::ProviderRejectedRequest,
        ProviderError::Server(_) | ProviderError::Connection(_) | ProviderError::Protocol(_) => {
            Code::ProviderFailed
        }
        ProviderError::Timeout { .. } => Code::ProviderTimeout,
        ProviderError::Interrupted { cause, .. } => provider(cause),
    }
}

fn spending(error: &SpendingError) -> Code {
    match error {
        SpendingError::Storage(error) => storage(error),
        SpendingError::Crowded { .. } | SpendingError::Unsteady { .. } => Code::TooManyRequests,
        SpendingError::Gone { .. }
        | SpendingError::OutOfOrder(_)
        | SpendingError::AboveBound { .. }
        | SpendingError::Untold { .. } => Code::Internal,
    }
}

fn storage(error: &StorageError) -> Code {
    match error {
        StorageError::Unavailable { .. } => Code::StoreUnavailable,
        StorageError::NoSpace { .. } => Code::NoSpace,
        StorageError::NotFound { .. }
        | StorageError::AlreadyExists { .. }
        | StorageError::NoRecord { .. }
        | StorageError::RecordExists { .. }
        | StorageError::Conflict { .. }
        | StorageError::Corrupt { .. }
        | StorageError::Internal { .. } => Code::Internal,
    }
}

/// Says what happened, why, and what to do next.
fn detail(error: &CommercialError) -> String {
    let text = error_chain(error);
    let CommercialError::Provider { source, .. } = error else {
        return match advice(error) {
            Some(advice) => format!("{text}: {advice}"),
            None => text,
        };
    };
    if provider(source) == Code::ProviderRejectedRequest
        && let Some(refusal) = source.refusal()
        && !refusal.said.as_str().is_empty()
    {
        return format!("{text}; it says: {}", refusal.said.as_str());
    }
    text
}

/// Says what to do about an error whose text does not.
fn advice(error: &CommercialError) -> Option<String> {
    match error {
        CommercialError::Budget { refusal, .. } => {
            let resets = refusal.resets_ms.map(timestamp);
            let wait = resets.map_or_else(String::new, |at| format!(", wait until {at}"));
            Some(format!(
                "ask for fewer tokens or a cheaper model{wait}, or have the budget raised"
            ))
        }
        CommercialError::OverTokenLimit { .. } => Some(
            "ask for fewer tokens, or have the limit raised to what the account has".to_owned(),
        ),
        _ => None,
    }
}

fn shortage(bound: Picodollars, refusal: &Refusal) -> BudgetShortage {
    BudgetShortage {
        scope: refusal.row.scope.to_string(),
        window: refusal.row.window.clone(),
        limit_picodollars: refusal.limit.get(),
        available_picodollars: refusal.available,
        needed_picodollars: bound.get(),
        resets_at: refusal.resets_ms.map(timestamp),
    }
}

fn wait(error: &CommercialError) -> Option<Duration> {
    match error {
        CommercialError::Spending(_) if code(error) == Code::TooManyRequests => Some(MOMENT),
        error => error.retry_after(),
    }
}

/// Whether the same request is of no use for now, or was sent again as often as may be.
fn is_final(error: &CommercialError) -> bool {
    match error {
        CommercialError::UnknownModel { .. }
        | CommercialError::NotConfigured { .. }
        | CommercialError::NoPrice { .. }
        | CommercialError::NoAnswers { .. }
        | CommercialError::Retired { .. }
        | CommercialError::Unfit { .. }
        | CommercialError::Cost { .. }
        | CommercialError::Budget { .. }
        | CommercialError::OverTokenLimit { .. }
        | CommercialError::Provider { .. } => true,
        CommercialError::Limited { .. }
        | CommercialError::KeyLimited { .. }
        | CommercialError::CircuitOpen { .. }
        | CommercialError::Repeated
        | CommercialError::Lost
        | CommercialError::Spending(_)
        | CommercialError::Rates(_) => false,
    }
}

#[cfg(test)]
mod tests;

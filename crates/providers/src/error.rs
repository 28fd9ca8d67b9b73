use std::{fmt, time::Duration};

use llmopt_domain::TokenUsage;
use thiserror::Error;

use crate::{KeyUnavailable, Refusal, ShouldRetry};

/// Why there is no answer, or only a part of one. What the provider said in words is in the [`Refusal`], and in
/// no text of the error itself.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// Too much was asked in too short a time.
    #[error("the provider allows no more {scope} for now")]
    RateLimited {
        /// Of what.
        scope: LimitScope,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The account has no credit left, or is at a limit of spending: waiting does not help.
    #[error("the provider's account has no credit left or is at its spending limit")]
    QuotaExhausted(Box<Refusal>),
    /// The provider has too much to do.
    #[error("the provider is overloaded")]
    Overloaded(Box<Refusal>),
    /// The key is not one that the provider knows.
    #[error("the provider does not accept the key")]
    Authentication(Box<Refusal>),
    /// The key may not do this.
    #[error("the provider does not allow this to the key")]
    Permission(Box<Refusal>),
    /// There is no such model, or not for this key.
    #[error("the provider has no model `{model}`")]
    NotFound {
        /// The model that was asked for; empty where a list was.
        model: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The request is not one that the provider takes.
    #[error("the provider does not take the request{}", place(.0.param.as_deref()))]
    Invalid(Box<Refusal>),
    /// The request is too large, or the turns are too long for the model's context.
    #[error("the request is too large for the provider or for the model's context")]
    TooLarge(Box<Refusal>),
    /// The provider failed.
    #[error("the provider failed with status {}", .0.status)]
    Server(Box<Refusal>),
    /// What is asked for has no form in this provider's API. Nothing was sent.
    #[error("the request has no form in the provider's API: `{place}`: {problem}")]
    Unsendable {
        /// Which part of the request.
        place: String,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// It took too long.
    #[error("the provider took longer than {} s {phase}", .limit.as_secs_f64())]
    Timeout {
        /// What took too long.
        phase: Phase,
        /// What it was allowed.
        limit: Duration,
    },
    /// The connection could not be made, or broke.
    #[error("the connection to the provider failed")]
    Connection(#[source] ConnectionError),
    /// The provider sent what is no answer.
    #[error("the provider's answer is not one: {0}")]
    Protocol(String),
    /// The answer broke off after a part of it was there.
    #[error("the answer broke off")]
    Interrupted {
        /// Why.
        #[source]
        cause: Box<ProviderError>,
        /// The tokens that the provider had counted until then, if it told.
        usage: Option<TokenUsage>,
    },
    /// There is no key to ask with.
    #[error("the provider's key cannot be had")]
    Key(#[from] KeyUnavailable),
}

/// What a provider limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitScope {
    /// Requests in a time.
    Requests,
    /// Tokens in a time.
    Tokens,
    /// The provider does not say.
    Unknown,
}

impl fmt::Display for LimitScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Requests | Self::Unknown => "requests",
            Self::Tokens => "tokens",
        })
    }
}

/// A part of an exchange with a provider that has a time limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Making the connection.
    Connect,
    /// From the request to the first bytes of the answer.
    FirstByte,
    /// From one part of the answer to the next.
    Idle,
    /// From the request to the end.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "to accept a connection",
            Self::FirstByte => "to begin its answer",
            Self::Idle => "to go on with its answer",
            Self::Total => "to answer",
        })
    }
}

/// What became of a connection.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// It failed.
    #[error(transparent)]
    Failed(reqwest::Error),
    /// It ended before the answer was whole.
    #[error("it ended before the answer was whole")]
    Ended,
}

impl ProviderError {
    /// Takes an error of sending, where a connection has to be made within `connect_limit`.
    pub(crate) fn from_sending(error: reqwest::Error, connect_limit: Duration) -> Self {
        if error.is_timeout() && error.is_connect() {
            return Self::Timeout {
                phase: Phase::Connect,
                limit: connect_limit,
            };
        }
        Self::from_reading(error)
    }

    /// Takes an error of the connection, without the address, which may carry a secret.
    pub(crate) fn from_reading(error: reqwest::Error) -> Self {
        Self::Connection(ConnectionError::Failed(error.without_url()))
    }

    /// Says that an answer ended too early.
    pub(crate) fn ended() -> Self {
        Self::Connection(ConnectionError::Ended)
    }

    /// Returns what the provider said, if it is the provider that refuses.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::RateLimited { refusal, .. }
            | Self::NotFound { refusal, .. }
            | Self::QuotaExhausted(refusal)
            | Self::Overloaded(refusal)
            | Self::Authentication(refusal)
            | Self::Permission(refusal)
            | Self::Invalid(refusal)
            | Self::TooLarge(refusal)
            | Self::Server(refusal) => Some(refusal),
            Self::Interrupted { cause, .. } => cause.refusal(),
            Self::Unsendable { .. }
            | Self::Timeout { .. }
            | Self::Connection(_)
            | Self::Protocol(_)
            | Self::Key(_) => None,
        }
    }

    /// Returns how long the provider wants to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// Returns whether the same request may work if it is sent again. Never after a part of the answer was
    /// there: that part is paid for, and may have been passed on.
    pub fn is_retryable_before_first_byte(&self) -> bool {
        let advice = self.refusal().and_then(|refusal| refusal.should_retry);
        match self {
            Self::RateLimited { .. } | Self::Overloaded(_) => advice != Some(ShouldRetry::No),
            Self::Server(refusal) => match advice {
                Some(advice) => advice == ShouldRetry::Yes,
                // Neither a method nor a version of HTTP comes to be known by waiting.
                None => !matches!(refusal.status, 501 | 505),
            },
            Self::Timeout { phase, .. } => *phase != Phase::Total,
            Self::Connection(_) => true,
            Self::QuotaExhausted(_)
            | Self::Authentication(_)
            | Self::Permission(_)
            | Self::NotFound { .. }
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::Unsendable { .. }
            | Self::Protocol(_)
            | Self::Interrupted { .. }
            | Self::Key(_) => false,
        }
    }

    /// Returns whether this tells of the provider's health: what a circuit breaker counts.
    pub fn is_fault_of_provider(&self) -> bool {
        match self {
            Self::Overloaded(_) | Self::Server(_) | Self::Connection(_) | Self::Protocol(_) => true,
            // Who has little time may ask a provider that is well.
            Self::Timeout { phase, .. } => *phase != Phase::Total,
            Self::Interrupted { cause, .. } => cause.is_fault_of_provider(),
            Self::RateLimited { .. }
            | Self::QuotaExhausted(_)
            | Self::Authentication(_)
            | Self::Permission(_)
            | Self::NotFound { .. }
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::Unsendable { .. }
            | Self::Key(_) => false,
        }
    }
}

fn place(param: Option<&str>) -> String {
    // A name, and not what stands there: that may be a prompt.
    let named = param.filter(|param| param.len() <= 100 && !param.contains(char::is_whitespace));
    named.map_or_else(String::new, |param| format!(": `{param}`"))
}

#[cfg(test)]
mod tests {
    use llmopt_domain::error_chain;

    use super::*;

    fn refusal(should_retry: Option<ShouldRetry>, status: u16) -> Box<Refusal> {
        Box::new(Refusal {
            status,
            should_retry,
            ..Refusal::default()
        })
    }

    #[test]
    fn a_provider_may_say_whether_to_ask_again() {
        let cases = [
            (None, 500, true),
            (None, 501, false),
            (Some(ShouldRetry::Yes), 501, true),
            (Some(ShouldRetry::No), 500, false),
        ];
        for (advice, status, retryable) in cases {
            let error = ProviderError::Server(refusal(advice, status));
            assert_eq!(
                error.is_retryable_before_first_byte(),
                retryable,
                "{error:?}"
            );
        }
        let yes = Some(ShouldRetry::Yes);
        let quota = ProviderError::QuotaExhausted(refusal(yes, 429));
        assert!(!quota.is_retryable_before_first_byte());
        let no = ProviderError::Overloaded(refusal(Some(ShouldRetry::No), 529));
        assert!(!no.is_retryable_before_first_byte());
    }

    #[test]
    fn an_answer_that_broke_off_is_not_asked_for_again() {
        let cause = Box::new(ProviderError::Overloaded(refusal(None, 200)));
        assert!(cause.is_retryable_before_first_byte());
        let error = ProviderError::Interrupted { cause, usage: None };
        assert!(!error.is_retryable_before_first_byte());
        assert!(error.is_fault_of_provider());
        let chain = "the answer broke off: the provider is overloaded";
        assert_eq!(error_chain(&error), chain);
    }

    #[test]
    fn a_caller_without_time_is_no_fault_of_the_providers() {
        let timeout = |phase| {
            let limit = Duration::from_secs(1);
            ProviderError::Timeout { phase, limit }
        };
        assert!(!timeout(Phase::Total).is_fault_of_provider());
        for phase in [Phase::Connect, Phase::FirstByte, Phase::Idle] {
            assert!(timeout(phase).is_fault_of_provider(), "{phase:?}");
            assert!(timeout(phase).is_retryable_before_first_byte());
        }
    }

    #[test]
    fn a_place_is_named_and_a_text_is_not() {
        let invalid = |param: &str| {
            let param = Some(param.to_owned());
            let refusal = Refusal {
                param,
                ..Refusal::default()
            };
            ProviderError::Invalid(Box::new(refusal)).to_string()
        };
        assert!(invalid("messages[0].content").ends_with(": `messages[0].content`"));
        assert!(!invalid("tell me a secret").contains("secret"));
    }
}

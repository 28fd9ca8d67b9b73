//! Clients of the APIs of OpenAI and Anthropic, and of servers that speak OpenAI's.
//!
//! Knows how a conversation is asked for and answered over each API, what each counts as a token, and what
//! each failure means to who asked. Does not know prices, budgets, keys' places, routes, nor any environment
//! variable: a key comes from a [`KeySource`], and retries are decided here but made by the caller.

mod answer_parser;
mod anthropic;
mod breaker;
mod deadlines;
mod endpoint;
mod error;
mod event;
mod go;
mod headers;
mod json;
mod key;
mod models;
mod openai;
mod provider;
mod rate_headers;
mod reader;
mod refusal;
mod request;
mod retry;
mod retry_budget;
mod sse;
#[cfg(test)]
mod testing;
mod transport;
mod usage;

pub use answer_parser::AnswerParser;
pub use anthropic::AnthropicProvider;
pub use breaker::{BreakerSettings, Circuit, CircuitBreaker, NotAdmitted, Outcome};
pub use endpoint::{EndpointSettings, SettingsError};
pub use error::{ConnectionError, LimitScope, Phase, ProviderError};
pub use event::{Completion, EventStream, FinishReason, Finished, ProviderEvent, ToolCallPart};
pub use go::Go;
pub use key::{FixedKey, KeySource, KeyUnavailable, ProviderKey};
pub use models::{ListedModel, ModelList};
pub use openai::{Dialect, MaxTokensField, OpenAiProvider};
pub use provider::Provider;
pub use rate_headers::{RateHeaders, RateState};
pub use refusal::{ProviderText, Refusal, ShouldRetry};
pub use request::{CompletionRequest, Delivery, OpenAiRoute, Timeouts};
pub use retry::{Attempt, NoRetry, Retry, RetryPolicy};
pub use retry_budget::{RetryBudget, SharedRetryBudget, Unlimited};
pub use sse::{SseError, SseEvent, SseLimits, SseParser};
pub use transport::{Transport, TransportError};
pub use usage::{ReportedUsage, UsageProblem};

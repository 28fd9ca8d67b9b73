use std::fmt;

use futures::stream::BoxStream;
use llmopt_domain::TokenUsage;

use crate::{ProviderError, RateHeaders, ReportedUsage};

/// An answer that has begun.
pub struct Completion {
    /// What the provider calls the request: what its support asks for.
    pub request_id: Option<String>,
    /// What the provider says of its rate limits.
    pub rate: RateHeaders,
    /// The input as the provider counted it before it answered, where it tells that early (Anthropic): what is
    /// owed for an answer that nobody waits for any more.
    pub input: Option<TokenUsage>,
    /// The answer. It ends with [`ProviderEvent::Finished`] or with an error.
    pub events: EventStream,
}

impl fmt::Debug for Completion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Completion")
            .field("request_id", &self.request_id)
            .field("rate", &self.rate)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// The parts of an answer. Dropping it closes the connection, on which the provider may stop its work.
pub type EventStream = BoxStream<'static, Result<ProviderEvent, ProviderError>>;

/// What a provider says while it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderEvent {
    /// The next part of the text: never empty.
    Text(String),
    /// The next part of a tool's call.
    ToolCall(ToolCallPart),
    /// The answer is whole; nothing comes after this.
    Finished(Finished),
}

/// A part of a tool's call. All parts of a call have its index; the first has its id and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolCallPart {
    /// Which of the answer's calls this belongs to, from 0.
    pub index: u32,
    /// What the tool's result has to refer to.
    pub id: Option<String>,
    /// The tool.
    pub name: Option<String>,
    /// The next part of the arguments: JSON once all parts are joined, or nothing for no arguments.
    pub arguments: String,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Why.
    pub finish_reason: FinishReason,
    /// The tokens it took; `None` where the provider did not say.
    pub usage: Option<ReportedUsage>,
    /// The model that answered, as the provider says.
    pub model: Option<String>,
    /// The tier that it was served in, which its price may depend on; not always the one asked for.
    pub service_tier: Option<String>,
    /// Where it was made, as Anthropic says (`inference_geo`), which its price may depend on too.
    pub place: Option<String>,
    /// What the provider calls the request.
    pub request_id: Option<String>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model ended it, or one of the texts asked for did.
    Stop,
    /// It has as many tokens as were asked for.
    Length,
    /// The model's context is full.
    ContextFull,
    /// The model waits for what tools say.
    ToolCalls,
    /// The provider took out what its rules forbid.
    ContentFilter,
    /// The model refused to answer; the text, if any, says why.
    Refusal,
    /// The provider paused a long turn, which goes on if the answer is sent back.
    Paused,
    /// What the provider says that is not known here.
    Other(String),
}

use llmopt_commercial::Receipt;
use llmopt_http::{now_ms, timestamp};
use llmopt_providers::{FinishReason as ProviderReason, ToolCallPart};
use llmopt_service::AnswerWeights;
use llmopt_storage::spend::Basis;
use serde::Serialize;
use utoipa::ToSchema;

/// An answer as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct GenerateResponse {
    pub(crate) text: String,
    /// The tools that are to be called, as OpenAI has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) tool_calls: Vec<AnswerToolCall>,
    /// The model, as the caller named it.
    pub(crate) model_id: String,
    pub(crate) metrics: Metrics,
    pub(crate) metadata: Metadata,
    pub(crate) timestamp: String,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Metrics {
    pub(crate) latency_ms: u64,
    /// Until the first token, loading the model included, or waiting for a turn at a provider.
    pub(crate) ttft_ms: u64,
    /// All that was read, whatever a cache had.
    pub(crate) input_tokens: u64,
    /// All that was written, what was thought included.
    pub(crate) output_tokens: u64,
    pub(crate) total_tokens: u64,
    /// Of those read, what the provider's cache had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_read_tokens: Option<u64>,
    /// Of those read, what the provider's cache was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_write_tokens: Option<u64>,
    /// Of those written, what was thought and may not be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_tokens: Option<u64>,
    /// How long a turn at the provider was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waited_ms: Option<u64>,
}

/// Who answered, and how.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Metadata {
    Ours(OurMetadata),
    Commercial(CommercialMetadata),
}

/// How a model that is here answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct OurMetadata {
    pub(crate) model_type: OurModelType,
    /// `llmopt`.
    pub(crate) provider: &'static str,
    pub(crate) cost_usd: f64,
    pub(crate) finish_reason: FinishReason,
    /// The model's whole id, the version included.
    pub(crate) model: String,
    pub(crate) weights: AnswerWeights,
    /// Whether the model was in memory.
    pub(crate) cached: bool,
    /// What was drawn with: the same request with it gives the same answer.
    pub(crate) seed: u64,
}

/// How a commercial model answered, and what that cost.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CommercialMetadata {
    model_type: CommercialModelType,
    /// Whose model it is.
    provider: String,
    /// What the answer cost, all calls together; `cost_picodollars` is exact.
    cost_usd: f64,
    /// The same in 10⁻¹² dollars, as it is in the ledger.
    cost_picodollars: u64,
    /// How the cost is known.
    cost_basis: CostBasis,
    /// The version of the prices that it was computed with.
    price_version: String,
    finish_reason: FinishReason,
    /// What the provider says where `finish_reason` is `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_finish_reason: Option<String>,
    /// The model that answered, as the provider says.
    model: String,
    /// Calls to providers that it took.
    attempts: usize,
    /// What the provider calls the request: its support asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<String>,
}

/// What of ours answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OurModelType {
    Base,
    FineTuned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CommercialModelType {
    Commercial,
}

/// How a cost is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CostBasis {
    /// By the tokens that the provider counted.
    Measured,
    /// Likewise, and it is more than was reserved.
    Overrun,
    /// The provider did not count: it is the most that it can be.
    Assumed,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    /// The model ended it, or one of the texts asked for did.
    Stop,
    /// It has as many tokens as were asked for, or as the model's context holds.
    Length,
    /// The model waits for what tools say.
    ToolCalls,
    /// The provider took out what its rules forbid.
    ContentFilter,
    /// The model refused to answer; the text, if any, says why.
    Refusal,
    /// The provider paused a long turn, which goes on if the answer is sent back.
    Paused,
    /// What else a provider says.
    Other,
}

/// A tool's call, as OpenAI has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AnswerToolCall {
    /// What the tool's answer has to refer to.
    id: String,
    r#type: CallType,
    function: CalledFunction,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CallType {
    #[default]
    Function,
}

/// The function that is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CalledFunction {
    name: String,
    /// The arguments as a text of JSON, as the model wrote it.
    arguments: String,
}

impl GenerateResponse {
    pub(crate) fn new(text: String, model_id: &str, metrics: Metrics, metadata: Metadata) -> Self {
        Self {
            text,
            tool_calls: Vec::new(),
            model_id: model_id.to_owned(),
            metrics,
            metadata,
            timestamp: timestamp(now_ms()),
        }
    }
}

impl Metadata {
    /// Says how `provider` answered.
    pub(crate) fn of(provider: &str, receipt: Receipt) -> Self {
        let (finish_reason, provider_finish_reason) = reason(receipt.finish_reason);
        Self::Commercial(CommercialMetadata {
            model_type: CommercialModelType::Commercial,
            provider: provider.to_owned(),
            cost_usd: receipt.cost.as_dollars(),
            cost_picodollars: receipt.cost.get(),
            cost_basis: match receipt.basis {
                Basis::Measured => CostBasis::Measured,
                Basis::Overrun { .. } => CostBasis::Overrun,
                Basis::Assumed => CostBasis::Assumed,
            },
            price_version: receipt.price_version,
            finish_reason,
            provider_finish_reason,
            model: receipt.model,
            attempts: receipt.attempts.len(),
            provider_request_id: receipt.provider_request_id,
        })
    }
}

/// Maps a provider's reason, with its own word where that is not known here.
pub(crate) fn reason(reason: ProviderReason) -> (FinishReason, Option<String>) {
    let reason = match reason {
        ProviderReason::Stop => FinishReason::Stop,
        ProviderReason::Length | ProviderReason::ContextFull => FinishReason::Length,
        ProviderReason::ToolCalls => FinishReason::ToolCalls,
        ProviderReason::ContentFilter => FinishReason::ContentFilter,
        ProviderReason::Refusal => FinishReason::Refusal,
        ProviderReason::Paused => FinishReason::Paused,
        ProviderReason::Other(word) => return (FinishReason::Other, Some(word)),
    };
    (reason, None)
}

impl FinishReason {
    /// Returns its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Paused => "paused",
            Self::Other => "other",
        }
    }
}

/// The calls of an answer, put together of their parts.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls(Vec<(u32, ToolCallPart)>);

impl ToolCalls {
    pub(crate) fn add(&mut self, part: &ToolCallPart) {
        let known = self.0.iter_mut().find(|(index, _)| *index == part.index);
        let Some((_, call)) = known else {
            self.0.push((part.index, part.clone()));
            return;
        };
        call.arguments.push_str(&part.arguments);
        if call.id.is_none() {
            call.id.clone_from(&part.id);
        }
        if call.name.is_none() {
            call.name.clone_from(&part.name);
        }
    }

    /// Returns the whole calls, in the order of their indices.
    pub(crate) fn take(&mut self) -> Vec<AnswerToolCall> {
        let mut calls = std::mem::take(&mut self.0);
        calls.sort_by_key(|(index, _)| *index);
        let whole = calls.into_iter().map(|(_, call)| AnswerToolCall {
            id: call.id.unwrap_or_default(),
            r#type: CallType::Function,
            function: CalledFunction {
                name: call.name.unwrap_or_default(),
                // No arguments are an object without any, as whoever calls the tool reads it.
                arguments: match call.arguments.as_str() {
                    "" => "{}".to_owned(),
                    _ => call.arguments,
                },
            },
        });
        whole.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u32, id: Option<&str>, arguments: &str) -> ToolCallPart {
        ToolCallPart {
            index,
            id: id.map(str::to_owned),
            name: id.map(|id| format!("tool_{id}")),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn calls_are_put_together_of_their_parts_whatever_comes_between() {
        let mut calls = ToolCalls::default();
        for part in [
            part(1, Some("b"), ""),
            part(0, Some("a"), "{\"x\""),
            part(2, Some("c"), "{}"),
            part(0, None, ": 1}"),
        ] {
            calls.add(&part);
        }
        let shown = serde_json::to_value(calls.take()).unwrap();
        let call = |id: &str, arguments: &str| {
            let function =
                serde_json::json!({"name": format!("tool_{id}"), "arguments": arguments});
            serde_json::json!({"id": id, "type": "function", "function": function})
        };
        let expected = [call("a", "{\"x\": 1}"), call("b", "{}"), call("c", "{}")];
        assert_eq!(shown, serde_json::json!(expected));
    }

    #[test]
    fn a_reason_is_called_the_same_in_answers_and_in_traces() {
        for (given, expected) in [
            (ProviderReason::Stop, "stop"),
            (ProviderReason::Length, "length"),
            (ProviderReason::ContextFull, "length"),
            (ProviderReason::ToolCalls, "tool_calls"),
            (ProviderReason::ContentFilter, "content_filter"),
            (ProviderReason::Refusal, "refusal"),
            (ProviderReason::Paused, "paused"),
            (ProviderReason::Other("odd".to_owned()), "other"),
        ] {
            let (reason, word) = reason(given);
            assert_eq!(reason.as_str(), expected);
            assert_eq!(serde_json::to_value(reason).unwrap(), expected);
            assert_eq!(word.is_some(), expected == "other");
        }
    }
}

//! Chat completions, in chunks and whole.

use std::collections::VecDeque;

use llmopt_domain::TokenUsage;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    FinishReason, Finished, ProviderError, ProviderEvent, ReportedUsage, SseEvent, ToolCallPart,
    answer_parser::{Decoder, Progress},
    endpoint::Head,
    json,
    usage::InclusiveCounts,
};

/// A chunk of a stream, or a whole answer: the two differ in `delta` and `message`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    service_tier: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    /// A text of JSON; some servers send the object.
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl Usage {
    fn normalize(self) -> Option<ReportedUsage> {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let completion = self.completion_tokens_details.unwrap_or_default();
        let counts = InclusiveCounts {
            input: self.prompt_tokens,
            cache_read: prompt.cached_tokens.unwrap_or_default(),
            cache_write: prompt.cache_write_tokens.unwrap_or_default(),
            output: self.completion_tokens,
            reasoning: completion.reasoning_tokens.unwrap_or_default(),
            total: self.total_tokens,
        };
        counts.normalize()
    }
}

/// What is known of an answer so far.
pub(crate) struct ChunkDecoder {
    head: Head,
    model: Option<String>,
    service_tier: Option<String>,
    usage: Option<ReportedUsage>,
    reason: Option<String>,
    has_refused: bool,
    /// Tools' calls that have begun.
    calls: u32,
}

impl ChunkDecoder {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            model: None,
            service_tier: None,
            usage: None,
            reason: None,
            has_refused: false,
            calls: 0,
        }
    }

    fn add(
        &mut self,
        answer: Answer,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(error) = answer.error.filter(|error| !error.is_null()) {
            let body = serde_json::json!({ "error": error }).to_string();
            return Err(self.head.refusal(body.as_bytes()));
        }
        self.model = answer.model.or(self.model.take());
        self.service_tier = answer.service_tier.or(self.service_tier.take());
        self.usage = answer.usage.and_then(Usage::normalize).or(self.usage);
        let choices = answer.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            self.reason = choice.finish_reason.or(self.reason.take());
            self.add_delta(choice.delta.unwrap_or_default(), said);
        }
        Ok(())
    }

    fn finish_reason(&self, reason: String) -> FinishReason {
        match reason.as_str() {
            "stop" if self.has_refused => FinishReason::Refusal,
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Other(reason),
        }
    }

    fn add_delta(&mut self, delta: Delta, said: &mut VecDeque<ProviderEvent>) {
        let not_empty = |text: &String| !text.is_empty();
        said.extend(delta.content.filter(not_empty).map(ProviderEvent::Text));
        if let Some(refusal) = delta.refusal.filter(not_empty) {
            self.has_refused = true;
            said.push_back(ProviderEvent::Text(refusal));
        }
        for call in delta.tool_calls.unwrap_or_default() {
            let part = self.part(call);
            said.push_back(ProviderEvent::ToolCall(part));
        }
    }

    /// Numbers a part of a call: one that has no number begins a call if it has an id, and goes on with the
    /// last one otherwise.
    fn part(&mut self, call: Call) -> ToolCallPart {
        let next = match call.id {
            Some(_) => self.calls,
            None => self.calls.saturating_sub(1),
        };
        let index = call.index.unwrap_or(next);
        self.calls = self.calls.max(index.saturating_add(1));
        let function = call.function.unwrap_or_default();
        ToolCallPart {
            index,
            id: call.id.filter(|id| !id.is_empty()),
            name: function.name.filter(|name| !name.is_empty()),
            arguments: match function.arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(object) => object.to_string(),
            },
        }
    }
}

impl Decoder for ChunkDecoder {
    fn take(
        &mut self,
        event: &SseEvent,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError> {
        if event.data.trim() == "[DONE]" {
            return Ok(Progress::IsWhole);
        }
        let answer = json::read(event.data.as_bytes(), "a chunk of the stream")?;
        self.add(answer, said)?;
        Ok(Progress::GoesOn)
    }

    fn finished(&mut self) -> Option<Finished> {
        let reason = self.reason.take()?;
        Some(Finished {
            finish_reason: self.finish_reason(reason),
            usage: self.usage,
            model: self.model.take(),
            service_tier: self.service_tier.take(),
            place: None,
            request_id: self.head.request_id.clone(),
        })
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.usage.map(|usage| usage.tokens)
    }
}

/// Reads an answer that came whole.
pub(crate) fn read(body: &[u8], head: &Head) -> Result<Vec<ProviderEvent>, ProviderError> {
    let mut decoder = ChunkDecoder::new(head.clone());
    let mut said = VecDeque::new();
    decoder.add(json::read(body, "the answer")?, &mut said)?;
    let missing = "the answer does not say why it ended";
    let finished = decoder.finished();
    let finished = finished.ok_or_else(|| ProviderError::Protocol(missing.to_owned()))?;
    said.push_back(ProviderEvent::Finished(finished));
    Ok(said.into())
}

//! Messages, in events and whole.

use std::collections::VecDeque;

use llmopt_domain::TokenUsage;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    FinishReason, Finished, ProviderError, ProviderEvent, SseEvent, ToolCallPart,
    answer_parser::{Decoder, Progress},
    endpoint::Head,
    json,
    usage::ExclusiveCounts,
};

/// What all events have.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct MessageStart {
    message: Start,
}

#[derive(Deserialize)]
struct ContentBlockStart {
    content_block: Block,
}

#[derive(Deserialize)]
struct ContentBlockDelta {
    delta: BlockDelta,
}

#[derive(Deserialize)]
struct MessageDelta {
    delta: End,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    /// What the model thinks, and what the provider's own tools do.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    stop_reason: Option<String>,
}

/// A message that came whole.
#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    content: Vec<Block>,
    #[serde(flatten)]
    start: Start,
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation: Option<CacheCreation>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default)]
    service_tier: Option<String>,
    #[serde(default)]
    inference_geo: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    #[serde(default)]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(default)]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

impl Usage {
    fn counts(&self) -> ExclusiveCounts {
        let writes = self.cache_creation.unwrap_or_default();
        ExclusiveCounts {
            input: self.input_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_creation_input_tokens,
            cache_write_short: writes.ephemeral_5m_input_tokens,
            cache_write_long: writes.ephemeral_1h_input_tokens,
            output: self.output_tokens,
            reasoning: self
                .output_tokens_details
                .unwrap_or_default()
                .thinking_tokens,
        }
    }
}

/// What is known of an answer so far.
pub(crate) struct EventDecoder {
    head: Head,
    model: Option<String>,
    service_tier: Option<String>,
    place: Option<String>,
    counts: ExclusiveCounts,
    /// Whether the output was counted when the answer had ended: as it begins, it is counted too.
    is_counted: bool,
    reason: Option<String>,
    /// Tools' calls that have begun.
    calls: u32,
    /// Whether the block that is open is a tool's call: only its JSON is the call's.
    in_call: bool,
}

impl EventDecoder {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            model: None,
            service_tier: None,
            place: None,
            counts: ExclusiveCounts::default(),
            is_counted: false,
            reason: None,
            calls: 0,
            in_call: false,
        }
    }

    fn start(&mut self, start: Start) {
        self.model = start.model.or(self.model.take());
        self.count(start.usage);
    }

    fn count(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else {
            return;
        };
        self.counts.update(usage.counts());
        self.service_tier = usage.service_tier.or(self.service_tier.take());
        self.place = usage.inference_geo.or(self.place.take());
    }

    /// Takes the count of an answer that has ended.
    fn count_last(&mut self, usage: Option<Usage>) {
        let output = usage.as_ref().and_then(|usage| usage.output_tokens);
        self.is_counted |= output.is_some();
        self.count(usage);
    }

    fn block(&mut self, block: Block, said: &mut VecDeque<ProviderEvent>) {
        self.in_call = matches!(block, Block::ToolUse { .. });
        match block {
            Block::Text { text } => say(text, said),
            Block::ToolUse { id, name, input } => {
                let part = ToolCallPart {
                    index: self.calls,
                    id: Some(id),
                    name: Some(name),
                    arguments: written(&input),
                };
                self.calls = self.calls.saturating_add(1);
                said.push_back(ProviderEvent::ToolCall(part));
            }
            Block::Other => {}
        }
    }

    fn delta(&mut self, delta: BlockDelta, said: &mut VecDeque<ProviderEvent>) {
        match delta {
            BlockDelta::TextDelta { text } => say(text, said),
            BlockDelta::InputJsonDelta { partial_json } if self.in_call => {
                if !partial_json.is_empty() {
                    let part = ToolCallPart {
                        index: self.calls.saturating_sub(1),
                        arguments: partial_json,
                        ..ToolCallPart::default()
                    };
                    said.push_back(ProviderEvent::ToolCall(part));
                }
            }
            BlockDelta::InputJsonDelta { .. } | BlockDelta::Other => {}
        }
    }
}

fn say(text: String, said: &mut VecDeque<ProviderEvent>) {
    if !text.is_empty() {
        said.push_back(ProviderEvent::Text(text));
    }
}

/// Writes a call's arguments: a stream begins with none, whatever follows.
fn written(input: &Value) -> String {
    match input {
        Value::Object(map) if !map.is_empty() => input.to_string(),
        _ => String::new(),
    }
}

impl Decoder for EventDecoder {
    fn take(
        &mut self,
        event: &SseEvent,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError> {
        let data = event.data.as_bytes();
        let Kind { kind } = json::read(data, "an event of the stream")?;
        match kind.as_str() {
            "message_start" => {
                let start: MessageStart = json::read(data, "the event `message_start`")?;
                self.start(start.message);
            }
            "content_block_start" => {
                let start: ContentBlockStart = json::read(data, "the event `content_block_start`")?;
                self.block(start.content_block, said);
            }
            "content_block_delta" => {
                let delta: ContentBlockDelta = json::read(data, "the event `content_block_delta`")?;
                self.delta(delta.delta, said);
            }
            "message_delta" => {
                let last: MessageDelta = json::read(data, "the event `message_delta`")?;
                self.reason = last.delta.stop_reason.or(self.reason.take());
                self.count_last(last.usage);
            }
            "message_stop" => return Ok(Progress::IsWhole),
            "error" => return Err(self.head.refusal(data)),
            // Kinds that are not known are passed over, as Anthropic asks of its clients.
            _ => {}
        }
        Ok(Progress::GoesOn)
    }

    fn finished(&mut self) -> Option<Finished> {
        Some(Finished {
            finish_reason: finish_reason(self.reason.take()?),
            usage: self.counts.normalize().filter(|_| self.is_counted),
            model: self.model.take(),
            service_tier: self.service_tier.take(),
            place: self.place.take(),
            request_id: self.head.request_id.clone(),
        })
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.counts.normalize().map(|usage| usage.tokens)
    }
}

/// Reads an answer that came whole.
pub(crate) fn read(body: &[u8], head: &Head) -> Result<Vec<ProviderEvent>, ProviderError> {
    let mut decoder = EventDecoder::new(head.clone());
    let mut said = VecDeque::new();
    let whole: Whole = json::read(body, "the answer")?;
    decoder.model = whole.start.model;
    decoder.count_last(whole.start.usage);
    decoder.reason = whole.stop_reason;
    for block in whole.content {
        decoder.block(block, &mut said);
    }
    let missing = "the answer does not say why it ended";
    let finished = decoder.finished();
    let finished = finished.ok_or_else(|| ProviderError::Protocol(missing.to_owned()))?;
    said.push_back(ProviderEvent::Finished(finished));
    Ok(said.into())
}

fn finish_reason(reason: String) -> FinishReason {
    match reason.as_str() {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Paused,
        _ => FinishReason::Other(reason),
    }
}

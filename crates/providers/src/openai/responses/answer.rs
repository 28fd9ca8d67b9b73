//! Responses, in events and whole.

use std::collections::VecDeque;

use llmopt_domain::TokenUsage;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    FinishReason, Finished, ProviderError, ProviderEvent, ReportedUsage, SseEvent, ToolCallPart,
    answer_parser::{Decoder, Progress},
    endpoint::Head,
    json,
    usage::InclusiveCounts,
};

/// Codes of what is wrong with a request, which a stream does not say of them.
const REQUESTS_FAULT: [&str; 3] = ["invalid_prompt", "bio_policy", "data_residency_mismatch"];

/// What all events have; an error that is passed on by some other server may have nothing else.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    delta: String,
}

#[derive(Deserialize)]
struct ArgumentsDelta {
    output_index: u64,
    delta: String,
}

#[derive(Deserialize)]
struct OutputItem {
    output_index: u64,
    item: Item,
}

#[derive(Deserialize)]
struct End {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    service_tier: Option<String>,
    #[serde(default)]
    output: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    incomplete_details: Option<IncompleteDetails>,
}

#[derive(Default, Deserialize)]
struct IncompleteDetails {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Message {
        #[serde(default)]
        content: Vec<Content>,
    },
    FunctionCall {
        call_id: String,
        name: String,
        #[serde(default)]
        arguments: String,
    },
    /// What the model thinks, and what the provider's own tools do.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content {
    OutputText {
        text: String,
    },
    Refusal {
        refusal: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl Usage {
    fn normalize(self) -> Option<ReportedUsage> {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        let counts = InclusiveCounts {
            input: self.input_tokens,
            cache_read: input.cached_tokens.unwrap_or_default(),
            cache_write: input.cache_write_tokens.unwrap_or_default(),
            output: self.output_tokens,
            reasoning: output.reasoning_tokens.unwrap_or_default(),
            total: self.total_tokens,
        };
        counts.normalize()
    }
}

/// What is known of an answer so far.
pub(crate) struct EventDecoder {
    head: Head,
    model: Option<String>,
    service_tier: Option<String>,
    usage: Option<ReportedUsage>,
    reason: Option<FinishReason>,
    has_refused: bool,
    /// Tools' calls that have begun.
    calls: Vec<Call>,
}

/// A tool's call that has begun.
struct Call {
    /// Where it is among all that the model puts out.
    output_index: u64,
    /// Whether a part of its arguments is passed on.
    has_arguments: bool,
}

impl EventDecoder {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            model: None,
            service_tier: None,
            usage: None,
            reason: None,
            has_refused: false,
            calls: Vec::new(),
        }
    }

    /// Takes one event.
    fn add(
        &mut self,
        data: &[u8],
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError> {
        let Kind { kind, error } = json::read(data, "an event of the stream")?;
        let kind = kind.as_deref().unwrap_or_default();
        match kind {
            "response.output_text.delta" => {
                let Delta { delta } = shape(data, kind)?;
                say(delta, said);
            }
            "response.refusal.delta" => {
                let Delta { delta } = shape(data, kind)?;
                self.refuse(delta, said);
            }
            "response.output_item.added" => {
                let OutputItem { output_index, item } = shape(data, kind)?;
                self.begin(output_index, &item, said);
            }
            "response.function_call_arguments.delta" => {
                let ArgumentsDelta {
                    output_index,
                    delta,
                } = shape(data, kind)?;
                self.go_on(output_index, delta, said)?;
            }
            "response.output_item.done" => {
                let OutputItem { output_index, item } = shape(data, kind)?;
                self.end_item(output_index, item, said)?;
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let End { mut response } = shape(data, kind)?;
                let named = kind.strip_prefix("response.").map(str::to_owned);
                response.status = response.status.or(named);
                self.end(response)?;
                return Ok(Progress::IsWhole);
            }
            "error" => return Err(self.refusal(&shape(data, kind)?)),
            _ => {
                if let Some(error) = error.filter(|error| !error.is_null()) {
                    return Err(self.refusal(&error));
                }
            }
        }
        Ok(Progress::GoesOn)
    }

    fn refuse(&mut self, text: String, said: &mut VecDeque<ProviderEvent>) {
        self.has_refused |= !text.is_empty();
        say(text, said);
    }

    /// Begins a call, if that is what the item is and it has not begun yet.
    fn begin(&mut self, output_index: u64, item: &Item, said: &mut VecDeque<ProviderEvent>) {
        let Item::FunctionCall { call_id, name, .. } = item else {
            return;
        };
        if self.position(output_index).is_some() {
            return;
        }
        said.push_back(ProviderEvent::ToolCall(ToolCallPart {
            index: number(self.calls.len()),
            id: Some(call_id.clone()),
            name: Some(name.clone()),
            arguments: String::new(),
        }));
        self.calls.push(Call {
            output_index,
            has_arguments: false,
        });
    }

    /// Passes on the next part of a call's arguments.
    fn go_on(
        &mut self,
        output_index: u64,
        arguments: String,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<(), ProviderError> {
        let position = self.position(output_index).ok_or_else(|| {
            ProviderError::Protocol("it has arguments of a call that has not begun".to_owned())
        })?;
        if arguments.is_empty() {
            return Ok(());
        }
        if let Some(call) = self.calls.get_mut(position) {
            call.has_arguments = true;
        }
        said.push_back(ProviderEvent::ToolCall(ToolCallPart {
            index: number(position),
            arguments,
            ..ToolCallPart::default()
        }));
        Ok(())
    }

    /// Takes what is whole now: a call may have come without parts.
    fn end_item(
        &mut self,
        output_index: u64,
        item: Item,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<(), ProviderError> {
        self.begin(output_index, &item, said);
        let Item::FunctionCall { arguments, .. } = item else {
            return Ok(());
        };
        let position = self.position(output_index);
        let call = position.and_then(|position| self.calls.get(position));
        match call.is_some_and(|call| call.has_arguments) {
            true => Ok(()),
            false => self.go_on(output_index, arguments, said),
        }
    }

    fn position(&self, output_index: u64) -> Option<usize> {
        let mut calls = self.calls.iter();
        calls.position(|call| call.output_index == output_index)
    }

    /// Takes how the answer ended.
    fn end(&mut self, response: Response) -> Result<(), ProviderError> {
        self.model = response.model;
        self.service_tier = response.service_tier;
        self.usage = response.usage.and_then(Usage::normalize);
        let error = response.error.filter(|error| !error.is_null());
        let details = response.incomplete_details;
        self.reason = Some(match (response.status.as_deref(), error, details) {
            (_, Some(error), _) => return Err(self.refusal(&error)),
            (Some("failed"), None, _) => return Err(self.refusal(&Value::Null)),
            (Some("incomplete"), None, details) => cut_off(details.unwrap_or_default()),
            (Some("completed"), None, _) => self.ended_by_itself(),
            (Some(_), None, _) => return Err(unended("it ends before it is completed")),
            (None, None, _) => return Err(unended("it does not say how it ended")),
        });
        Ok(())
    }

    fn ended_by_itself(&self) -> FinishReason {
        match () {
            () if self.has_refused => FinishReason::Refusal,
            () if !self.calls.is_empty() => FinishReason::ToolCalls,
            () => FinishReason::Stop,
        }
    }

    /// Makes sense of an error, which here has a code and no type.
    fn refusal(&self, error: &Value) -> ProviderError {
        // Some come with the envelope that they have as an answer of their own.
        let error = error
            .get("error")
            .filter(|it| it.is_object())
            .unwrap_or(error);
        let code = error["code"].as_str();
        let kind = match error["type"].as_str() {
            Some(kind) if kind != "error" => kind,
            _ if code.is_some_and(|code| REQUESTS_FAULT.contains(&code)) => "invalid_request_error",
            _ => "server_error",
        };
        let (code, param, message) = (&error["code"], &error["param"], &error["message"]);
        let body = json!({
            "error": {"type": kind, "code": code, "param": param, "message": message},
        });
        self.head.refusal(body.to_string().as_bytes())
    }
}

fn shape<T: DeserializeOwned>(data: &[u8], kind: &str) -> Result<T, ProviderError> {
    json::read(data, &format!("the event `{kind}`"))
}

fn say(text: String, said: &mut VecDeque<ProviderEvent>) {
    if !text.is_empty() {
        said.push_back(ProviderEvent::Text(text));
    }
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn unended(problem: &str) -> ProviderError {
    ProviderError::Protocol(problem.to_owned())
}

fn cut_off(details: IncompleteDetails) -> FinishReason {
    match details.reason.as_deref() {
        Some("max_output_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        _ => FinishReason::Other(details.reason.unwrap_or_else(|| "incomplete".to_owned())),
    }
}

impl Decoder for EventDecoder {
    fn take(
        &mut self,
        event: &SseEvent,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError> {
        match event.data.trim() {
            "[DONE]" => Ok(Progress::IsWhole),
            data => self.add(data.as_bytes(), said),
        }
    }

    fn finished(&mut self) -> Option<Finished> {
        Some(Finished {
            finish_reason: self.reason.take()?,
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
    let mut decoder = EventDecoder::new(head.clone());
    let mut said = VecDeque::new();
    let mut response: Response = json::read(body, "the answer")?;
    for (output_index, item) in (0..).zip(std::mem::take(&mut response.output)) {
        match item {
            Item::Message { content } => {
                for part in content {
                    match part {
                        Content::OutputText { text } => say(text, &mut said),
                        Content::Refusal { refusal } => decoder.refuse(refusal, &mut said),
                        Content::Other => {}
                    }
                }
            }
            call => decoder.end_item(output_index, call, &mut said)?,
        }
    }
    decoder.end(response)?;
    said.extend(decoder.finished().map(ProviderEvent::Finished));
    Ok(said.into())
}

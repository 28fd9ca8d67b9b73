use std::time::{SystemTime, UNIX_EPOCH};

use llmopt_domain::{Conversation, Message, Role};
use llmopt_http::{Problem, Validation};
use llmopt_service::{Question, Sampling};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

/// Tokens that an answer has at most where the caller does not say how many.
const DEFAULT_MAX_TOKENS: u32 = 256;
const MAX_STOPS: usize = 16;
const MAX_TOOLS: usize = 128;

/// A question as it is asked.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerateRequest {
    /// The model: `ft:BASE:NAME[:VERSION]`, `NAME[:VERSION]` or `base:NAME`.
    model_id: String,
    /// What the user says; `messages` may stand in its place.
    prompt: Option<String>,
    /// The conversation so far, the last message not the assistant's.
    messages: Option<Vec<Message>>,
    /// The tools that the answer may call, each as OpenAI describes it. A model that was trained with tools needs them
    /// as they were in its examples.
    #[schema(value_type = Option<Vec<Object>>, max_items = 128)]
    tools: Option<Vec<Map<String, Value>>>,
    /// Tokens of the answer at most.
    #[schema(minimum = 1, default = 256)]
    max_tokens: Option<u32>,
    /// How freely tokens are drawn; 0 takes the likeliest always.
    #[schema(minimum = 0, maximum = 2, default = 1)]
    temperature: Option<f32>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schema(exclusive_minimum = 0, maximum = 1, default = 1)]
    top_p: Option<f32>,
    /// Texts that end the answer, which does not have them.
    stop: Option<Stop>,
    /// What is drawn with: the same request with it gives the same answer.
    seed: Option<u64>,
    /// Whether the answer comes as a stream of server-sent events.
    pub(crate) stream: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

impl PartialSchema for Stop {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .build();
        let texts = ArrayBuilder::new()
            .items(text.clone())
            .max_items(Some(MAX_STOPS));
        OneOfBuilder::new().item(text).item(texts).into()
    }
}

impl ToSchema for Stop {}

impl GenerateRequest {
    /// Checks everything; `prefix` is where the request lies in the body.
    pub(crate) fn validate(self, prefix: &str) -> Result<Question, Problem> {
        let mut validation = Validation::default();
        let at = |field: &str| format!("{prefix}/{field}");
        let sampling = Sampling {
            max_tokens: self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            stop: match self.stop {
                None => Vec::new(),
                Some(Stop::One(text)) => vec![text],
                Some(Stop::Several(texts)) => texts,
            },
            seed: self.seed.unwrap_or_else(any_seed),
        };
        check_sampling(&sampling, &mut validation, &at);
        let both = self.prompt.is_some() == self.messages.is_some();
        validation.require(!both, &at("prompt"), || {
            "expected either `prompt` or `messages`".to_owned()
        });
        let messages = self
            .messages
            .unwrap_or_else(|| vec![Message::new(Role::User, self.prompt.unwrap_or_default())]);
        let asks = messages.last().is_some_and(|it| it.role != Role::Assistant);
        validation.require(asks, &at("messages"), || {
            "expected at least one message, the last one not the assistant's".to_owned()
        });
        let tools = self.tools.unwrap_or_default();
        validation.require(tools.len() <= MAX_TOOLS, &at("tools"), || {
            format!("expected at most {MAX_TOOLS} tools, found {}", tools.len())
        });
        validation.finish()?;
        Ok(Question {
            model: self.model_id,
            conversation: Conversation { messages, tools },
            sampling,
        })
    }
}

fn check_sampling(sampling: &Sampling, validation: &mut Validation, at: &impl Fn(&str) -> String) {
    validation.require(sampling.max_tokens >= 1, &at("max_tokens"), || {
        "expected 1 or more, found 0".to_owned()
    });
    let temperature = sampling.temperature;
    validation.require(
        (0.0..=2.0).contains(&temperature),
        &at("temperature"),
        || format!("expected 0 to 2, found {temperature}"),
    );
    let top_p = sampling.top_p;
    validation.require(top_p > 0.0 && top_p <= 1.0, &at("top_p"), || {
        format!("expected more than 0 and at most 1, found {top_p}")
    });
    let stops = &sampling.stop;
    let fits = stops.len() <= MAX_STOPS && stops.iter().all(|text| !text.is_empty());
    validation.require(fits, &at("stop"), || {
        format!("expected at most {MAX_STOPS} texts, none of them empty")
    });
}

/// Returns a seed for a caller who does not care: it is in the answer, so that it can be had again.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // 53 bits: what every JSON reader keeps exactly.
    since.map_or(0, |it| it.as_nanos() as u64 & ((1 << 53) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> Result<Question, Problem> {
        let request: GenerateRequest = serde_json::from_str(json).unwrap();
        request.validate("/requests/3")
    }

    #[test]
    fn a_prompt_is_one_message_of_the_user() {
        let question = request(r#"{"model_id": "a", "prompt": "Hi", "stop": "END"}"#).unwrap();
        assert_eq!(question.conversation.messages.len(), 1);
        assert_eq!(question.conversation.messages[0].content, "Hi");
        assert_eq!(question.sampling.stop, ["END"]);
        assert_eq!(question.sampling.max_tokens, DEFAULT_MAX_TOKENS);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let problem = request(
            r#"{"model_id": "a", "max_tokens": 0, "temperature": 3, "top_p": 0, "stop": [""]}"#,
        );
        let problem = problem.unwrap_err().to_json(None);
        let pointers: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(
            pointers,
            [
                "/requests/3/max_tokens",
                "/requests/3/temperature",
                "/requests/3/top_p",
                "/requests/3/stop",
                "/requests/3/prompt"
            ]
        );
    }

    #[test]
    fn a_conversation_that_asks_nothing_is_refused() {
        for messages in ["[]", r#"[{"role": "assistant", "content": "Hi"}]"#] {
            let json = format!(r#"{{"model_id": "a", "messages": {messages}}}"#);
            assert!(request(&json).is_err(), "{messages}");
        }
    }
}

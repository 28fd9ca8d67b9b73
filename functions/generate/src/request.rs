use std::time::{SystemTime, UNIX_EPOCH};

use llmopt_commercial::Asker;
use llmopt_domain::{Conversation, Message, Role};
use llmopt_http::{Problem, Validation, billed_request};
use llmopt_providers::Delivery;
use llmopt_service::{Question, Sampling};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

/// Tokens that an answer has at most where the caller does not say how many.
const DEFAULT_MAX_TOKENS: u32 = 256;
const MAX_STOPS: usize = 16;
const MAX_TOOLS: usize = 128;
/// What `tool_choice` may say in a word.
const WORDS: [&str; 3] = ["auto", "none", "required"];

/// A question as it is asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerateRequest {
    /// The model: `ft:BASE:NAME[:VERSION]`, `NAME[:VERSION]` or `base:NAME`; or a commercial one, as its provider spells
    /// it, `PROVIDER/MODEL`, or an alias.
    model_id: String,
    /// What the user says; `messages` may stand in its place.
    prompt: Option<String>,
    /// The conversation so far, the last message not the assistant's.
    messages: Option<Vec<Message>>,
    /// The tools that the answer may call, each as OpenAI describes it. A model that was trained with tools needs them
    /// as they were in its examples.
    #[schema(value_type = Option<Vec<Object>>, max_items = 128)]
    tools: Option<Vec<Map<String, Value>>>,
    /// Which tool a commercial model is to call: `auto`, `none`, `required`, or an object as OpenAI has it. Our own
    /// models decide themselves, and refuse it.
    #[schema(value_type = Option<ToolChoice>)]
    tool_choice: Option<Value>,
    /// The form of a commercial model's answer, as OpenAI describes it, such as a JSON schema. Our own models refuse it.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Map<String, Value>>,
    /// Tokens of the answer at most, those of thinking included; 256 where it is not there, of a commercial model 1,024.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    /// How freely tokens are drawn; 0 takes the likeliest always. Where it is not there, our own models have 1, and
    /// commercial ones are sent none: many take none.
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    /// The share of probability that is drawn from, the likeliest tokens first. Where it is not there, our own models
    /// have 1, and commercial ones are sent none.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    /// Texts that end the answer, which does not have them.
    stop: Option<Stop>,
    /// What is drawn with: the same request with it gives the same answer. Commercial models promise no such thing, and
    /// a request of one with it is refused.
    seed: Option<u64>,
    /// Whether the answer comes as a stream of server-sent events.
    pub(crate) stream: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// Describes what `tool_choice` takes.
struct ToolChoice;

impl PartialSchema for ToolChoice {
    fn schema() -> RefOr<Schema> {
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(WORDS));
        let object = ObjectBuilder::new().schema_type(Type::Object);
        OneOfBuilder::new().item(word).item(object).into()
    }
}

impl ToSchema for ToolChoice {}

/// A question that is in order, whoever is to answer it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    model: String,
    conversation: Conversation,
    tool_choice: Option<Value>,
    response_format: Option<Value>,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop: Vec<String>,
    seed: Option<u64>,
    /// Where it lies in the body.
    prefix: String,
}

impl GenerateRequest {
    /// Checks everything that does not depend on who answers; `prefix` is where the request lies in the body.
    pub(crate) fn validate(self, prefix: &str) -> Result<Asked, Problem> {
        let mut validation = Validation::default();
        let at = |field: &str| format!("{prefix}/{field}");
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Several(texts)) => texts,
        };
        let both = self.prompt.is_some() == self.messages.is_some();
        for (nth, message) in self.messages.iter().flatten().enumerate() {
            // A provider would be asked, and paid, for a turn that says nothing.
            let says_something = message.role != Role::User || !message.content.is_empty();
            validation.require(
                says_something,
                &at(&format!("messages/{nth}/content")),
                || "expected what the user says, found no text".to_owned(),
            );
        }
        let messages = self
            .messages
            .unwrap_or_else(|| vec![Message::new(Role::User, self.prompt.unwrap_or_default())]);
        let asked = Asked {
            model: self.model_id,
            conversation: Conversation {
                messages,
                tools: self.tools.unwrap_or_default(),
            },
            tool_choice: self.tool_choice,
            response_format: self.response_format.map(Value::Object),
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            stop,
            seed: self.seed,
            prefix: prefix.to_owned(),
        };
        asked.check_sampling(&mut validation);
        validation.require(!both, &at("prompt"), || {
            "expected either `prompt` or `messages`".to_owned()
        });
        asked.check_turns(&mut validation);
        validation.finish()?;
        Ok(asked)
    }
}

impl Asked {
    /// The model, as the caller names it.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Makes it a question to a model that is here.
    ///
    /// # Errors
    /// If it has what only commercial models take.
    pub(crate) fn into_ours(self) -> Result<Question, Problem> {
        let mut validation = Validation::default();
        for (field, is_there) in [
            ("tool_choice", self.tool_choice.is_some()),
            ("response_format", self.response_format.is_some()),
        ] {
            validation.require(!is_there, &self.at(field), || {
                "expected none: only commercial models take it".to_owned()
            });
        }
        validation.finish()?;
        Ok(Question {
            model: self.model,
            conversation: self.conversation,
            sampling: Sampling {
                max_tokens: self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
                temperature: self.temperature.unwrap_or(1.0) as f32,
                // What is hardly above 0 is not to become 0.
                top_p: (self.top_p.unwrap_or(1.0) as f32).max(f32::MIN_POSITIVE),
                stop: self.stop,
                seed: self.seed.unwrap_or_else(any_seed),
            },
        })
    }

    /// Makes it a question of `asker` to a commercial model.
    ///
    /// # Errors
    /// If it has what only our own models take.
    pub(crate) fn into_commercial(
        self,
        asker: &Asker,
        delivery: Delivery,
    ) -> Result<llmopt_commercial::Question, Problem> {
        let mut validation = Validation::default();
        validation.require(self.seed.is_none(), &self.at("seed"), || {
            "expected none: commercial models do not promise the same answer twice".to_owned()
        });
        validation.finish()?;
        Ok(llmopt_commercial::Question {
            request: billed_request()?,
            asker: asker.clone(),
            model: self.model,
            conversation: self.conversation,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            stop: self.stop,
            tool_choice: self.tool_choice,
            response_format: self.response_format,
            delivery,
            answer_by: None,
            when_limited: llmopt_commercial::WhenLimited::SendBack,
        })
    }

    fn at(&self, field: &str) -> String {
        format!("{}/{field}", self.prefix)
    }

    fn check_sampling(&self, validation: &mut Validation) {
        validation.require(self.max_tokens != Some(0), &self.at("max_tokens"), || {
            "expected 1 or more, found 0".to_owned()
        });
        if let Some(temperature) = self.temperature {
            let fits = (0.0..=2.0).contains(&temperature);
            validation.require(fits, &self.at("temperature"), || {
                format!("expected 0 to 2, found {temperature}")
            });
        }
        if let Some(top_p) = self.top_p {
            let fits = top_p > 0.0 && top_p <= 1.0;
            validation.require(fits, &self.at("top_p"), || {
                format!("expected more than 0 and at most 1, found {top_p}")
            });
        }
        let fits = self.stop.len() <= MAX_STOPS && self.stop.iter().all(|text| !text.is_empty());
        validation.require(fits, &self.at("stop"), || {
            format!("expected at most {MAX_STOPS} texts, none of them empty")
        });
    }

    fn check_turns(&self, validation: &mut Validation) {
        let Conversation { messages, tools } = &self.conversation;
        let asks = messages.last().is_some_and(|it| it.role != Role::Assistant);
        validation.require(asks, &self.at("messages"), || {
            "expected at least one message, the last one not the assistant's".to_owned()
        });
        validation.require(tools.len() <= MAX_TOOLS, &self.at("tools"), || {
            format!("expected at most {MAX_TOOLS} tools, found {}", tools.len())
        });
        let choice = match &self.tool_choice {
            Some(Value::String(word)) => WORDS.contains(&word.as_str()),
            Some(choice) => choice.is_object(),
            None => true,
        };
        validation.require(choice, &self.at("tool_choice"), || {
            "expected `auto`, `none`, `required` or an object".to_owned()
        });
    }
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

    fn request(json: &str) -> Result<Asked, Problem> {
        let request: GenerateRequest = serde_json::from_str(json).unwrap();
        request.validate("/requests/3")
    }

    fn pointers(problem: &Problem) -> Vec<String> {
        let problem = problem.to_json(None);
        let errors = problem["errors"].as_array().unwrap().iter();
        errors
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_prompt_is_one_message_of_the_user() {
        let asked = request(r#"{"model_id": "a", "prompt": "Hi", "stop": "END"}"#).unwrap();
        let question = asked.into_ours().unwrap();
        assert_eq!(question.conversation.messages.len(), 1);
        assert_eq!(question.conversation.messages[0].content, "Hi");
        assert_eq!(question.sampling.stop, ["END"]);
        assert_eq!(question.sampling.max_tokens, DEFAULT_MAX_TOKENS);
        assert_eq!(question.sampling.temperature, 1.0);
    }

    #[test]
    fn a_commercial_model_is_sent_what_the_caller_says_and_no_default_of_ours() {
        let ask = |json: &str| {
            let asked = request(json).unwrap();
            asked
                .into_commercial(&Asker::of_key("k1"), Delivery::Whole)
                .unwrap()
        };
        let plain = ask(r#"{"model_id": "gpt", "prompt": "Hi"}"#);
        assert_eq!(
            (plain.max_tokens, plain.temperature, plain.top_p),
            (None, None, None)
        );
        assert_eq!(plain.asker.key, "k1");
        let told = ask(
            r#"{"model_id": "gpt", "prompt": "Hi", "max_tokens": 9, "temperature": 0.7, "top_p": 0.3,
                "tool_choice": "required", "response_format": {"type": "json_object"}}"#,
        );
        // Not a digit is lost on the way.
        assert_eq!((told.temperature, told.top_p), (Some(0.7), Some(0.3)));
        assert_eq!(told.max_tokens, Some(9));
        assert_eq!(told.tool_choice.unwrap(), "required");
        assert_eq!(told.response_format.unwrap()["type"], "json_object");
        assert_ne!(plain.request, told.request);
    }

    #[test]
    fn a_user_who_says_nothing_is_refused_and_so_is_a_misspelled_field() {
        let mute = request(
            r#"{"model_id": "a", "messages": [{"role": "system", "content": ""}, {"role": "user"}]}"#,
        );
        let expected = ["/requests/3/messages/1/content"];
        assert_eq!(pointers(&mute.unwrap_err()), expected);
        let misspelled = r#"{"model_id": "a", "messages": [{"role": "user", "contenv": "Hi"}]}"#;
        let error = serde_json::from_str::<GenerateRequest>(misspelled).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `contenv`"),
            "{error}"
        );
    }

    #[test]
    fn what_a_model_cannot_take_is_refused_and_not_left_out() {
        let asked = request(
            r#"{"model_id": "a", "prompt": "Hi", "tool_choice": "auto", "response_format": {}}"#,
        );
        let problem = asked.unwrap().into_ours().unwrap_err();
        let expected = ["/requests/3/tool_choice", "/requests/3/response_format"];
        assert_eq!(pointers(&problem), expected);
        let asked = request(r#"{"model_id": "gpt", "prompt": "Hi", "seed": 1}"#).unwrap();
        let problem = asked
            .into_commercial(&Asker::default(), Delivery::Whole)
            .unwrap_err();
        assert_eq!(pointers(&problem), ["/requests/3/seed"]);
        let asked = request(r#"{"model_id": "gpt", "prompt": "Hi", "tool_choice": "maybe"}"#);
        assert_eq!(pointers(&asked.unwrap_err()), ["/requests/3/tool_choice"]);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let problem = request(
            r#"{"model_id": "a", "max_tokens": 0, "temperature": 3, "top_p": 0, "stop": [""]}"#,
        );
        let pointers = pointers(&problem.unwrap_err());
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

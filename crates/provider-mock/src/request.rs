//! What all routes are asked for, as far as the mock looks at it.

use serde_json::Value;

use crate::{Api, Behaviour, Tokens, refusal::Refusal};

/// A request that is one of the API's.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) streams: bool,
    /// Whether a stream is to tell its tokens.
    pub(crate) wants_usage: bool,
    pub(crate) answer: Answer,
    pub(crate) tokens: Tokens,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The words, each with the space that follows it.
    pub(crate) words: Vec<String>,
    /// The tool that is called in place of words.
    pub(crate) tool: Option<String>,
    pub(crate) end: End,
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Turn,
    Length,
    StopText(String),
    Tool,
}

/// What a tool is called with.
pub(crate) const ARGUMENTS: &str = r#"{"city": "Zürich", "days": 2}"#;

impl Answer {
    pub(crate) fn text(&self) -> String {
        self.words.concat()
    }

    /// Makes the answer to a request, cut to what it allows.
    pub(crate) fn new(text: &str, max_tokens: u64, stop: &[String]) -> Self {
        let cut = stop
            .iter()
            .filter_map(|it| Some((text.find(it)?, it)))
            .min();
        let (text, mut end) = match cut {
            Some((place, stop)) => (&text[..place], End::StopText(stop.clone())),
            None => (text, End::Turn),
        };
        let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let most = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        if words.len() > most {
            words.truncate(most);
            end = End::Length;
        }
        let tool = None;
        Self { words, tool, end }
    }

    pub(crate) fn calling(tool: String) -> Self {
        Self {
            words: Vec::new(),
            tool: Some(tool),
            end: End::Tool,
        }
    }

    fn output_tokens(&self) -> u64 {
        match &self.tool {
            Some(_) => 7,
            None => self.words.len() as u64,
        }
    }
}

/// Counts an exchange: words, unless the behaviour says otherwise.
pub(crate) fn count(body: &Value, answer: &Answer, behaviour: &Behaviour) -> Tokens {
    behaviour.tokens.unwrap_or_else(|| Tokens {
        input: ["messages", "system", "input"]
            .map(|field| words_in(&body[field]))
            .iter()
            .sum(),
        output: answer.output_tokens(),
        ..Tokens::default()
    })
}

fn words_in(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(values) => values.iter().map(words_in).sum(),
        Value::Object(map) => map.get("content").or(map.get("text")).map_or(0, words_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Returns what the user said last.
pub(crate) fn last_words(body: &Value) -> String {
    if let Some(text) = body["input"].as_str() {
        return text.to_owned();
    }
    let turns = body["messages"].as_array().or(body["input"].as_array());
    let turns = turns.map(Vec::as_slice).unwrap_or_default();
    let last = turns.iter().rev().find(|turn| turn["role"] == "user");
    let content = last.map(|turn| &turn["content"]);
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// Returns the model, or refuses a request without one.
pub(crate) fn model(api: Api, body: &Value) -> Result<String, Refusal> {
    let model = body["model"].as_str().filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Refusal::invalid(api, "model", "Field required"))?;
    match model.starts_with("unknown") {
        true => Err(Refusal::no_model(api, model)),
        false => Ok(model.to_owned()),
    }
}

/// Refuses a request without turns.
pub(crate) fn check_turns(api: Api, body: &Value) -> Result<(), Refusal> {
    match body["messages"]
        .as_array()
        .is_some_and(|turns| !turns.is_empty())
    {
        true => Ok(()),
        false => Err(Refusal::invalid(api, "messages", "Field required")),
    }
}

/// Returns the texts that end an answer: one, or a list.
pub(crate) fn stops(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts
            .iter()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_cut_to_what_a_request_allows() {
        let whole = Answer::new("one two three", 3, &[]);
        assert_eq!(
            (whole.text().as_str(), whole.end),
            ("one two three", End::Turn)
        );
        let short = Answer::new("one two three", 2, &[]);
        assert_eq!(
            (short.text().as_str(), short.end),
            ("one two ", End::Length)
        );
        let stops = ["three".to_owned(), "two".to_owned()];
        let stopped = Answer::new("one two three", 3, &stops);
        let end = End::StopText("two".to_owned());
        assert_eq!((stopped.text().as_str(), stopped.end), ("one ", end));
    }

    #[test]
    fn words_are_what_is_billed() {
        let body = json!({
            "system": "be brief",
            "messages": [
                {"role": "user", "content": "one two"},
                {"role": "user", "content": [{"type": "text", "text": "three"}]},
            ],
        });
        let answer = Answer::new("a b c", 9, &[]);
        let tokens = count(&body, &answer, &Behaviour::default());
        assert_eq!((tokens.input, tokens.output), (5, 3));
        assert_eq!(last_words(&body), "three");
    }
}

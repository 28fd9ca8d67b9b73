//! Compares what is rendered here with what `transformers` renders.

use std::collections::BTreeMap;

use llmopt_domain::{Message, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    TokenizationError,
    pieces::{self, Piece},
    template::{ChatTemplate, Turns},
    testing::{named, read_fixture},
};

/// Templates of our own with conversations.
#[derive(Deserialize)]
struct Own {
    templates: BTreeMap<String, String>,
    conversations: BTreeMap<String, Given>,
    cases: Vec<Case>,
}

/// What is rendered.
#[derive(Deserialize)]
struct Given {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    add_generation_prompt: bool,
    text: Option<String>,
    #[serde(default)]
    marks: Vec<(usize, usize)>,
}

impl Given {
    fn turns(&self) -> Turns<'_> {
        Turns {
            messages: &self.messages,
            tools: &self.tools,
        }
    }
}

impl Own {
    fn template(&self, case: &Case) -> ChatTemplate {
        compile(&self.templates[&case.template]).unwrap()
    }

    fn given(&self, case: &Case) -> &Given {
        &self.conversations[&case.conversation]
    }
}

fn compile(source: &str) -> Result<ChatTemplate, TokenizationError> {
    ChatTemplate::compile(source.to_owned().into(), &named("<s>", "</s>"))
}

#[test]
fn our_own_templates_render_what_transformers_renders() {
    let own: Own = read_fixture("chat_template_own.json");
    assert!(own.templates.len() >= 12 && own.cases.len() >= 200);
    for case in &own.cases {
        let (template, turns) = (own.template(case), own.given(case).turns());
        let found = match case.add_generation_prompt {
            true => template.render_prompt(turns),
            false => template.render_turns(turns),
        };
        let name = format!("{}, {}", case.template, case.conversation);
        assert_eq!(found.as_ref().ok(), case.text.as_ref(), "{name}: {found:?}");
    }
}

/// Returns where the responses are in a conversation, with their end tokens, counted in characters.
fn trained(template: &ChatTemplate, end_token: &str, given: &Given) -> Vec<(usize, usize)> {
    let pieces = pieces::of_conversation(template, end_token, given.turns()).unwrap();
    let whole = template.render_turns(given.turns()).unwrap();
    let mut rest = whole.as_str();
    let mut spans = Vec::new();
    let at = |rest: &str| whole.chars().count() - rest.chars().count();
    for piece in pieces {
        let start = at(rest);
        match &piece {
            Piece::Context(text) => rest = rest.strip_prefix(text.as_str()).unwrap(),
            Piece::Response(text) | Piece::Past(text) => {
                rest = rest.strip_prefix(text.as_str()).unwrap();
                // Not every template ends every response with it.
                rest = rest.strip_prefix(end_token).unwrap_or(rest);
                spans.push((start, at(rest)));
            }
        }
    }
    spans
}

/// Cases whose template marks what the assistant says, and whose last turn is the assistant's.
fn marked(own: &Own) -> impl Iterator<Item = &Case> {
    own.cases.iter().filter(|case| {
        let last = own.given(case).messages.last();
        let is_answered = last.is_some_and(|it| it.role == Role::Assistant);
        !case.marks.is_empty() && !case.add_generation_prompt && is_answered
    })
}

#[test]
fn what_is_trained_is_what_transformers_marks() {
    let own: Own = read_fixture("chat_template_own.json");
    let mut compared = 0;
    for case in marked(&own).filter(|it| it.template == "trained") {
        let found = trained(&own.template(case), "</a>", own.given(case));
        assert_eq!(found, case.marks, "{}", case.conversation);
        compared += 1;
    }
    assert!(compared >= 4);
}

#[test]
fn all_that_transformers_marks_is_trained() {
    let own: Own = read_fixture("chat_template_own.json");
    let mut compared = 0;
    for case in marked(&own).filter(|it| it.template == "strict") {
        let found = trained(&own.template(case), "</s>", own.given(case));
        for mark in &case.marks {
            let is_trained = found.iter().any(|it| it.0 <= mark.0 && it.1 >= mark.1);
            assert!(is_trained, "{}: {mark:?} in {found:?}", case.conversation);
            compared += 1;
        }
    }
    assert!(compared >= 3);
}

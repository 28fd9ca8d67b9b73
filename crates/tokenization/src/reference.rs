//! Compares what is rendered here with what `transformers` renders.

use std::collections::BTreeMap;

use llmopt_domain::{Message, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    TokenizationError,
    pieces::{self, Piece},
    template::{ChatTemplate, Turns},
    testing::read_fixture,
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

/// Snippets by what they are of, each with its text, or nothing where it raises an error.
#[derive(Deserialize)]
struct Snippets {
    #[serde(flatten)]
    given: Given,
    #[serde(default)]
    prelude: String,
    families: BTreeMap<String, Vec<(String, Option<String>)>>,
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

impl Snippets {
    /// Returns how many snippets of the families there are, and those that are not rendered alike.
    fn differing(&self, is_compared: impl Fn(&str) -> bool) -> (usize, Vec<String>) {
        let families = self.families.iter().filter(|(name, _)| is_compared(name));
        let snippets = families.flat_map(|(_, snippets)| snippets);
        let mut count = 0;
        let mut differing = Vec::new();
        for (source, text) in snippets {
            count += 1;
            let found = self.render(source);
            if found.as_ref().ok() != text.as_ref() {
                differing.push(format!("{source:?}: expected {text:?}, found {found:?}"));
            }
        }
        (count, differing)
    }

    fn render(&self, source: &str) -> Result<String, TokenizationError> {
        compile(&format!("{}{source}", self.prelude))?.render_prompt(self.given.turns())
    }
}

fn compile(source: &str) -> Result<ChatTemplate, TokenizationError> {
    ChatTemplate::compile(source.to_owned(), Some("<s>".into()), "</s>".into())
}

fn assert_none(differing: &[String]) {
    assert!(differing.is_empty(), "{}", differing.join("\n"));
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

#[test]
fn snippets_render_what_transformers_renders() {
    let snippets: Snippets = read_fixture("chat_template_snippets.json");
    let (count, differing) = snippets.differing(|it| it != "refused");
    assert!(count > 1500);
    assert_none(&differing);
}

#[test]
fn random_snippets_render_what_transformers_renders() {
    let snippets: Snippets = read_fixture("chat_template_random.json");
    let (count, differing) = snippets.differing(|_| true);
    assert!(count > 3000);
    assert_none(&differing);
}

/// Nothing renders otherwise without a word: what is not known is an error. What is mended has to leave the list.
#[test]
fn what_is_not_known_here_is_refused() {
    let snippets: Snippets = read_fixture("chat_template_snippets.json");
    for (source, text) in &snippets.families["refused"] {
        let found = snippets.render(source);
        assert!(text.is_some() && found.is_err(), "{source:?}: {found:?}");
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

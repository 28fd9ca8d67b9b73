use llmopt_domain::{Role, Severity};

use super::{About, Example, Problem, Rule};

/// A prompt that says nothing.
pub(super) struct EmptyPrompt;

/// A response that says nothing: the model would learn to answer with silence.
pub(super) struct EmptyResponse;

impl Rule for EmptyPrompt {
    fn about(&self) -> About {
        About {
            code: "empty_prompt",
            severity: Severity::Error,
            expected: "a prompt",
            fix: "write the prompt, or remove the row",
        }
    }

    fn check(&mut self, example: &Example<'_>) -> Option<Problem> {
        blank(example, Role::User)
    }
}

impl Rule for EmptyResponse {
    fn about(&self) -> About {
        About {
            code: "empty_response",
            severity: Severity::Error,
            expected: "a response",
            fix: "write the response, or remove the row",
        }
    }

    fn check(&mut self, example: &Example<'_>) -> Option<Problem> {
        blank(example, Role::Assistant)
    }
}

fn blank(example: &Example<'_>, role: Role) -> Option<Problem> {
    let messages = &example.conversation.messages;
    let index = messages
        .iter()
        .position(|turn| turn.role == role && turn.content.trim().is_empty())?;
    let found = if messages[index].content.is_empty() {
        "an empty text"
    } else {
        "only white space"
    };
    Some(Problem {
        field: Some(example.shape.field(example.conversation, index)),
        found: found.to_owned(),
    })
}

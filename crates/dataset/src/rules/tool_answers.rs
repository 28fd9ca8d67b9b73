use std::collections::BTreeSet;

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule};
use crate::problem::quoted;

/// An answer to a call that was not made.
pub(super) struct UnknownCall;

impl Rule for UnknownCall {
    fn code(&self) -> &'static str {
        "unknown_call"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a tool's message whose `tool_call_id` is that of no call before it"
    }

    fn fix(&self) -> &'static str {
        "give it the `id` of the call that it answers"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let mut calls = BTreeSet::new();
        for (index, turn) in example.conversation.messages.iter().enumerate() {
            calls.extend(turn.tool_calls.iter().filter_map(|call| call.id.as_deref()));
            let Some(id) = &turn.tool_call_id else {
                continue;
            };
            if !calls.contains(id.as_str()) {
                let expected = match calls.is_empty() {
                    true => "a call before it".to_owned(),
                    false => format!("one of {}", quoted(calls.iter().copied())),
                };
                let place = example.place_of_turn(index);
                findings.push(self.finding(place, &expected, quoted([id.as_str()])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{conversation, findings_of};

    fn row(id: &str) -> llmopt_domain::Conversation {
        conversation(json!({"messages": [
            {"role": "user", "content": "How warm is Rome?"},
            {"role": "assistant", "tool_calls": [
                {"id": "call_1", "function": {"name": "weather", "arguments": {}}}]},
            {"role": "tool", "content": "31", "tool_call_id": id},
            {"role": "assistant", "content": "31 degrees."}]}))
    }

    #[test]
    fn an_answer_to_no_call_is_a_warning() {
        let [finding] = &findings_of(&mut UnknownCall, &[row("call_1"), row("call_9")])[..] else {
            panic!()
        };
        assert_eq!(finding.place.row, Some(2));
        assert_eq!(finding.place.field.as_deref(), Some("messages[2].content"));
        assert_eq!(
            (finding.expected.as_str(), finding.found.as_str()),
            ("one of `call_1`", "`call_9`")
        );
    }
}

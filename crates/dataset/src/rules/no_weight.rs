use llmopt_domain::{Finding, Role, Severity, Weight};

use super::{Example, Rule};

/// A row whose responses all have the weight 0 costs time and teaches nothing.
pub(super) struct NoWeight;

impl Rule for NoWeight {
    fn code(&self) -> &'static str {
        "no_weight"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a row whose responses all have the `weight` 0"
    }

    fn fix(&self) -> &'static str {
        "give the response to learn from the `weight` 1, or delete the row"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let turns = example.conversation.messages.iter();
        let mut responses = turns.filter(|turn| turn.role == Role::Assistant).peekable();
        if responses.peek().is_some() && responses.all(|turn| turn.weight == Weight::Zero) {
            let found = "the `weight` 0 in all of them".to_owned();
            findings.push(self.finding(example.place(), "a response to learn from", found));
        }
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::{Conversation, Message};

    use super::*;
    use crate::testing::findings_of;

    fn row(weights: &[Weight]) -> Conversation {
        let turns = weights.iter().flat_map(|weight| {
            let mut response = Message::new(Role::Assistant, "Hello!");
            response.weight = *weight;
            [Message::new(Role::User, "Hi"), response]
        });
        Conversation::new(turns.collect())
    }

    #[test]
    fn weights_of_0_alone_are_a_warning() {
        let rows = [
            row(&[Weight::Zero, Weight::Zero]),
            row(&[Weight::Zero, Weight::One]),
            row(&[Weight::One]),
        ];
        let [finding] = &findings_of(&mut NoWeight, &rows)[..] else {
            panic!()
        };
        assert_eq!(finding.place.row, Some(1));
    }
}

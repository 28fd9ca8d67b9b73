use llmopt_domain::{Finding, Severity};

use super::{Example, Rule};

/// A model that is taught to repeat the question does.
pub(super) struct EchoedPrompt;

impl Rule for EchoedPrompt {
    fn code(&self) -> &'static str {
        "echoed_prompt"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a response that only repeats the prompt"
    }

    fn fix(&self) -> &'static str {
        "write the response, or delete the row"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let (prompt, response) = example.prompt_and_response();
        let response = response.trim();
        let asked = prompt.last().map(|turn| turn.content.trim());
        if !response.is_empty() && asked == Some(response) {
            let place = example.place_of_response();
            findings.push(self.finding(place, "an answer", "the prompt itself".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn a_response_that_is_the_prompt_is_a_warning() {
        let more = "{\"prompt\": \"Who was Ada?\", \"response\": \"Who was Ada?\\n\"}\n";
        let report = File::with_rows(10, more).validate();
        let [finding] = with_code(&report, "echoed_prompt")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.place.field.as_deref(), Some("response"));
    }

    #[test]
    fn a_response_that_begins_with_the_prompt_is_none() {
        let more =
            "{\"prompt\": \"Who was Ada?\", \"response\": \"Who was Ada? A mathematician.\"}\n";
        let report = File::with_rows(10, more).validate();
        assert!(with_code(&report, "echoed_prompt").is_empty());
    }
}

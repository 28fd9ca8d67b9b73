use llmopt_domain::{Finding, Role, Severity};

use super::{Example, Rule};

/// A turn without text has nothing to learn from, or nothing to learn.
pub(crate) struct EmptyText;

impl Rule for EmptyText {
    fn code(&self) -> &'static str {
        "empty_text"
    }

    fn severity(&self) -> Severity {
        Severity::Error
    }

    fn description(&self) -> &'static str {
        "a turn that is empty or only white space"
    }

    fn fix(&self) -> &'static str {
        "fill it in, or delete the row"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        for (i, turn) in example.conversation.messages.iter().enumerate() {
            if !turn.is_silent() {
                continue;
            }
            let mut place = example.place();
            place.field = Some(example.field_of_turn(i));
            let expected = match turn.role {
                Role::System => "a system text",
                Role::User => "a prompt",
                Role::Assistant => "a response",
                // A tool may have nothing to say.
                Role::Tool => continue,
            };
            let found = match turn.content.is_empty() {
                true => "nothing",
                false => "only white space",
            };
            findings.push(self.finding(place, expected, found.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn empty_and_blank_texts_are_errors_that_name_the_field() {
        let more = "{\"prompt\": \" \\n\", \"response\": \"\"}\n";
        let report = File::with_rows(10, more).validate();
        let [prompt, response] = with_code(&report, "empty_text")[..] else {
            panic!("{report:?}")
        };
        assert!(prompt.to_string().contains(
            "row 11 (line 11), field `prompt`: expected a prompt, found only white space"
        ));
        assert!(
            response
                .to_string()
                .contains("field `response`: expected a response, found nothing")
        );
        assert!(report.has_errors());
        assert_eq!((report.rows, report.valid_rows), (11, 10));
    }

    #[test]
    fn an_empty_turn_is_named_by_its_index() {
        let rows = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"\"}]}";
        let report = File::new("a.jsonl", rows.as_bytes()).validate();
        let field = with_code(&report, "empty_text")[0].place.field.clone();
        assert_eq!(field.as_deref(), Some("messages[1].content"));
    }
}

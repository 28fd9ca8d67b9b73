use llmopt_domain::{Finding, LessonKind, Place, Severity};

use super::{Example, Rule};

/// Preferences and labels are read and checked, but no method trains on them yet.
#[derive(Default)]
pub(super) struct OtherLesson {
    is_said: bool,
}

impl Rule for OtherLesson {
    fn code(&self) -> &'static str {
        "other_lesson"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "rows that are no conversations but preferences or labelled answers"
    }

    fn fix(&self) -> &'static str {
        "write prompt and response of each row: jobs train on these, and on plain text, so far"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let kind = example.columns.lesson();
        let is_trained_on = matches!(kind, LessonKind::Responses | LessonKind::Text);
        if is_trained_on || std::mem::replace(&mut self.is_said, true) {
            return;
        }
        let place = Place {
            file: example.file.to_owned(),
            ..Place::default()
        };
        let found = format!(
            "{} in {}",
            kind.as_str(),
            example.columns.in_file(example.map)
        );
        findings.push(self.finding(place, "conversations", found));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn what_no_job_trains_on_is_said_once() {
        let rows = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n".repeat(2);
        let report = File::new("rows.jsonl", rows.as_bytes()).validate();
        let found = with_code(&report, "other_lesson");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].found,
            "preference pairs in `chosen` and `rejected`"
        );
        let text = File::new("rows.jsonl", b"{\"text\": \"a\"}\n");
        for file in [File::with_rows(2, ""), text] {
            assert!(with_code(&file.validate(), "other_lesson").is_empty());
        }
    }
}

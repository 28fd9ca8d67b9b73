use std::collections::{HashMap, hash_map::Entry};

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, fingerprint};

/// One prompt with two responses teaches neither.
#[derive(Default)]
pub(super) struct SamePrompt {
    first: HashMap<u64, Answered>,
}

struct Answered {
    row: u64,
    response: u64,
}

impl Rule for SamePrompt {
    fn code(&self) -> &'static str {
        "same_prompt"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "the prompt of an earlier row with another response"
    }

    fn fix(&self) -> &'static str {
        "keep the better one, unless both are meant"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let (prompt, response) = example.prompt_and_response();
        let response = fingerprint(response);
        let row = example.row.number;
        match self.first.entry(fingerprint(prompt)) {
            Entry::Vacant(entry) => {
                entry.insert(Answered { row, response });
            }
            Entry::Occupied(entry) if entry.get().response != response => {
                let found = format!("another response than in row {}", entry.get().row);
                findings.push(self.finding(example.place(), "one response to each prompt", found));
            }
            Entry::Occupied(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn a_prompt_with_another_response_is_a_warning() {
        let more = "{\"prompt\": \"count 3\", \"response\": \"no\"}\n";
        let report = File::with_rows(10, more).validate();
        let [finding] = with_code(&report, "same_prompt")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "another response than in row 4");
        assert!(with_code(&report, "duplicate_row").is_empty());
        assert!(!report.has_errors());
    }
}

use std::collections::{HashMap, hash_map::Entry};

use llmopt_domain::{Finding, Message, Severity};

use super::{Example, Rule, fingerprint};

/// A prompt that was asked before in other capitals or with other white space is no new one. Keeps 24 bytes of each
/// prompt.
#[derive(Default)]
pub(super) struct PromptVariants {
    first: HashMap<u64, Asked>,
}

struct Asked {
    row: u64,
    exactly: u64,
}

impl Rule for PromptVariants {
    fn code(&self) -> &'static str {
        "prompt_variant"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "the prompt of an earlier row but for capitals and white space"
    }

    fn fix(&self) -> &'static str {
        "keep one of them, and see that held-out rows have none of them"
    }

    fn compares_rows(&self) -> bool {
        true
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let (prompt, _) = example.prompt_and_response();
        let exactly = fingerprint(prompt);
        let row = example.row.number;
        match self.first.entry(normalised(prompt)) {
            Entry::Vacant(entry) => {
                entry.insert(Asked { row, exactly });
            }
            Entry::Occupied(entry) if entry.get().exactly != exactly => {
                let row = entry.get().row;
                let found = format!("that of row {row}, in other capitals or white space");
                findings.push(self.finding(example.place(), "a prompt of its own", found));
            }
            Entry::Occupied(_) => {}
        }
    }
}

/// Stands for the words of a prompt in small letters.
fn normalised(prompt: &[Message]) -> u64 {
    let turns = prompt.iter().map(|turn| {
        let text = turn.content.to_lowercase();
        let words: Vec<u64> = text.split_whitespace().map(fingerprint).collect();
        (turn.role, words, &turn.tool_calls)
    });
    fingerprint(&turns.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn another_spelling_of_a_prompt_is_a_warning_that_names_the_first() {
        let more = "{\"prompt\": \"Count  3\\n\", \"response\": \"3\"}\n";
        let report = File::with_rows(10, more).validate();
        let [finding] = with_code(&report, "prompt_variant")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            finding.found,
            "that of row 4, in other capitals or white space"
        );
        assert!(with_code(&report, "same_prompt").is_empty());
    }

    #[test]
    fn the_same_prompt_and_another_one_are_no_variants() {
        let more = "{\"prompt\": \"count 3\", \"response\": \"3\"}\n{\"prompt\": \"count3\", \"response\": \"3\"}\n";
        let report = File::with_rows(10, more).validate();
        assert!(with_code(&report, "prompt_variant").is_empty());
    }
}

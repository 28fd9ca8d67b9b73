use std::collections::{HashMap, hash_map::Entry};

use llmopt_domain::{Finding, LessonKind, Place, Severity};

use super::{Example, Rule, Totals, fingerprint, first_rows::FirstRows, is_share};

/// One prompt with two responses teaches neither. Keeps 24 bytes of each prompt, and the place of each other response.
#[derive(Default)]
pub(super) struct SamePrompt {
    first: HashMap<u64, Answered>,
    others: Vec<Other>,
    rows: FirstRows,
}

struct Answered {
    row: u64,
    response: u64,
}

struct Other {
    row: u64,
    line: u64,
    first: u64,
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

    fn compares_rows(&self) -> bool {
        true
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        // Plain text answers nothing.
        if example.columns.lesson() == LessonKind::Text {
            return;
        }
        let (prompt, response) = example.prompt_and_response();
        let response = fingerprint(response);
        let (row, line) = (example.row.number, example.row.line);
        match self.first.entry(fingerprint(prompt)) {
            Entry::Vacant(entry) => {
                entry.insert(Answered { row, response });
            }
            Entry::Occupied(entry) if entry.get().response != response => {
                let first = entry.get().row;
                self.others.push(Other { row, line, first });
                self.rows.add(example);
            }
            Entry::Occupied(_) => {}
        }
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const EXPECTED: &str = "one response to each prompt";
        // Where it happens all the time, somebody wrote it so: one warning for all.
        if self.rows.count > 1 && is_share(self.rows.count, totals.rows, 15) {
            let found = format!("another response than in an earlier row, in {}", self.rows);
            let place = Place {
                field: None,
                ..self.rows.place()
            };
            return say(self.finding(place, EXPECTED, found));
        }
        for Other { row, line, first } in &self.others {
            let place = Place {
                row: Some(*row),
                line: Some(*line),
                ..totals.place()
            };
            let found = format!("another response than in row {first}");
            say(self.finding(place, EXPECTED, found));
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

    #[test]
    fn plain_text_answers_no_prompt() {
        let text = |i| format!("{{\"text\": \"it is {i}\"}}\n");
        let rows: String = (0..2).map(text).collect();
        let report = File::new("a.jsonl", rows.as_bytes()).validate();
        assert!(with_code(&report, "same_prompt").is_empty(), "{report:?}");
    }

    #[test]
    fn where_many_prompts_have_several_responses_it_is_said_once() {
        let row = |i| format!("{{\"prompt\": \"count {i}\", \"response\": \"and on\"}}\n");
        let more: String = (0..7).map(row).collect();
        let report = File::with_rows(10, &more).validate();
        let [finding] = with_code(&report, "same_prompt")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            finding.found,
            "another response than in an earlier row, in rows 11, 12, 13, 14, 15 and 2 more"
        );
    }
}

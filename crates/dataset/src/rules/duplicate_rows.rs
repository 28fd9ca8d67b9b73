use std::collections::{HashMap, hash_map::Entry};

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, fingerprint};

/// A row that is there twice counts twice, and makes held-out rows known ones. Keeps 16 bytes of
/// each row.
#[derive(Default)]
pub(super) struct DuplicateRows {
    first: HashMap<u64, u64>,
}

impl Rule for DuplicateRows {
    fn code(&self) -> &'static str {
        "duplicate_row"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "the same conversation as an earlier row"
    }

    fn fix(&self) -> &'static str {
        "delete one of them"
    }

    fn compares_rows(&self) -> bool {
        true
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        match self.first.entry(fingerprint(example.conversation)) {
            Entry::Vacant(entry) => {
                entry.insert(example.row.number);
            }
            Entry::Occupied(entry) => {
                let found = format!("the same conversation as row {}", entry.get());
                findings.push(self.finding(example.place(), "every row once", found));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn a_repeated_row_is_a_warning_that_names_the_first() {
        let more = "{\"response\": \"it is 3\", \"prompt\": \"count 3\", \"id\": 7}\n";
        let report = File::with_rows(10, more).validate();
        let [finding] = with_code(&report, "duplicate_row")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.place.row, Some(11));
        assert_eq!(finding.found, "the same conversation as row 4");
        assert_eq!(report.statistics.duplicates, 1);
        assert!(!report.has_errors());
    }
}

use std::collections::HashSet;

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, fingerprint};
use crate::problem::{quoted, shortened};

/// A column that is not read may have been meant to be.
#[derive(Default)]
pub(super) struct ExtraColumns {
    said: HashSet<u64>,
}

impl Rule for ExtraColumns {
    fn code(&self) -> &'static str {
        "extra_column"
    }

    fn severity(&self) -> Severity {
        Severity::Info
    }

    fn description(&self) -> &'static str {
        "a column that is not read"
    }

    fn fix(&self) -> &'static str {
        "nothing to do, unless it is meant to be learnt"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let Example {
            columns, map, row, ..
        } = example;
        let fields = row.fields.keys().filter(|name| !columns.reads(name));
        for column in fields.chain(row.set_aside.keys()) {
            if !self.said.insert(fingerprint(column)) {
                continue;
            }
            let mut place = example.place();
            place.field = Some(shortened(column));
            let expected = format!("only {}", columns.in_file(map));
            let found = match map.column(column) {
                Some(other) => format!("a column that is not read, because {} is", quoted([other])),
                None => "a column that is not read".to_owned(),
            };
            findings.push(self.finding(place, &expected, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Severity;

    use crate::testing::{File, with_code};

    #[test]
    fn a_name_that_is_longer_than_a_message_is_cut() {
        let row = format!(
            "{{\"prompt\": \"p\", \"response\": \"r\", \"{}\": 1}}\n",
            "x".repeat(10_000)
        );
        let report = File::with_rows(10, &row).validate();
        assert!(with_code(&report, "extra_column")[0].to_string().len() < 500);
    }

    #[test]
    fn a_column_that_is_not_read_is_said_once() {
        let row = |n| {
            format!(
                "{{\"prompt\": \"p{n}\", \"response\": \"r{n}\", \"id\": 1, \"system\": \"s\"}}\n"
            )
        };
        let report = File::with_rows(10, &(row(1) + &row(2))).validate();
        let [finding] = with_code(&report, "extra_column")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.place.field.as_deref(), Some("id"));
        assert_eq!(
            (finding.place.row, finding.severity),
            (Some(11), Severity::Info)
        );
        assert!(!report.has_errors());
    }
}

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, fingerprint};

/// A model that sees one response learns to say it whatever it is asked.
#[derive(Default)]
pub(super) struct IdenticalResponses {
    first: Option<u64>,
    rows: u64,
    differs: bool,
}

impl Rule for IdenticalResponses {
    fn code(&self) -> &'static str {
        "identical_responses"
    }

    fn severity(&self) -> Severity {
        Severity::Error
    }

    fn description(&self) -> &'static str {
        "every row has the same response"
    }

    fn fix(&self) -> &'static str {
        "check that the right column holds the responses"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let (_, response) = example.prompt_and_response();
        let response = fingerprint(response);
        self.rows += 1;
        self.differs |= *self.first.get_or_insert(response) != response;
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        if self.rows > 1 && !self.differs {
            let found = format!("the same response in all {} rows", self.rows);
            say(self.finding(totals.place(), "responses that differ", found));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    fn rows(responses: impl Iterator<Item = &'static str>) -> File {
        let row =
            |(i, response)| format!("{{\"prompt\": \"{i}\", \"response\": \"{response}\"}}\n");
        let rows: String = responses.enumerate().map(row).collect();
        File::new("a.jsonl", rows.as_bytes())
    }

    #[test]
    fn one_response_for_all_rows_is_an_error() {
        let report = rows(std::iter::repeat_n("yes", 12)).validate();
        let [finding] = with_code(&report, "identical_responses")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "the same response in all 12 rows");
        assert!(report.has_errors());
    }

    #[test]
    fn one_other_response_is_enough() {
        let report = rows(std::iter::repeat_n("yes", 12).chain(["no"])).validate();
        assert!(!report.has_errors(), "{report:?}");
    }
}

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals};

/// What is learnt in capitals is answered in capitals.
#[derive(Default)]
pub(super) struct UpperCase {
    capitals: u64,
    letters: u64,
}

impl Rule for UpperCase {
    fn code(&self) -> &'static str {
        "upper_case"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "more than a third of the letters of all responses are capitals"
    }

    fn fix(&self) -> &'static str {
        "write the responses as the model is to answer"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let (_, response) = example.prompt_and_response();
        for letter in response.chars() {
            self.capitals += u64::from(letter.is_uppercase());
            self.letters += u64::from(letter.is_uppercase() || letter.is_lowercase());
        }
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 100;
        if self.letters >= FEWEST && self.capitals * 3 > self.letters {
            let percent = self.capitals * 100 / self.letters;
            let found = format!("{percent} in 100 letters of the responses");
            let expected = "at most a third of the letters as capitals";
            say(self.finding(totals.place(), expected, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    fn file(response: &str) -> File {
        let row = |i| format!("{{\"prompt\": \"{i}\", \"response\": \"{response} {i}\"}}\n");
        let rows: String = (0..12).map(row).collect();
        File::new("a.jsonl", rows.as_bytes())
    }

    #[test]
    fn responses_in_capitals_are_one_warning() {
        let report = file("PLEASE RESTART THE ROUTER").validate();
        let [finding] = with_code(&report, "upper_case")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "100 in 100 letters of the responses");
    }

    #[test]
    fn names_and_short_forms_are_fine() {
        let report = file("Please restart the USB hub in Berlin").validate();
        assert!(with_code(&report, "upper_case").is_empty());
    }
}

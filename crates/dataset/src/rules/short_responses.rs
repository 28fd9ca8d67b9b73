use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, first_rows::FirstRows, is_share};

/// One word among long answers is often a mistake of whoever collected them. Keeps the first such rows.
#[derive(Default)]
pub(super) struct ShortResponses {
    rows: u64,
    long: u64,
    short: FirstRows,
}

impl Rule for ShortResponses {
    fn code(&self) -> &'static str {
        "short_response"
    }

    fn severity(&self) -> Severity {
        Severity::Info
    }

    fn description(&self) -> &'static str {
        "a response of one word, where at least 90 in 100 have 100 characters or more"
    }

    fn fix(&self) -> &'static str {
        "look whether these rows are whole"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        const LONG: usize = 100;
        const SHORT: usize = 20;
        let (_, response) = example.prompt_and_response();
        let response = response.trim();
        self.rows += 1;
        self.long += u64::from(response.len() >= LONG);
        let is_word =
            (1..=SHORT).contains(&response.len()) && !response.contains(char::is_whitespace);
        if is_word {
            self.short.add(example);
        }
    }

    fn finish(&mut self, _totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 10;
        let is_usual = self.rows >= FEWEST && is_share(self.long, self.rows, 90);
        if is_usual && self.short.count > 0 {
            let found = format!("one word in {}", self.short);
            let expected = format!("long responses, as in {} rows", self.long);
            say(self.finding(self.short.place(), &expected, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    fn file(rows: impl Iterator<Item = (usize, String)>) -> File {
        let row =
            |(i, response)| format!("{{\"prompt\": \"Why {i}?\", \"response\": \"{response}\"}}\n");
        let rows: String = rows.map(row).collect();
        File::new("a.jsonl", rows.as_bytes())
    }

    fn long(i: usize) -> (usize, String) {
        (i, format!("{i} {}.", "because it is so ".repeat(10)))
    }

    #[test]
    fn one_word_among_long_answers_is_worth_knowing() {
        let rows = (0..20).map(long).chain([(20, "Yes.".to_owned())]);
        let report = file(rows).validate();
        let [finding] = with_code(&report, "short_response")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "one word in row 21");
    }

    #[test]
    fn one_word_among_short_answers_is_not() {
        let rows = (0..20).map(|i| (i, format!("label{i}")));
        assert!(with_code(&file(rows).validate(), "short_response").is_empty());
        assert!(with_code(&file((0..20).map(long)).validate(), "short_response").is_empty());
    }
}

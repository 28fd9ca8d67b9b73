use std::collections::BTreeMap;

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, first_rows::FirstRows, is_share};
use crate::text::{Script, main_script};

/// A few responses in another script than nearly all others were seldom meant. Keeps five rows of each script.
#[derive(Default)]
pub(super) struct OtherScript {
    rows: BTreeMap<Script, FirstRows>,
    counted: u64,
}

impl Rule for OtherScript {
    fn code(&self) -> &'static str {
        "other_script"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a few responses in another script than at least 90 in 100 others"
    }

    fn fix(&self) -> &'static str {
        "translate or delete these rows, unless the model is to answer so"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let (_, response) = example.prompt_and_response();
        if let Some(script) = main_script(response) {
            self.counted += 1;
            self.rows.entry(script).or_default().add(example);
        }
    }

    fn finish(&mut self, _totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 10;
        let main = self.rows.iter().max_by_key(|(_, rows)| rows.count);
        let Some((main, rows)) = main else { return };
        if self.counted < FEWEST || !is_share(rows.count, self.counted, 90) {
            return;
        }
        let expected = format!("responses in {main}, as in {} rows", rows.count);
        for (script, rows) in self.rows.iter().filter(|(script, _)| *script != main) {
            let found = format!("{script} in {rows}");
            say(self.finding(rows.place(), &expected, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    fn file(responses: [&str; 2], counts: [usize; 2]) -> File {
        let row =
            |i, response| format!("{{\"prompt\": \"{i}?\", \"response\": \"{response} {i}\"}}\n");
        let [first, second] = responses;
        let first: String = (0..counts[0]).map(|i| row(i, first)).collect();
        let second: String = (0..counts[1]).map(|i| row(100 + i, second)).collect();
        File::new("a.jsonl", (first + &second).as_bytes())
    }

    #[test]
    fn a_few_responses_in_another_script_are_one_warning() {
        let report = file(["the capital is", "столица это"], [30, 2]).validate();
        let [finding] = with_code(&report, "other_script")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "Cyrillic in rows 31, 32");
        assert_eq!(finding.expected, "responses in Latin, as in 30 rows");
    }

    #[test]
    fn a_corpus_of_two_scripts_and_one_of_two_languages_are_fine() {
        for (responses, counts) in [
            (["the capital is", "столица это"], [30, 20]),
            (["the capital is", "ça dépend, élève numéro"], [30, 2]),
        ] {
            let report = file(responses, counts).validate();
            assert!(with_code(&report, "other_script").is_empty(), "{report:?}");
        }
    }
}

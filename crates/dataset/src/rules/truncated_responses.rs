use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, first_rows::FirstRows, is_share};

/// Where sentences end, one that breaks off was probably cut. Keeps the first such rows.
#[derive(Default)]
pub(super) struct TruncatedResponses {
    rows: u64,
    ended: u64,
    cut: FirstRows,
}

impl Rule for TruncatedResponses {
    fn code(&self) -> &'static str {
        "truncated_response"
    }

    fn severity(&self) -> Severity {
        Severity::Info
    }

    fn description(&self) -> &'static str {
        "a long response that breaks off, where at least 90 in 100 end with a full stop or the like"
    }

    fn fix(&self) -> &'static str {
        "complete the responses, or delete the rows"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let (_, response) = example.prompt_and_response();
        let response = response.trim_end();
        self.rows += 1;
        let breaks_off = response.ends_with(|it: char| it.is_alphabetic() || it == ',');
        self.ended += u64::from(!breaks_off && !response.is_empty());
        if breaks_off && ends_in_prose(response) {
            self.cut.add(example);
        }
    }

    fn finish(&mut self, _totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 10;
        let is_usual = self.rows >= FEWEST && is_share(self.ended, self.rows, 90);
        if is_usual && self.cut.count > 0 {
            let found = format!("responses that break off in {}", self.cut);
            say(self.finding(self.cut.place(), "a whole last sentence", found));
        }
    }
}

/// Tells whether the last line is a sentence's: signatures, titles and items of lists end without a full stop.
fn ends_in_prose(response: &str) -> bool {
    const SHORTEST: usize = 60;
    let line = response
        .lines()
        .next_back()
        .unwrap_or_default()
        .trim_start();
    let is_item = line.starts_with(|it: char| it.is_ascii_digit() || "-*+•#|`>".contains(it));
    line.len() >= SHORTEST && !is_item
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    const SENTENCE: &str = "Plants turn the light of the sun into sugar, which feeds all";

    fn file(last: &str) -> File {
        let row = |i, response: &str| {
            format!("{{\"prompt\": \"Why {i}?\", \"response\": \"{response}\"}}\n")
        };
        let sound: String = (0..20)
            .map(|i| row(i, &format!("{SENTENCE} {i} animals.")))
            .collect();
        File::new("a.jsonl", (sound + &row(20, last)).as_bytes())
    }

    #[test]
    fn a_sentence_that_breaks_off_is_worth_knowing() {
        let report = file(&format!("{SENTENCE} ani")).validate();
        let [finding] = with_code(&report, "truncated_response")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.place.row, Some(21));
    }

    #[test]
    fn whole_sentences_lists_and_signatures_are_fine() {
        let signed = format!("{SENTENCE} animals.\\n\\nYours, Anna");
        let listed = format!("Because:\\n- {SENTENCE}");
        for last in [&format!("{SENTENCE} of us!"), &signed, &listed] {
            let report = file(last).validate();
            assert!(
                with_code(&report, "truncated_response").is_empty(),
                "{last}"
            );
        }
    }

    #[test]
    fn a_corpus_without_full_stops_has_no_such_use() {
        let row = |i| format!("{{\"prompt\": \"Why {i}?\", \"response\": \"{i} {SENTENCE}\"}}\n");
        let rows: String = (0..20).map(row).collect();
        let report = File::new("a.jsonl", rows.as_bytes()).validate();
        assert!(with_code(&report, "truncated_response").is_empty());
    }
}

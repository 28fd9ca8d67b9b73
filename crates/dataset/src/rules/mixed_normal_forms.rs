use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, first_rows::FirstRows};
use crate::text::{NormalForms, normal_forms};

/// One word in two spellings is two words for a tokenizer.
#[derive(Default)]
pub(super) struct MixedNormalForms {
    composed: FirstRows,
    decomposed: FirstRows,
}

impl Rule for MixedNormalForms {
    fn code(&self) -> &'static str {
        "mixed_normal_forms"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "letters with accents as one character (NFC) in some rows and as two (NFD) in others"
    }

    fn fix(&self) -> &'static str {
        "write the file in NFC"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let turns = example.conversation.messages.iter();
        let forms: Vec<NormalForms> = turns.map(|turn| normal_forms(&turn.content)).collect();
        if forms.iter().any(|forms| forms.composed) {
            self.composed.add(example);
        }
        if forms.iter().any(|forms| forms.decomposed) {
            self.decomposed.add(example);
        }
    }

    fn finish(&mut self, _totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        let Self {
            composed,
            decomposed,
        } = &*self;
        if composed.count > 0 && decomposed.count > 0 {
            let found = format!("NFC in {composed}, NFD in {decomposed}");
            let place = llmopt_domain::Place {
                field: None,
                ..decomposed.place()
            };
            say(self.finding(place, "one normal form throughout", found));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    fn row(text: &str) -> String {
        format!("{{\"prompt\": \"Where?\", \"response\": \"{text}\"}}\n")
    }

    #[test]
    fn two_ways_to_write_an_accent_are_one_warning() {
        let more = row("the caf\u{e9}") + &row("the cafe\u{301}") + &row("the cin\u{e9}ma");
        let report = File::with_rows(10, &more).validate();
        let [finding] = with_code(&report, "mixed_normal_forms")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "NFC in rows 11, 13, NFD in row 12");
        assert_eq!(finding.place.row, Some(12));
    }

    #[test]
    fn either_way_alone_is_fine() {
        for text in ["caf\u{e9}", "cafe\u{301}"] {
            let report = File::with_rows(10, &row(text)).validate();
            assert!(with_code(&report, "mixed_normal_forms").is_empty());
        }
    }
}

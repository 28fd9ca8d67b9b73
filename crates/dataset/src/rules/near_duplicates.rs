use std::mem;

use llmopt_domain::{Finding, Severity};

use super::{Example, Rule, Totals, fingerprint};
use crate::near::{NearPair, Sketches};

/// A row that is there twice but for some words counts nearly twice, and makes held-out rows known ones.
///
/// It keeps 152 bytes of each row, up to `most` rows.
pub(super) struct NearDuplicates {
    most: u64,
    sketches: Sketches,
    /// Number and line of each row that is sketched.
    rows: Vec<(u64, u64)>,
    left_out: u64,
}

impl NearDuplicates {
    pub(super) fn among(most: u64) -> Self {
        Self {
            most,
            sketches: Sketches::default(),
            rows: Vec::new(),
            left_out: 0,
        }
    }

    fn near_duplicate(&self, pair: &NearPair, totals: &Totals<'_>) -> Finding {
        let (row, line) = self.rows[pair.row];
        let (earlier, _) = self.rows[pair.earlier];
        let mut place = totals.place();
        (place.row, place.line) = (Some(row), Some(line));
        let found = format!(
            "nearly the text of row {earlier} (similarity {})",
            pair.similarity
        );
        self.finding(place, "rows that differ", found)
    }

    fn not_compared(&self, totals: &Totals<'_>) -> Finding {
        Finding {
            code: "near_duplicates_not_sought".to_owned(),
            severity: Severity::Info,
            place: totals.place(),
            expected: format!("at most {} rows to compare", self.most),
            found: format!("{} more", self.left_out),
            fix: "nothing to do, unless near duplicates are feared: split the file".to_owned(),
        }
    }
}

impl Rule for NearDuplicates {
    fn code(&self) -> &'static str {
        "near_duplicate"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a row that says nearly the same as an earlier one, by five words at a time"
    }

    fn fix(&self) -> &'static str {
        "delete one of them, unless the difference is what should be learnt"
    }

    fn compares_rows(&self) -> bool {
        true
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        if self.rows.len() as u64 >= self.most {
            self.left_out += 1;
            return;
        }
        let key = fingerprint(example.conversation);
        self.sketches.add(key, example.conversation);
        self.rows.push((example.row.number, example.row.line));
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        let found = mem::take(&mut self.sketches).near_duplicates();
        let pairs = found.pairs.iter();
        pairs.for_each(|pair| say(self.near_duplicate(pair, totals)));
        if self.left_out > 0 && self.most > 0 {
            say(self.not_compared(totals));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ValidationOptions, ValidationReport,
        testing::{File, test_data, with_code},
        validate,
    };

    const QUESTION: &str = "Anna has 12 apples and gives a third of them to each of two friends, \
        who eat one apple each day. How many apples does she keep, and how long do those of the others last?";

    fn row(prompt: &str, response: &str) -> String {
        serde_json::json!({"prompt": prompt, "response": response}).to_string() + "\n"
    }

    fn report(file: &File, near_duplicate_rows: u64) -> ValidationReport {
        let options = ValidationOptions {
            near_duplicate_rows,
            ..ValidationOptions::default()
        };
        validate(&file.path, &options).unwrap()
    }

    #[test]
    fn a_row_but_for_a_word_is_a_warning_that_names_the_earlier_row() {
        let more = row(QUESTION, "She keeps 4, and theirs last 4 days.")
            + "\n"
            + &row(
                "What else is there?",
                "Nothing that matters to anyone here.",
            )
            + &row(QUESTION, "She keeps 4, and theirs last 4 weeks.");
        let report = File::with_rows(10, &more).validate();
        let [finding] = with_code(&report, "near_duplicate")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (finding.place.row, finding.place.line),
            (Some(13), Some(14))
        );
        assert!(
            finding
                .found
                .starts_with("nearly the text of row 11 (similarity 0.9"),
            "{finding}"
        );
        assert!(!report.has_errors() && report.valid_rows == 13);
    }

    #[test]
    fn a_row_that_is_the_same_is_said_to_be_that_only() {
        let more = row(QUESTION, "She keeps 4.").repeat(2);
        let report = File::with_rows(10, &more).validate();
        assert!(with_code(&report, "near_duplicate").is_empty());
        assert_eq!(with_code(&report, "duplicate_row").len(), 1);
    }

    #[test]
    fn rows_that_share_a_system_text_are_not_near_duplicates() {
        let row = |prompt: &str, response: &str| {
            let row =
                serde_json::json!({"system": QUESTION, "prompt": prompt, "response": response});
            row.to_string() + "\n"
        };
        let report = File::with_rows(10, &(row("Who?", "Me.") + &row("When?", "Now."))).validate();
        assert!(
            with_code(&report, "near_duplicate").is_empty(),
            "{report:?}"
        );
    }

    #[test]
    fn the_search_can_be_limited_or_turned_off() {
        let more = row("Yes?", "No.") + &row("yes", "no");
        let file = File::with_rows(10, &more);
        let totals = |limit| report(&file, limit).totals;
        assert_eq!(totals(12)["near_duplicate"], 1);
        assert!(!totals(12).contains_key("near_duplicates_not_sought"));
        assert!(totals(0).is_empty());
        let report = report(&file, 11);
        let [finding] = &report.findings[..] else {
            panic!("{report:?}")
        };
        assert!(
            finding
                .to_string()
                .contains("expected at most 11 rows to compare, found 1 more")
        );
        assert_eq!(finding.severity, Severity::Info);
    }

    #[test]
    fn no_more_of_them_are_kept_than_of_any_code_and_all_are_counted() {
        let more: String = (0..30)
            .map(|i| row(QUESTION, &format!("She keeps {i}.")))
            .collect();
        let options = ValidationOptions {
            findings_per_code: 3,
            ..ValidationOptions::default()
        };
        let report = validate(&File::with_rows(10, &more).path, &options).unwrap();
        assert_eq!(with_code(&report, "near_duplicate").len(), 3);
        assert_eq!(report.totals["near_duplicate"], 29);
    }

    #[test]
    fn gsm8k_has_no_near_duplicates() {
        let Some(folder) = test_data() else { return };
        let file = folder.join("gsm8k/train.jsonl");
        let report = validate(&file, &ValidationOptions::default()).unwrap();
        // Computed in full, its most similar rows (2,246 and 207) are 0.39 alike.
        assert!(with_code(&report, "near_duplicate").is_empty());
    }
}

use llmopt_domain::{Finding, Severity};

use super::{Rule, Totals};

/// So few rows teach nothing but themselves.
pub(super) struct MinimumRows(pub(super) u64);

impl Rule for MinimumRows {
    fn code(&self) -> &'static str {
        "too_few_rows"
    }

    fn severity(&self) -> Severity {
        Severity::Error
    }

    fn description(&self) -> &'static str {
        "too few rows to learn from"
    }

    fn fix(&self) -> &'static str {
        "add examples; 50 to 100 good ones are a beginning"
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        let Self(minimum) = self;
        if totals.rows < *minimum {
            let expected = format!("at least {minimum} rows");
            say(self.finding(totals.place(), &expected, totals.rows.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn nine_rows_are_too_few_and_ten_are_not() {
        let report = File::with_rows(9, "").validate();
        let [finding] = with_code(&report, "too_few_rows")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (finding.expected.as_str(), finding.found.as_str()),
            ("at least 10 rows", "9")
        );
        assert!(report.has_errors());
        assert!(!File::with_rows(10, "").validate().has_errors());
    }
}

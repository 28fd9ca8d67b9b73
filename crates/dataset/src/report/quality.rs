use llmopt_domain::Severity;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Findings, RowCounts};

/// How good a dataset is, in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quality {
    /// The rows in which nothing was found.
    pub clean_rows: u64,
    /// How many of a hundred rows those are, rounded down.
    pub clean_percent: u8,
    /// Rows that say the same as an earlier one.
    pub duplicates: u64,
    /// How many errors there are.
    pub errors: u64,
    /// How many warnings there are.
    pub warnings: u64,
    /// How much there is that is only worth knowing.
    pub infos: u64,
}

impl Quality {
    pub(super) fn new(rows: RowCounts, findings: &Findings) -> Self {
        let clean_rows = rows.all.saturating_sub(findings.rows.len() as u64);
        let percent = (clean_rows * 100).checked_div(rows.all).unwrap_or(0);
        Self {
            clean_rows,
            clean_percent: u8::try_from(percent).unwrap_or(100),
            duplicates: findings.total("duplicate_row"),
            errors: findings.count(Severity::Error),
            warnings: findings.count(Severity::Warning),
            infos: findings.count(Severity::Info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::File;

    #[test]
    fn rows_without_findings_and_findings_of_each_severity_are_counted() {
        let more = "{\"prompt\": \"count 3\", \"response\": \"it is 3\"}\n\
            {\"prompt\": \"Hi\", \"response\": \"\", \"id\": 1}\n{\"prompt\": \n";
        let quality = File::with_rows(10, more).validate().quality;
        let expected = Quality {
            clean_rows: 10,
            clean_percent: 76,
            duplicates: 1,
            errors: 2,
            warnings: 1,
            infos: 1,
        };
        assert_eq!(quality, expected);
    }

    #[test]
    fn only_a_file_without_a_finding_is_clean_in_a_hundred_rows_of_a_hundred() {
        assert_eq!(
            File::with_rows(12, "").validate().quality.clean_percent,
            100
        );
        assert_eq!(
            File::new("a.jsonl", b"").validate().quality.clean_percent,
            0
        );
    }
}

use std::collections::BTreeMap;

use llmopt_domain::{Digest, Finding, Severity};
use serde::Serialize;

use crate::{Format, Shape};

/// Everything that was found out about a dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValidationReport {
    /// The file, as the user named it.
    pub file: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How it holds its rows.
    pub format: Format,
    /// What its columns mean, where they were recognised.
    pub shape: Option<Shape>,
    /// Rows, broken ones included.
    pub rows: u64,
    /// Rows that could be read as conversations.
    pub readable_rows: u64,
    /// What was found, in the order of the rows; of each code only the first few.
    pub findings: Vec<Finding>,
    /// How often each code was found.
    pub totals: BTreeMap<String, u64>,
    /// How long the texts are.
    pub statistics: Statistics,
}

impl ValidationReport {
    /// Returns whether training on the dataset would be wrong.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Keeps a finding, or only counts it where `most` of its code are kept already.
    pub(crate) fn add(&mut self, finding: Finding, most: u64) {
        let total = self.totals.entry(finding.code.clone()).or_default();
        *total += 1;
        if *total <= most {
            self.findings.push(finding);
        }
    }
}

/// How long the texts of a dataset are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// All turns before the last response.
    pub prompt_characters: Lengths,
    /// The last response.
    pub response_characters: Lengths,
}

/// The spread of some lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// The shortest.
    pub min: u32,
    /// The one in the middle.
    pub median: u32,
    /// 95 of 100 are at most so long.
    pub p95: u32,
    /// The longest.
    pub max: u32,
}

impl Lengths {
    pub(crate) fn of(mut lengths: Vec<u32>) -> Self {
        lengths.sort_unstable();
        let at = |share: usize| {
            lengths
                .get((lengths.len().saturating_sub(1)) * share / 100)
                .copied()
                .unwrap_or(0)
        };
        Self {
            min: at(0),
            median: at(50),
            p95: at(95),
            max: at(100),
        }
    }
}

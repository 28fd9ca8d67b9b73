mod quality;
mod recommendations;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use llmopt_domain::{ColumnMap, Digest, Finding, Severity};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Columns, Format, Statistics};
pub use quality::Quality;
use recommendations::recommendations;
pub use recommendations::{Recommendation, suggested_epochs, suggested_held_out};

/// What validation came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ValidationReport {
    /// The file, as the user named it.
    pub file: String,
    /// How it lays out its rows.
    pub format: Format,
    /// What its columns were recognised as, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// What the file calls them, where it was read with a map.
    #[serde(skip_serializing_if = "ColumnMap::is_empty")]
    pub column_map: ColumnMap,
    /// All rows, broken ones included.
    pub rows: u64,
    /// The rows without an error.
    pub valid_rows: u64,
    /// What was found: errors first, then warnings; of each code only the first few.
    pub findings: Vec<Finding>,
    /// How many findings there are of each code, those left out included.
    pub totals: BTreeMap<String, u64>,
    /// How long the rows without an error are.
    pub statistics: Statistics,
    /// How good it is, in a few numbers.
    pub quality: Quality,
    /// What to do next, the most urgent first.
    pub recommendations: Vec<Recommendation>,
    /// The digest of the file's bytes.
    pub digest: Digest,
}

impl ValidationReport {
    /// Tells whether training on this would be wrong.
    pub fn has_errors(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.severity == Severity::Error)
    }

    /// Calls the file `name` throughout.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.file);
        for finding in &mut self.findings {
            name.clone_into(&mut finding.place.file);
        }
    }

    /// Returns how many errors and how many warnings there are, those left out included.
    pub fn counts(&self) -> (u64, u64) {
        let of = |severity| count(&self.findings, &self.totals, severity);
        (of(Severity::Error), of(Severity::Warning))
    }
}

/// Counts the findings of one severity, those left out included: a code has one severity.
fn count(findings: &[Finding], totals: &BTreeMap<String, u64>, severity: Severity) -> u64 {
    let codes: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| finding.code.as_str())
        .collect();
    codes.iter().filter_map(|&code| totals.get(code)).sum()
}

/// How many rows a file has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowCounts {
    /// Broken ones included.
    pub(crate) all: u64,
    /// Those without an error.
    pub(crate) valid: u64,
}

/// Keeps the first findings of each code, counts all, and knows their rows.
#[derive(Debug)]
pub(crate) struct Findings {
    per_code: u64,
    pub(crate) kept: Vec<Finding>,
    pub(crate) totals: BTreeMap<String, u64>,
    rows: HashSet<u64>,
}

impl Findings {
    /// Keeps `per_code` of each code, or one where that is 0: an error is never left out altogether.
    pub(crate) fn new(per_code: u64) -> Self {
        Self {
            per_code: per_code.max(1),
            kept: Vec::new(),
            totals: BTreeMap::new(),
            rows: HashSet::new(),
        }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.rows.extend(finding.place.row);
        let total = self.totals.entry(finding.code.clone()).or_default();
        *total += 1;
        if *total <= self.per_code {
            self.kept.push(finding);
        }
    }

    /// Puts errors before warnings, and else keeps the order.
    pub(crate) fn sort(&mut self) {
        self.kept.sort_by_key(|finding| Reverse(finding.severity));
    }

    /// Returns how many there are with `code`.
    pub(crate) fn total(&self, code: &str) -> u64 {
        self.totals.get(code).copied().unwrap_or(0)
    }

    fn count(&self, severity: Severity) -> u64 {
        count(&self.kept, &self.totals, severity)
    }

    /// Judges the file that these were found in.
    pub(crate) fn judge(&self, rows: RowCounts) -> (Quality, Vec<Recommendation>) {
        let quality = Quality::new(rows, self);
        (quality, recommendations(rows.valid, &quality, self))
    }
}

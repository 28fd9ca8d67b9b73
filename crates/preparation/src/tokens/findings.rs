use std::{cmp::Reverse, collections::BTreeMap};

use llmopt_domain::Finding;

/// Keeps the first findings of each code, and counts all.
#[derive(Debug)]
pub(super) struct Findings {
    per_code: u64,
    kept: Vec<Finding>,
    totals: BTreeMap<String, u64>,
}

impl Findings {
    /// Keeps `per_code` of each code, or one where that is 0: an error is never left out altogether.
    pub(super) fn new(per_code: u64) -> Self {
        Self {
            per_code: per_code.max(1),
            kept: Vec::new(),
            totals: BTreeMap::new(),
        }
    }

    /// Takes one more.
    pub(super) fn push(&mut self, finding: Finding) {
        let total = self.totals.entry(finding.code.clone()).or_default();
        *total += 1;
        if *total <= self.per_code {
            self.kept.push(finding);
        }
    }

    /// Returns those that were kept, errors first and else in their order, and how many there were of each code.
    pub(super) fn finish(mut self) -> (Vec<Finding>, BTreeMap<String, u64>) {
        self.kept.sort_by_key(|finding| Reverse(finding.severity));
        (self.kept, self.totals)
    }
}

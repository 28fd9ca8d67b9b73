use std::{collections::BTreeMap, num::NonZeroUsize, path::Path};

use llmopt_dataset::{FileColumns, ReadOptions};
use llmopt_domain::{Finding, Place, Severity, error_chain};
use llmopt_tokenization::Encoder;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    findings::Findings,
    row::{EndToken, MeasuredRow},
    rules::{Limits, check, untokenizable},
    statistics::{TokenMeasurements, TokenStatistics},
    suggestions::{Seen, Suggestion, TrainingEstimate},
};
use crate::{EncodedRow, PreparationError, encode::encode_each_row};

/// What a model can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// Longest sequence in tokens.
    pub context: usize,
    /// The ids that its embedding has rows for.
    pub vocabulary: usize,
}

/// What a [`TokenReport`] goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// What the model can take.
    pub model: ModelLimits,
    /// The longest row that is trained on, in tokens.
    pub max_length: usize,
    /// More tokens without loss in a row are a warning.
    pub long_prompt: usize,
    /// More tokens with loss in a row are a warning.
    pub long_response: usize,
    /// How many findings of one code a report holds at most.
    pub findings_per_code: u64,
    /// The rows that say the same as an earlier one: they count for nothing where epochs are suggested.
    pub duplicates: u64,
}

impl TokenOptions {
    /// Goes by what `model` can take, and else by defaults.
    pub fn of(model: ModelLimits) -> Self {
        const LONG: usize = 2_048;
        Self {
            model,
            max_length: model.context,
            long_prompt: LONG,
            long_response: LONG,
            findings_per_code: 20,
            duplicates: 0,
        }
    }
}

/// What a model's tokenizer tells of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TokenReport {
    /// What was counted.
    pub statistics: TokenStatistics,
    /// What was found: errors first, then warnings; of each code only the first few.
    pub findings: Vec<Finding>,
    /// How many findings there are of each code, those left out included.
    pub totals: BTreeMap<String, u64>,
    /// What to set for training, and why.
    pub suggestions: Vec<Suggestion>,
    /// What a job with these settings would compute; absent where no row is short enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<TrainingEstimate>,
}

impl TokenReport {
    /// Tells whether a job would refuse the dataset, or train wrongly on it.
    pub fn has_errors(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.severity == Severity::Error)
    }

    /// Calls the file `name` throughout.
    pub fn rename(&mut self, name: &str) {
        for finding in &mut self.findings {
            name.clone_into(&mut finding.place.file);
        }
    }
}

/// Tokenizes every row of the dataset at `path`, read as `read` says, on so many threads, and says what that tells of it.
///
/// Takes constant memory. A row that cannot be tokenized is a finding, and those after it are counted.
///
/// # Errors
/// [`PreparationError::Dataset`] if the file cannot be read or a row is broken.
pub fn token_report(
    path: &Path,
    read: &ReadOptions,
    encoder: &Encoder,
    threads: NonZeroUsize,
    options: &TokenOptions,
) -> Result<TokenReport, PreparationError> {
    let file = path.display().to_string();
    let mut reporter = Reporter {
        limits: Limits {
            file: &file,
            columns: FileColumns::of(path, read)?,
            options,
            end: EndToken::of(encoder),
        },
        findings: Findings::new(options.findings_per_code),
        measurements: TokenMeasurements::new(encoder.vocabulary_size(), options.max_length),
    };
    encode_each_row(path, read, encoder, threads, |row| reporter.add(row))?;
    Ok(reporter.finish())
}

struct Reporter<'a> {
    limits: Limits<'a>,
    findings: Findings,
    measurements: TokenMeasurements,
}

impl Reporter<'_> {
    fn add(&mut self, row: Result<EncodedRow, PreparationError>) -> Result<(), PreparationError> {
        match row {
            Ok(row) => self.measure(&row),
            Err(PreparationError::Row { row, source, .. }) => {
                let place = Place {
                    file: self.limits.file.to_owned(),
                    row: Some(row),
                    ..Place::default()
                };
                self.findings
                    .push(untokenizable(place, error_chain(&source)));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn measure(&mut self, row: &EncodedRow) {
        self.measurements.add(row);
        let Limits { options, end, .. } = &self.limits;
        let measured = MeasuredRow::of(row, options.max_length, end.id);
        let found = check(&measured, &self.limits).into_iter();
        found.for_each(|finding| self.findings.push(finding));
    }

    fn finish(self) -> TokenReport {
        let statistics = self.measurements.statistics();
        let (findings, totals) = self.findings.finish();
        let options = self.limits.options;
        let seen = Seen {
            lengths: self.measurements.lengths(),
            statistics: &statistics,
            context: options.model.context,
            duplicates: options.duplicates,
        };
        let (suggestions, estimate) = (seen.suggestions(), seen.estimate());
        TokenReport {
            findings,
            totals,
            suggestions,
            estimate,
            statistics,
        }
    }
}

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs::File, path::Path};

use llmopt_domain::{Conversation, Digest, Finding, Place, Severity};

use crate::{
    DatasetError, Lengths, Row, Shape, Statistics, ValidationReport,
    error::io_at,
    open,
    rules::{About, Example, Problem, Rule, rules},
};

/// What is asked of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationOptions {
    /// Rows at least.
    pub min_rows: u64,
    /// Findings kept of each code; the rest are counted.
    pub findings_per_code: u64,
}

impl Default for ValidationOptions {
    /// What training needs.
    fn default() -> Self {
        Self {
            min_rows: 10,
            findings_per_code: 20,
        }
    }
}

impl ValidationOptions {
    /// What evaluating needs: any row will do.
    pub fn held_out() -> Self {
        Self {
            min_rows: 1,
            ..Self::default()
        }
    }
}

/// Returns the digest of a file's bytes.
///
/// # Errors
/// [`DatasetError::Io`].
pub fn digest(path: &Path) -> Result<Digest, DatasetError> {
    File::open(path)
        .and_then(Digest::of_reader)
        .map_err(io_at(path))
}

/// Reads all rows as conversations, each with its number.
///
/// # Errors
/// The first that is wrong: [`DatasetError`].
pub fn read_conversations(path: &Path) -> Result<Vec<(u64, Conversation)>, DatasetError> {
    let mut shape = None;
    let row = |row: Result<Row, DatasetError>| {
        let row = row?;
        let shape = recognise(&mut shape, path, &row)?;
        Ok((row.number, conversation(shape, path, &row)?))
    };
    open(path)?.map(row).collect()
}

/// Checks every row against every rule.
///
/// # Errors
/// Only if the file cannot be read, or is of no known format. What is wrong with rows is in the report.
pub fn validate(
    path: &Path,
    options: &ValidationOptions,
) -> Result<ValidationReport, DatasetError> {
    let digest = digest(path)?;
    let reader = open(path)?;
    let report = ValidationReport {
        file: path.display().to_string(),
        digest,
        format: reader.format(),
        shape: None,
        rows: 0,
        readable_rows: 0,
        findings: Vec::new(),
        totals: BTreeMap::new(),
        statistics: Statistics::default(),
    };
    let rules = rules(options.min_rows);
    let mut validation = Validation {
        path,
        options,
        report,
        rules,
        prompts: Vec::new(),
        responses: Vec::new(),
    };
    for row in reader {
        if !validation.row(row)? {
            break;
        }
    }
    Ok(validation.finish())
}

struct Validation<'a> {
    path: &'a Path,
    options: &'a ValidationOptions,
    report: ValidationReport,
    rules: Vec<Box<dyn Rule>>,
    prompts: Vec<u32>,
    responses: Vec<u32>,
}

impl Validation<'_> {
    /// Takes in the next row; returns whether it makes sense to go on.
    fn row(&mut self, row: Result<Row, DatasetError>) -> Result<bool, DatasetError> {
        self.report.rows += 1;
        let shape_known = self.report.shape.is_some();
        match row.and_then(|row| self.readable(row)) {
            Ok(()) => Ok(true),
            Err(DatasetError::Finding(finding)) => {
                // Without a shape every further row would only repeat it.
                let hopeless = !shape_known
                    && self.report.shape.is_none()
                    && finding.code.ends_with("columns");
                self.report.add(*finding, self.options.findings_per_code);
                Ok(!hopeless)
            }
            Err(error) => Err(error),
        }
    }

    fn readable(&mut self, row: Row) -> Result<(), DatasetError> {
        let first = self.report.shape.is_none();
        let shape = recognise(&mut self.report.shape, self.path, &row)?;
        if first {
            self.extra_columns(shape, &row);
        }
        let conversation = conversation(shape, self.path, &row)?;
        self.report.readable_rows += 1;
        if let Some((prompt, response)) = conversation.split_response() {
            let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            self.prompts
                .push(prompt.iter().map(|turn| characters(&turn.content)).sum());
            self.responses.push(characters(response));
        }
        let example = Example {
            row: row.number,
            shape,
            conversation: &conversation,
        };
        for rule in &mut self.rules {
            if let Some(problem) = rule.check(&example) {
                let finding = finding(self.path, rule.about(), problem, Some(&row));
                self.report.add(finding, self.options.findings_per_code);
            }
        }
        Ok(())
    }

    fn extra_columns(&mut self, shape: Shape, row: &Row) {
        let used = shape.columns();
        let extra = row
            .fields
            .keys()
            .filter(|name| !used.contains(&name.as_str()));
        let extra: Vec<String> = extra.map(|name| format!("`{name}`")).collect();
        if !extra.is_empty() {
            let about = About {
                code: "extra_columns",
                severity: Severity::Info,
                expected: "only columns that are trained on",
                fix: "nothing needs to be done: they are left out",
            };
            let problem = Problem {
                field: None,
                found: extra.join(", "),
            };
            self.report.add(
                finding(self.path, about, problem, None),
                self.options.findings_per_code,
            );
        }
    }

    fn finish(mut self) -> ValidationReport {
        for rule in &mut self.rules {
            if let Some(problem) = rule.finish(self.report.rows) {
                let finding = finding(self.path, rule.about(), problem, None);
                self.report.add(finding, self.options.findings_per_code);
            }
        }
        self.report.statistics = Statistics {
            prompt_characters: Lengths::of(self.prompts),
            response_characters: Lengths::of(self.responses),
        };
        self.report
    }
}

/// Returns the shape, recognised by the first row that is seen.
fn recognise(shape: &mut Option<Shape>, path: &Path, row: &Row) -> Result<Shape, DatasetError> {
    if let Some(shape) = *shape {
        return Ok(shape);
    }
    let columns: Vec<String> = row.fields.keys().cloned().collect();
    let found = Shape::recognise(&columns)
        .map_err(|defect| defect.at(path, Some(row.number), Some(row.line)))?;
    Ok(*shape.insert(found))
}

fn conversation(shape: Shape, path: &Path, row: &Row) -> Result<Conversation, DatasetError> {
    shape
        .conversation(&row.fields)
        .map_err(|defect| defect.at(path, Some(row.number), Some(row.line)))
}

fn finding(path: &Path, about: About, problem: Problem, row: Option<&Row>) -> Finding {
    Finding {
        code: about.code.to_owned(),
        severity: about.severity,
        place: Place {
            file: path.display().to_string(),
            row: row.map(|row| row.number),
            line: row.map(|row| row.line),
            field: problem.field,
        },
        expected: about.expected.to_owned(),
        found: problem.found,
        fix: about.fix.to_owned(),
    }
}

#[cfg(test)]
mod tests;

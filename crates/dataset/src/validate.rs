use std::path::Path;

use llmopt_domain::{ColumnMap, Finding, Place, Severity};

use crate::{
    Columns, DatasetError, Encoding, Example, ReadOptions, Row, Rule, Totals, ValidationReport,
    conversations::{Rows, with_columns},
    digest,
    mapping::sample,
    open_with,
    report::{Findings, RowCounts},
    rules::rules,
    statistics::Measurements,
};

/// What validation goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationOptions {
    /// Fewer rows are an error.
    pub minimum_rows: u64,
    /// How many findings of one code a report holds at most.
    pub findings_per_code: u64,
    /// Whether rows are held against one another.
    pub comparison: Comparison,
    /// Among how many rows near duplicates are looked for, which keeps 152 bytes of each; 0 for none.
    pub near_duplicate_rows: u64,
    /// How the file is read.
    pub reading: ReadOptions,
}

/// Whether rows are held against one another, which takes memory for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comparison {
    /// They are, by the rules that look for what is said twice: about 100 bytes of each row, besides those for near
    /// duplicates.
    #[default]
    AllRows,
    /// Each row is looked at by itself: memory does not grow with their number, and nothing is told of duplicates.
    None,
}

impl From<ReadOptions> for ValidationOptions {
    fn from(reading: ReadOptions) -> Self {
        Self {
            reading,
            ..Self::default()
        }
    }
}

impl Default for ValidationOptions {
    fn default() -> Self {
        Self {
            minimum_rows: 10,
            findings_per_code: 20,
            comparison: Comparison::AllRows,
            near_duplicate_rows: 1_000_000,
            reading: ReadOptions::default(),
        }
    }
}

/// Checks every row of the dataset at `path`; what is wrong with them is in the report.
///
/// # Errors
/// [`DatasetError::Read`] or [`DatasetError::Unsupported`].
pub fn validate(
    path: &Path,
    options: &ValidationOptions,
) -> Result<ValidationReport, DatasetError> {
    let reader = open_with(path, &options.reading)?;
    let (format, encoding) = (reader.format(), reader.encoding());
    let file = reader.file();
    let Rows { columns, map, rows } = with_columns(reader);
    let mut validation = Validation::new(file.clone(), map, options);
    let columns = match columns.transpose() {
        Ok(columns) => columns,
        Err(problem) => {
            let file = file.clone();
            validation.findings.push(problem.at(Place {
                file,
                ..Place::default()
            }));
            None
        }
    };
    if encoding == Encoding::Windows1252 {
        validation.findings.push(other_encoding(&file));
    }
    for row in rows {
        validation.add(row, columns.as_ref())?;
    }
    validation.finish();
    let Validation {
        map,
        findings,
        measurements,
        rows,
        ..
    } = validation;
    let (quality, recommendations) = findings.judge(rows);
    Ok(ValidationReport {
        file,
        format,
        columns,
        column_map: map,
        rows: rows.all,
        valid_rows: rows.valid,
        statistics: measurements.finish(quality.duplicates),
        findings: findings.kept,
        totals: findings.totals,
        quality,
        recommendations,
        digest: digest(path)?,
    })
}

/// Says how bytes were read that nothing else is known of.
fn other_encoding(file: &str) -> Finding {
    Finding {
        code: "other_encoding".to_owned(),
        severity: Severity::Warning,
        place: Place {
            file: file.to_owned(),
            ..Place::default()
        },
        expected: "UTF-8, or UTF-16 with its mark".to_owned(),
        found: "bytes that are neither, read as Windows-1252".to_owned(),
        fix: "save the file as UTF-8, unless its letters are right as they are read".to_owned(),
    }
}

struct Validation {
    file: String,
    map: ColumnMap,
    rules: Vec<Box<dyn Rule>>,
    findings: Findings,
    measurements: Measurements,
    rows: RowCounts,
}

impl Validation {
    fn new(file: String, map: ColumnMap, options: &ValidationOptions) -> Self {
        Self {
            file,
            map,
            rules: rules(options),
            findings: Findings::new(options.findings_per_code),
            measurements: Measurements::default(),
            rows: RowCounts::default(),
        }
    }

    fn add(
        &mut self,
        row: Result<Row, DatasetError>,
        columns: Option<&Columns>,
    ) -> Result<(), DatasetError> {
        match row {
            Ok(row) => {
                self.rows.all += 1;
                if let Some(columns) = columns {
                    self.check(&row, columns);
                }
            }
            Err(DatasetError::Content(finding)) => {
                self.rows.all += u64::from(finding.place.row.is_some());
                self.findings.push(*finding);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn check(&mut self, row: &Row, columns: &Columns) {
        let conversation = match sample(row, columns, &self.map) {
            Ok(sample) => sample.conversation,
            Err(problem) => return self.findings.push(problem.at(row.place(&self.file))),
        };
        let mut findings = Vec::new();
        let example = Example {
            file: &self.file,
            columns,
            map: &self.map,
            row,
            conversation: &conversation,
        };
        for rule in &mut self.rules {
            rule.check(&example, &mut findings);
        }
        if !findings.iter().any(is_error) {
            self.rows.valid += 1;
            self.measurements.add(&conversation);
        }
        findings.into_iter().for_each(|it| self.findings.push(it));
    }

    fn finish(&mut self) {
        let totals = Totals {
            file: &self.file,
            rows: self.rows.all,
        };
        let findings = &mut self.findings;
        for rule in &mut self.rules {
            rule.finish(&totals, &mut |finding| findings.push(finding));
        }
        findings.sort();
    }
}

fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{File, test_data, with_code};

    #[test]
    fn a_good_file_has_no_findings() {
        let report = File::with_rows(12, "").validate();
        assert!(report.findings.is_empty() && !report.has_errors());
        assert_eq!((report.rows, report.valid_rows), (12, 12));
        assert_eq!(
            report.columns.unwrap().to_string(),
            "`prompt` and `response`"
        );
        assert_eq!(
            (report.statistics.prompt.min, report.statistics.prompt.max),
            (7, 8)
        );
    }

    #[test]
    fn rows_by_themselves_are_not_held_against_one_another() {
        let more = "{\"prompt\": \"count 3\", \"response\": \"it is 3\"}\n".to_owned()
            + "{\"prompt\": \"Count 3\", \"response\": \"\"}\n";
        let file = File::with_rows(10, &more);
        let codes = |comparison| {
            let options = ValidationOptions {
                comparison,
                ..ValidationOptions::default()
            };
            let report = validate(&file.path, &options).unwrap();
            report.totals.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(codes(Comparison::None), ["empty_text"]);
        let compared = codes(Comparison::AllRows);
        assert!(
            compared.contains(&"duplicate_row".to_owned()),
            "{compared:?}"
        );
    }

    #[test]
    fn the_same_rows_give_the_same_numbers_in_every_format() {
        let rows: Vec<_> = (0..12)
            .map(|i| json!({"question": format!("q,{i}"), "answer": i.to_string()}))
            .collect();
        let lines: String = rows.iter().map(|row| format!("{row}\r\n")).collect();
        let table: String = (0..12).map(|i| format!("\"q,{i}\",{i}\n")).collect();
        let files = [
            File::new("a.jsonl", lines.as_bytes()),
            File::new(
                "a.json",
                serde_json::to_string_pretty(&rows).unwrap().as_bytes(),
            ),
            File::new(
                "a.csv",
                format!("\u{feff}question,answer\n{table}").as_bytes(),
            ),
        ];
        for report in files.map(|file| file.validate()) {
            assert!(report.findings.is_empty(), "{report:?}");
            assert_eq!((report.rows, report.statistics.prompt.max), (12, 4));
        }
    }

    #[test]
    fn broken_rows_are_reported_with_the_good_ones_counted() {
        let more =
            "{\"prompt\": \n{\"prompt\": \"x\"}\n{\"prompt\": \"x\", \"response\": 1}\n{\"a\": \"";
        let report = File::with_rows(10, more).validate();
        assert_eq!((report.rows, report.valid_rows), (14, 10));
        let said: Vec<_> = report
            .findings
            .iter()
            .map(|it| (it.code.as_str(), it.place.row))
            .collect();
        let expected = [
            ("unparsable_row", Some(11)),
            ("missing_field", Some(12)),
            ("wrong_type", Some(13)),
            ("unparsable_row", Some(14)),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_first_row_that_lacks_a_field_is_an_error_of_that_row_only() {
        let rows = "{\"prompt\": \"x\"}\n".to_owned()
            + &"{\"prompt\": \"x\", \"response\": \"y\"}\n".repeat(2);
        let report = File::new("a.jsonl", rows.as_bytes()).validate();
        assert_eq!(with_code(&report, "missing_field")[0].place.row, Some(1));
        assert!(with_code(&report, "unknown_columns").is_empty());
        assert_eq!(report.valid_rows, 2);
    }

    #[test]
    fn unknown_columns_are_one_error_of_the_file() {
        let rows = "{\"promt\": \"x\", \"response\": \"y\"}\n".repeat(12);
        let report = File::new("a.jsonl", rows.as_bytes()).validate();
        let [finding] = &report.findings[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (finding.code.as_str(), finding.place.row),
            ("unknown_columns", None)
        );
        assert_eq!(finding.fix, "rename `promt` to `prompt`");
        assert_eq!((report.rows, report.valid_rows), (12, 0));
    }

    #[test]
    fn findings_of_one_code_are_capped_and_counted() {
        let report = File::with_rows(10, &"{\"prompt\": \"x\"}\n".repeat(50)).validate();
        assert_eq!(with_code(&report, "missing_field").len(), 20);
        assert_eq!(report.totals["missing_field"], 50);
    }

    #[test]
    fn errors_stand_before_warnings() {
        let more = "{\"prompt\": \"count 1\", \"response\": \"it is 1\"}\n{}\n";
        let report = File::with_rows(2, more).validate();
        let severities: Vec<_> = report.findings.iter().map(|it| it.severity).collect();
        assert_eq!(
            severities,
            [Severity::Error, Severity::Error, Severity::Warning]
        );
    }

    #[test]
    fn an_empty_file_has_too_few_rows() {
        for name in ["a.jsonl", "a.csv"] {
            let report = File::new(name, b"").validate();
            assert_eq!(with_code(&report, "too_few_rows").len(), 1);
        }
    }

    #[test]
    fn a_report_is_json_for_machines() {
        let report = serde_json::to_value(File::with_rows(9, "").validate()).unwrap();
        assert_eq!(report["format"], "jsonl");
        let columns = json!({"shape": "pair", "prompt": "prompt", "response": "response"});
        assert_eq!(report["columns"], columns);
        assert_eq!(report["totals"], json!({"too_few_rows": 1}));
        assert_eq!(report["findings"][0]["severity"], "error");
        assert!(report["digest"].as_str().unwrap().starts_with("sha256:"));
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let error = validate(Path::new("none.jsonl"), &ValidationOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "failed to read dataset `none.jsonl`");
    }

    fn validate_data(name: &str) -> Option<ValidationReport> {
        let path = test_data()?.join(name);
        Some(validate(&path, &ValidationOptions::default()).unwrap())
    }

    fn totals(report: &ValidationReport) -> Vec<(&str, u64)> {
        let totals = report.totals.iter();
        totals
            .map(|(code, total)| (code.as_str(), *total))
            .collect()
    }

    #[test]
    fn gsm8k_is_fit_to_train_on() {
        let Some(report) = validate_data("gsm8k/train.jsonl") else {
            return;
        };
        assert!(!report.has_errors(), "{:?}", report.findings);
        // A space of no width is really there, in row 7,389.
        assert_eq!(totals(&report), [("invisible_character", 1)]);
        assert_eq!((report.rows, report.valid_rows), (7_473, 7_473));
        assert_eq!(
            report.columns.unwrap().to_string(),
            "`question` and `answer`"
        );
    }

    #[test]
    fn sharegpt_is_read_as_conversations() {
        let Some(report) = validate_data("sharegpt.json") else {
            return;
        };
        assert_eq!(
            (report.rows, report.columns),
            (500, Some(Columns::Conversations))
        );
        assert!(!report.has_errors(), "{:?}", report.findings);
        assert_eq!(
            totals(&report),
            [
                ("extra_column", 1),
                ("near_duplicate", 221),
                ("same_prompt", 1)
            ]
        );
    }

    #[test]
    fn wikisql_is_read_as_plain_text() {
        let Some(report) = validate_data("wikisql/train.jsonl") else {
            return;
        };
        assert_eq!(report.rows, 1_000);
        assert_eq!(
            (report.valid_rows, report.columns),
            (1_000, Some(Columns::Text))
        );
        assert_eq!(
            report.totals.keys().collect::<Vec<_>>(),
            ["duplicate_row", "near_duplicate"]
        );
    }
}

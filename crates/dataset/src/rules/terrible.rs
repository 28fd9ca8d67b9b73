//! What validation says of a file that has a little of everything: an example to read.

use std::{fmt::Write as _, path::Path};

use expect_test::expect_file;
use llmopt_domain::Severity;

use crate::{ValidationOptions, ValidationReport, validate};

#[test]
fn a_terrible_file_gets_a_report_that_a_newcomer_can_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/terrible.jsonl");
    let mut report = validate(&path, &ValidationOptions::default()).unwrap();
    report.rename("terrible.jsonl");
    expect_file!["../../testdata/terrible.txt"].assert_eq(&rendered(&report));
}

fn rendered(report: &ValidationReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        writeln!(text, "{severity}: {finding}").unwrap();
    }
    let quality = &report.quality;
    writeln!(
        text,
        "\n{} rows, {} without a finding ({} in 100); {} errors, {} warnings, {} infos\n",
        report.rows,
        quality.clean_rows,
        quality.clean_percent,
        quality.errors,
        quality.warnings,
        quality.infos
    )
    .unwrap();
    for recommendation in &report.recommendations {
        writeln!(text, "- {} [{}]", recommendation.text, recommendation.code).unwrap();
    }
    text
}

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use llmopt_dataset::{ValidationReport, validate};
use llmopt_domain::{Finding, LessonKind, Severity};

use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    output::{Output, count_text},
};

/// Checks a dataset; every finding has a row and a repair. Exit code 2 if there are errors.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset validate orders.jsonl
  llmopt dataset validate orders.csv --json
  llmopt dataset validate fragen.csv --columns prompt=frage,response=antwort")]
pub(crate) struct ValidateArguments {
    /// The dataset
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
}

pub(super) fn run(context: &mut Context, arguments: &ValidateArguments) -> Result<(), Failure> {
    let report = validate(&arguments.file, &arguments.columns.options().into())
        .map_err(|error| Failure::input_from(&error))?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&report)?;
    } else {
        show_findings(output, &report)?;
        output.line(verdict(&report))?;
    }
    if report.has_errors() {
        Err(Failure::reported_input())
    } else {
        Ok(())
    }
}

fn verdict(report: &ValidationReport) -> String {
    let rows = count_text(report.rows);
    let lesson = report.columns.map(|columns| columns.lesson());
    let fit = match lesson {
        _ if report.has_errors() => "not fit to train on".to_owned(),
        None | Some(LessonKind::Responses) => "fit to train on".to_owned(),
        Some(other) => format!("sound, but no job trains on {} so far", other.as_str()),
    };
    let columns = report.columns.map_or_else(String::new, |columns| {
        let names = columns
            .required()
            .into_iter()
            .map(|name| format!("`{}`", report.column_map.column(name).unwrap_or(name)));
        format!(" of {}", names.collect::<Vec<_>>().join(" and "))
    });
    format!("`{}`: {rows} rows{columns}, {fit}", report.file)
}

/// Writes one line for each finding, and how many there are of a kind where not all are shown.
pub(crate) fn show_findings(output: &mut Output, report: &ValidationReport) -> Result<(), Failure> {
    for finding in &report.findings {
        let line = finding_text(output, finding);
        output.line(line)?;
    }
    for (code, total) in &report.totals {
        let shown = report
            .findings
            .iter()
            .filter(|finding| finding.code == *code)
            .count() as u64;
        if *total > shown {
            output.line(format!("{} more of [{code}]", count_text(total - shown)))?;
        }
    }
    Ok(())
}

fn finding_text(output: &Output, finding: &Finding) -> String {
    let (label, style) = match finding.severity {
        Severity::Error => ("error", AnsiColor::Red.on_default().bold()),
        Severity::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        Severity::Info => ("info", Style::new().dimmed()),
    };
    format!("{}: {finding}", output.paint(style, label))
}

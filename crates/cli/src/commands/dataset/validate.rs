use std::{cmp::Reverse, collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use anstyle::{AnsiColor, Style};
use clap::Args;
use llmopt_dataset::{ValidationReport, validate};
use llmopt_domain::{Finding, LessonKind, Severity};
use llmopt_service::{DatasetSource, TokenReport, open_encoder, token_options, token_report};
use serde::Serialize;

use super::token_report::show_report;
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
  llmopt dataset validate fragen.csv --columns prompt=frage,response=antwort
  llmopt dataset validate orders.jsonl --base-model distilgpt2 --max-length 512")]
pub(crate) struct ValidateArguments {
    /// The dataset
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// Whose tokenizer to check with, too: a folder, a published model, or a Hub name
    #[arg(long, value_name = "MODEL")]
    base_model: Option<String>,
    /// The longest row that is to be trained on, in tokens [default: the model's context]
    #[arg(long, value_name = "TOKENS", requires = "base_model")]
    max_length: Option<NonZeroUsize>,
    /// More tokens without loss in a row are a warning [default: 2048]
    #[arg(long, value_name = "TOKENS", requires = "base_model")]
    long_prompt: Option<NonZeroUsize>,
    /// More tokens with loss in a row are a warning [default: 2048]
    #[arg(long, value_name = "TOKENS", requires = "base_model")]
    long_response: Option<NonZeroUsize>,
}

/// What is shown as JSON: the same as over HTTP.
#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    report: &'a ValidationReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<&'a TokenReport>,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: &ValidateArguments,
) -> Result<(), Failure> {
    let report = validate(&arguments.file, &arguments.columns.options().into())
        .map_err(|error| Failure::input_from(&error))?;
    let tokens = check_tokens(context, arguments, &report).await?;
    let checked = Checked {
        report: &report,
        tokens: tokens.as_ref(),
    };
    let output = &mut context.output;
    if output.is_json() {
        output.json(&checked)?;
    } else {
        checked.show(output, arguments.base_model.as_deref())?;
    }
    if checked.has_errors() {
        Err(Failure::reported_input())
    } else {
        Ok(())
    }
}

/// Has the tokenizer of the model that is named look at the dataset; `None` also where rows are broken.
async fn check_tokens(
    context: &Context,
    arguments: &ValidateArguments,
    report: &ValidationReport,
) -> Result<Option<TokenReport>, Failure> {
    let Some(name) = &arguments.base_model else {
        return Ok(None);
    };
    let store = context.store()?;
    let model = context.resolve(&store, name).await?;
    let mut options = token_options(&model, arguments.max_length.map(NonZeroUsize::get))?;
    options.duplicates = report.quality.duplicates;
    if let Some(most) = arguments.long_prompt {
        options.long_prompt = most.get();
    }
    if let Some(most) = arguments.long_response {
        options.long_response = most.get();
    }
    let encoder = open_encoder(&model, None)?;
    let dataset = DatasetSource {
        path: arguments.file.clone(),
        columns: arguments.columns.map(),
    };
    Ok(token_report(&dataset, &encoder, &options)?)
}

impl Checked<'_> {
    fn has_errors(&self) -> bool {
        self.report.has_errors() || self.tokens.is_some_and(TokenReport::has_errors)
    }

    fn show(&self, output: &mut Output, model: Option<&str>) -> Result<(), Failure> {
        let mut findings = self.report.findings.clone();
        let mut totals = self.report.totals.clone();
        if let Some(tokens) = self.tokens {
            findings.extend_from_slice(&tokens.findings);
            findings.sort_by_key(|finding| Reverse(finding.severity));
            totals.extend(tokens.totals.clone());
        }
        show_all(output, &findings, &totals)?;
        match (self.tokens, model) {
            (Some(tokens), _) => show_report(output, tokens)?,
            (None, Some(_)) => {
                output.line("tokens are counted once every row can be read")?;
            }
            (None, None) => {}
        }
        output.line(self.verdict())
    }

    fn verdict(&self) -> String {
        let report = self.report;
        let rows = count_text(report.rows);
        let lesson = report.columns.map(|columns| columns.lesson());
        let fit = match lesson {
            _ if self.has_errors() => "not fit to train on".to_owned(),
            None | Some(LessonKind::Responses) => "fit to train on".to_owned(),
            Some(other) => format!("sound, but no job trains on {} so far", other.as_str()),
        };
        let columns = report.columns.map_or_else(String::new, |columns| {
            format!(" of {}", columns.in_file(&report.column_map))
        });
        format!("`{}`: {rows} rows{columns}, {fit}", report.file)
    }
}

/// Writes one line for each finding, and how many there are of a kind where not all are shown.
pub(crate) fn show_findings(output: &mut Output, report: &ValidationReport) -> Result<(), Failure> {
    show_all(output, &report.findings, &report.totals)
}

fn show_all(
    output: &mut Output,
    findings: &[Finding],
    totals: &BTreeMap<String, u64>,
) -> Result<(), Failure> {
    for finding in findings {
        let line = finding_text(output, finding);
        output.line(line)?;
    }
    for (code, total) in totals {
        let of_code = findings.iter().filter(|finding| finding.code == *code);
        let shown = of_code.count() as u64;
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

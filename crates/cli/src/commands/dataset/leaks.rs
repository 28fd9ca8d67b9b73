use std::path::PathBuf;

use clap::Args;
use llmopt_preparation::{LeakReport, find_leaks};

use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    output::{Output, count_text},
};

/// Finds held-out rows that are also trained on, or nearly so. Exit code 2 if there are any.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset leaks orders/train.jsonl orders/validation.jsonl
  llmopt dataset leaks train.csv benchmark.parquet --json

Rows are nearly the same from a similarity of 0.73 on: the share of their words, five in a row each, that
both have.")]
pub(crate) struct LeaksArguments {
    /// The dataset that is trained on
    train: PathBuf,
    /// The dataset that is held out
    held_out: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
}

/// Leaks that are shown; JSON has more.
const SHOWN: usize = 20;

pub(super) fn run(context: &mut Context, arguments: &LeaksArguments) -> Result<(), Failure> {
    let report = find_leaks(
        &arguments.train,
        &arguments.held_out,
        &arguments.columns.options(),
    );
    let report = report.map_err(|error| Failure::input_from(&error))?;
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        show(&mut context.output, &report)?;
    }
    match report.total() {
        0 => Ok(()),
        _ => Err(Failure::reported_input()),
    }
}

/// Says what training sees of what is held out.
pub(super) fn show(output: &mut Output, report: &LeakReport) -> Result<(), Failure> {
    if !report.leaks.is_empty() {
        let shown = report.leaks.iter().take(SHOWN);
        let rows = shown.map(|leak| {
            vec![
                leak.split.to_owned(),
                leak.row.to_string(),
                leak.train_row.to_string(),
                format!("{:.2}", leak.similarity),
            ]
        });
        let rows = rows.collect();
        output.table(
            &["held out for", "row", "row trained on", "similarity"],
            rows,
        )?;
    }
    output.line(format!(
        "of {} held-out rows, {} are the same as one of {} that are trained on, {} nearly the same",
        count_text(report.held_out_rows),
        count_text(report.same),
        count_text(report.train_rows),
        count_text(report.near),
    ))
}

//! `llmopt dataset`: what is in a dataset, and what is wrong with it.

mod fix;
mod preview;
mod stats;
mod token_report;
mod validate;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// Checks and shows datasets: JSONL, JSON or CSV.
#[derive(Subcommand, Debug)]
pub(crate) enum DatasetCommand {
    Validate(validate::ValidateArguments),
    Fix(fix::FixArguments),
    Preview(preview::PreviewArguments),
    Stats(stats::StatsArguments),
}

pub(super) async fn run(context: &mut Context, command: DatasetCommand) -> Result<(), Failure> {
    match command {
        DatasetCommand::Validate(arguments) => validate::run(context, &arguments).await,
        DatasetCommand::Fix(arguments) => fix::run(context, &arguments),
        DatasetCommand::Preview(arguments) => preview::run(context, &arguments).await,
        DatasetCommand::Stats(arguments) => stats::run(context, &arguments).await,
    }
}

pub(super) use validate::show_findings;

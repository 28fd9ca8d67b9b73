//! `llmopt dataset`: what is in a dataset, and what is wrong with it.

mod fix;
mod leaks;
mod prepare;
mod preview;
mod split;
mod stats;
mod token_report;
mod tokens;
mod validate;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// Checks, shows, divides and prepares datasets: JSONL, JSON, CSV, Parquet or text.
#[derive(Subcommand, Debug)]
pub(crate) enum DatasetCommand {
    Validate(validate::ValidateArguments),
    Fix(fix::FixArguments),
    Preview(preview::PreviewArguments),
    Stats(stats::StatsArguments),
    Split(split::SplitArguments),
    Leaks(leaks::LeaksArguments),
    Prepare(prepare::PrepareArguments),
    Tokens(tokens::TokensArguments),
}

pub(super) async fn run(context: &mut Context, command: DatasetCommand) -> Result<(), Failure> {
    match command {
        DatasetCommand::Validate(arguments) => validate::run(context, &arguments).await,
        DatasetCommand::Fix(arguments) => fix::run(context, &arguments),
        DatasetCommand::Preview(arguments) => preview::run(context, &arguments).await,
        DatasetCommand::Stats(arguments) => stats::run(context, &arguments).await,
        DatasetCommand::Split(arguments) => split::run(context, &arguments).await,
        DatasetCommand::Leaks(arguments) => leaks::run(context, &arguments),
        DatasetCommand::Prepare(arguments) => prepare::run(context, &arguments).await,
        DatasetCommand::Tokens(arguments) => tokens::run(context, &arguments).await,
    }
}

pub(super) use validate::show_findings;

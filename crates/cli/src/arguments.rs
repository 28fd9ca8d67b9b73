use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    budgets::BudgetsCommand, compare::CompareArguments, dataset::DatasetCommand,
    evaluate::EvaluateArguments, generate::GenerateArguments, keys::KeysCommand,
    models::ModelsCommand, prices::PricesCommand, serve::ServeArguments, stop::StopArguments,
    train::TrainArguments, usage::UsageArguments,
};

/// Fine-tunes open language models on your own examples, and says what came out.
#[derive(Parser, Debug)]
#[command(
    name = "llmopt",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  llmopt dataset validate orders.jsonl
  llmopt train --base-model distilgpt2 --dataset orders.jsonl --name orders
  llmopt evaluate orders --dataset heldout.jsonl --max-new-tokens 64
  llmopt generate --model orders --prompt 'Two flat whites, please'
  llmopt models list
  llmopt prices list
  llmopt usage --by day
  llmopt serve

Exit codes: 0 done, 1 failed, 2 the input must change, 130 stopped with Ctrl-C.
Settings come from LLMOPT_* variables or `.env`; docs/CONFIGURATION.md lists them."
)]
pub(crate) struct Arguments {
    /// Write JSON for machines: one document, or one event a line
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Where models, jobs and downloads are kept [default: LLMOPT_DATA_DIR, or `.llmopt`]
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Everywhere"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    #[command(subcommand)]
    Dataset(DatasetCommand),
    Train(Box<TrainArguments>),
    Evaluate(EvaluateArguments),
    Generate(Box<GenerateArguments>),
    #[command(subcommand)]
    Models(ModelsCommand),
    Compare(CompareArguments),
    Usage(UsageArguments),
    #[command(subcommand)]
    Budgets(BudgetsCommand),
    #[command(subcommand)]
    Keys(KeysCommand),
    #[command(subcommand)]
    Prices(PricesCommand),
    Serve(ServeArguments),
    Stop(StopArguments),
}

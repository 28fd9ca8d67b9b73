use std::path::PathBuf;

use clap::Args;
use llmopt_preparation::{SplitReport, SplitShares, Splitting, split_dataset};

use super::leaks;
use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    long_work::{failure, watched},
    output::{Output, count_text},
};

/// Divides a dataset into rows to train on and rows to hold out, by a seed, into a new folder.
///
/// Rows that say the same stay together, and rows that are nearly the same on both sides are told.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset split orders.jsonl --output orders
  llmopt dataset split orders.csv --output orders --shares train=0.8,validation=0.1,test=0.1 --seed 7

Writes `train.jsonl`, `validation.jsonl` and `test.jsonl`, those that have a share, and `split.json`, which
says how it was done. `llmopt dataset leaks` does the same check on files that are there.")]
pub(crate) struct SplitArguments {
    /// The dataset
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// How many of the rows each of `train`, `validation` and `test` has; only the proportions count
    #[arg(
        long,
        value_name = "SHARES",
        default_value = "train=0.9,validation=0.1"
    )]
    shares: SplitShares,
    /// What the choice of rows follows from
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) async fn run(context: &mut Context, arguments: &SplitArguments) -> Result<(), Failure> {
    let (dataset, output) = (arguments.file.clone(), arguments.output.clone());
    let (shares, seed) = (arguments.shares, arguments.seed);
    let read_options = arguments.columns.options();
    let report = watched("splitting", move |watch| {
        let splitting = Splitting {
            dataset: &dataset,
            read: &read_options,
            shares,
            seed,
        };
        split_dataset(&splitting, &output, &mut |progress| watch.tell(progress))
    });
    let report = report.await?.map_err(failure)?;
    if context.output.is_json() {
        return context.output.json(&report);
    }
    show(&mut context.output, arguments, &report)
}

fn show(
    output: &mut Output,
    arguments: &SplitArguments,
    report: &SplitReport,
) -> Result<(), Failure> {
    // In the order of their use.
    for split in ["train", "validation", "test"] {
        if let Some(file) = report.splits.get(split) {
            let path = arguments.output.join(&file.file);
            let rows = count_text(file.rows);
            output.line(format!("{rows} rows in `{}`", path.display()))?;
        }
    }
    leaks::show(output, &report.leaks)
}

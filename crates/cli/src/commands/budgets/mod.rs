//! `llmopt budgets`: what may be spent on commercial models.

mod delete;
mod list;
mod set;

use clap::Subcommand;
use serde_json::Value;

use super::usage::dollars;
use crate::{context::Context, failure::Failure, output::Output};

/// Lists, sets and deletes what may be spent on commercial models.
///
/// The most that a request may cost is taken from every budget that it concerns before it is sent, so that no budget
/// is ever overspent, whatever runs at the same time.
#[derive(Subcommand, Debug)]
pub(crate) enum BudgetsCommand {
    List(list::ListArguments),
    Set(set::SetArguments),
    Delete(delete::DeleteArguments),
}

pub(super) async fn run(context: &mut Context, command: BudgetsCommand) -> Result<(), Failure> {
    match command {
        BudgetsCommand::List(arguments) => list::run(context, &arguments).await,
        BudgetsCommand::Set(arguments) => set::run(context, &arguments).await,
        BudgetsCommand::Delete(arguments) => delete::run(context, &arguments).await,
    }
}

const HEADER: [&str; 7] = [
    "scope", "window", "limit", "spent", "reserved", "left", "resets",
];

/// Shows how each limit of each budget stands.
fn show(output: &mut Output, budgets: &[Value]) -> Result<(), Failure> {
    output.table(&HEADER, budgets.iter().flat_map(rows).collect())
}

fn rows(budget: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or("never").to_owned();
    let row = |window: &Value| {
        vec![
            text(&budget["scope"]),
            text(&window["window"]),
            dollars(&window["limit_usd"]),
            dollars(&window["spent_usd"]),
            dollars(&window["reserved_usd"]),
            dollars(&window["available_usd"]),
            text(&window["resets_at"]),
        ]
    };
    let windows = budget["windows"].as_array();
    windows.into_iter().flatten().map(row).collect()
}

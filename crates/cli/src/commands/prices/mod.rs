//! `llmopt prices`: what commercial models cost.

mod check;
mod list;
mod provider_list;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use llmopt_domain::Picodollars;
use llmopt_http::now_ms;
use llmopt_prices::{Day, Lookup, PriceTable};

use crate::{context::Context, failure::Failure};

/// Lists and checks what commercial models cost.
#[derive(Subcommand, Debug)]
pub(crate) enum PricesCommand {
    List(list::ListArguments),
    Show(show::ShowArguments),
    Check(check::CheckArguments),
}

/// Which prices are meant.
#[derive(Args, Debug)]
struct TableArguments {
    /// Read this table instead of the one that is built in
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// The day, in UTC [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    at: Option<Day>,
}

pub(super) fn run(context: &mut Context, command: PricesCommand) -> Result<(), Failure> {
    match command {
        PricesCommand::List(arguments) => list::run(context, &arguments),
        PricesCommand::Show(arguments) => show::run(context, &arguments),
        PricesCommand::Check(arguments) => check::run(context, &arguments),
    }
}

impl TableArguments {
    fn open(&self) -> Result<PriceTable, Failure> {
        let table = match &self.table {
            None => PriceTable::embedded(),
            Some(path) => PriceTable::parse(&read(path)?),
        };
        table.map_err(|error| Failure::input_from(&error).next("docs/PRICES.md has the rules"))
    }

    fn day(&self) -> Day {
        self.at.unwrap_or_else(|| Day::of_unix_ms(now_ms()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::input(format!("failed to read `{}`: {error}", path.display())))
}

/// Says what to use instead of a model that has ended on that day, of what answers then.
fn instead(table: &PriceTable, model: &str, at: Day) -> String {
    match table.find(model, at) {
        Lookup::Retired {
            replacement: Some(id),
            ..
        } => format!("; use `{id}`"),
        _ => String::new(),
    }
}

/// Renders what a token costs as dollars for a million of them.
fn per_million(rate: Picodollars) -> String {
    const MILLION: u64 = 1_000_000;
    rate.checked_mul(MILLION)
        .unwrap_or(Picodollars::MAX)
        .to_string()
}

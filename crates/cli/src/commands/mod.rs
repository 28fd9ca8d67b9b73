//! The commands, one file each.

pub(crate) mod budgets;
mod columns;
pub(crate) mod compare;
pub(crate) mod dataset;
pub(crate) mod estimate;
pub(crate) mod evaluate;
pub(crate) mod generate;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod prices;
pub(crate) mod serve;
pub(crate) mod stop;
pub(crate) mod train;
pub(crate) mod usage;

use crate::{arguments::Command, context::Context, failure::Failure};

/// Does what the user asked for.
pub(crate) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Dataset(command) => dataset::run(context, command).await,
        Command::Train(arguments) => train::run(context, *arguments).await,
        Command::Evaluate(arguments) => evaluate::run(context, arguments).await,
        Command::Usage(arguments) => usage::run(context, arguments).await,
        Command::Compare(arguments) => compare::run(context, arguments).await,
        Command::Budgets(command) => budgets::run(context, command).await,
        Command::Keys(command) => keys::run(context, command).await,
        Command::Generate(arguments) => generate::run(context, *arguments).await,
        Command::Models(command) => models::run(context, command).await,
        Command::Prices(command) => prices::run(context, command),
        Command::Serve(arguments) => serve::run(context, arguments).await,
        Command::Stop(_) => stop::run(context).await,
    }
}

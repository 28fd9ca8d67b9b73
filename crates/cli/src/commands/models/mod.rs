//! `llmopt models`: what was trained here, and bases to begin with.

mod import;
mod init;
mod list;
mod show;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// Lists and shows the models trained here, and brings in bases to start from.
#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    List(list::ListArguments),
    Show(show::ShowArguments),
    Init(init::InitArguments),
    Import(import::ImportArguments),
}

pub(super) async fn run(context: &mut Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List(_) => list::run(context).await,
        ModelsCommand::Show(arguments) => show::run(context, &arguments).await,
        ModelsCommand::Init(arguments) => init::run(context, &arguments),
        ModelsCommand::Import(arguments) => import::run(context, &arguments).await,
    }
}

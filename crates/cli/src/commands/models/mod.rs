//! `llmopt models`: what was trained here, and a base to begin with.

mod init;
mod list;
mod show;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// Lists and shows the models trained here, and makes small bases from nothing.
#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    List(list::ListArguments),
    Show(show::ShowArguments),
    Init(init::InitArguments),
}

pub(super) async fn run(context: &mut Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List(_) => list::run(context).await,
        ModelsCommand::Show(arguments) => show::run(context, &arguments).await,
        ModelsCommand::Init(arguments) => init::run(context, &arguments),
    }
}

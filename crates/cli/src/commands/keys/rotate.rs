use clap::Args;

use super::{hours, show};
use crate::{context::Context, failure::Failure};

/// Gives a key another secret and writes it, once; the one before is taken for a while.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt keys rotate AbCdEfGhIjKl
  llmopt keys rotate AbCdEfGhIjKl --overlap-hours 0")]
pub(crate) struct RotateArguments {
    /// The key's id, as `llmopt keys list` shows it
    id: String,
    /// Hours that the secret before is still taken for
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
    overlap_hours: u32,
}

pub(super) async fn run(context: &mut Context, arguments: &RotateArguments) -> Result<(), Failure> {
    let keys = context.keys().await?;
    let issued = keys
        .rotate(&arguments.id, hours(arguments.overlap_hours))
        .await?;
    show(context, &issued)
}

//! `llmopt`: checks datasets, fine-tunes and evaluates models from the command line.

mod arguments;
mod commands;
mod config_file;
mod config_flags;
mod context;
mod failure;
mod hub;
mod listener;
mod output;
mod serve;
mod trainer;

use std::{io::Write, process::ExitCode};

use clap::Parser;

use crate::{arguments::Arguments, context::Context, failure::Failure};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell where standard error is gone.
            let _ = write!(std::io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut context = Context::open(&arguments)?;
    commands::run(&mut context, arguments.command).await
}

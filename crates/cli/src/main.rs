//! `llmopt`: checks datasets, fine-tunes and evaluates models from the command line.

mod arguments;
mod commands;
mod config_file;
mod config_flags;
mod context;
mod failure;
mod hub;
mod listener;
mod long_work;
mod output;
mod platform_client;
mod serve;
mod trainer;

use std::{io::Write, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::runtime::Runtime;

use crate::{arguments::Arguments, context::Context, failure::Failure};

/// How long work that nobody waits for any more may hold up the end, such as converting a model.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match Runtime::new() {
        Ok(runtime) => {
            let ended = runtime.block_on(run(arguments));
            runtime.shutdown_timeout(GRACE);
            ended
        }
        Err(error) => Err(Failure::failed(format!("failed to start threads: {error}"))),
    };
    match ended {
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

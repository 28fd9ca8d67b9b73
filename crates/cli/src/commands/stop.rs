use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use crate::{context::Context, failure::Failure, serve::ServerFile};

/// How often, and how many times, it is looked whether the server has ended.
const POLL: Duration = Duration::from_millis(100);
const POLLS: u32 = 900;

/// Ends the server that runs on the data directory, in good order, and waits until it has.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt stop
  llmopt stop --data-dir /srv/llmopt")]
pub(crate) struct StopArguments {}

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let Some(running) = ServerFile::running(&context.data_dir)? else {
        return say(context, "no server runs on this data directory", None);
    };
    let pid = Pid::from_raw(running.pid.cast_signed());
    let sent = pid.map(|pid| kill_process(pid, Signal::TERM));
    if let Some(Err(error)) = sent {
        return Err(Failure::failed(format!(
            "failed to ask process {} to end: {error}",
            running.pid
        )));
    }
    for _ in 0..POLLS {
        if ServerFile::running(&context.data_dir)?.is_none() {
            return say(context, "stopped", Some(&running.url));
        }
        tokio::time::sleep(POLL).await;
    }
    Err(
        Failure::failed(format!("the server on {} has not ended yet", running.url))
            .next("it may be saving a checkpoint: wait, then try again"),
    )
}

fn say(context: &mut Context, what: &str, url: Option<&str>) -> Result<(), Failure> {
    if context.output.is_json() {
        let stopped = serde_json::json!({ "stopped": url });
        return context.output.json(&stopped);
    }
    let url = url.map_or_else(String::new, |url| format!(" {url}"));
    context.output.line(format!("{what}{url}"))
}

//! Runs the stand-in for the APIs of OpenAI and Anthropic until it is stopped.

use clap::Parser;
use llmopt_provider_mock::Mock;

/// A stand-in for the APIs of OpenAI and Anthropic, on this machine only.
///
/// Base URLs: `http://127.0.0.1:PORT/v1` for OpenAI's, `http://127.0.0.1:PORT` for Anthropic's; any key will do.
/// `GET /mock/exchanges` tells what was asked; `POST /mock/next` and `PUT /mock/models/{model}` say what goes wrong,
/// as in `{"fault": {"kind": "rate_limited", "retry_after": "2"}}`; `DELETE /mock` forgets both.
#[derive(Debug, Parser)]
#[command(name = "llmopt-provider-mock")]
struct Arguments {
    /// The port to listen on; 0 takes any that is free. The URL is the first line of what is printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mock = Mock::start(arguments.port).await?;
    print_line(&mock.url())?;
    mock.run().await;
    Ok(())
}

/// Scripts wait for this line.
fn print_line(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

//! The Lambda function `generate`.

use std::process::ExitCode;

use llmopt_config::Settings;
use llmopt_generate_function::{Opened, open, router};
use llmopt_lambda::Failure;

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let Opened {
        aws,
        commercial,
        state,
    } = open(&settings).await?;
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    let access = access.with_answers(llmopt_lambda::answers(&aws, &settings)?);
    let routes = commercial.with_newest_prices(router(state));
    llmopt_lambda::serve_streams(routes, access, settings.responses).await
}

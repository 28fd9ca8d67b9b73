//! The Lambda function `queued-answers`.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use llmopt_config::Settings;
use llmopt_generate_function::{AnswerWorker, open};
use llmopt_http::Metered;
use llmopt_lambda::Failure;
use llmopt_queued_answers_function::{Messages, take_in};

/// One event at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let opened = open(&settings).await?;
    let meter = Metered(llmopt_lambda::meter(&settings));
    let worker = AnswerWorker::new(opened.state, meter).ok_or("no queue of questions is open")?;
    let take_in = service_fn(|event: LambdaEvent<Messages>| {
        let (worker, commercial) = (&worker, &opened.commercial);
        async move {
            commercial.look_for_newest_prices().await;
            Ok::<_, Failure>(take_in(worker, event.payload).await)
        }
    });
    lambda_runtime::run(take_in).await
}

//! A text generator that is another Lambda function, which holds the models.
//!
//! Knows how that function is invoked, as a stream or, where the endpoint has none, for the whole
//! answer. Does not know how text is generated, nor where the function finds its models.

mod lines;

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_lambda::{
    Client,
    config::{Builder, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    operation::invoke_with_response_stream::InvokeWithResponseStreamError,
    primitives::{Blob, event_stream::EventReceiver},
    types::{
        InvokeWithResponseStreamResponseEvent, error::InvokeWithResponseStreamResponseEventError,
    },
};
use llmopt_service::{
    CacheStatus, FailureKind, GenerationError, GenerationEvent, GenerationLine, GenerationRequest,
    GenerationStream, RemoteFailure, TextGenerator,
};
use tokio::sync::mpsc::{self, Sender};

pub use lines::Lines;

const CONNECT: Duration = Duration::from_secs(3);
/// Events that wait for whoever reads the answer, at most.
const WAITING: usize = 64;

type Parts = EventReceiver<
    InvokeWithResponseStreamResponseEvent,
    InvokeWithResponseStreamResponseEventError,
>;
type Line = Sender<Result<GenerationEvent, GenerationError>>;

/// Answers with the models of another Lambda function.
pub struct LambdaTextGenerator {
    client: Client,
    function: String,
}

impl LambdaTextGenerator {
    /// Invokes the function called `function`, with this way to AWS.
    pub fn new(config: &SdkConfig, function: &str) -> Self {
        // An answer takes as long as it takes, and one that is asked for twice is computed twice.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).build();
        let config = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        Self {
            client: Client::from_conf(config.build()),
            function: function.to_owned(),
        }
    }

    /// Invokes the function for the whole answer.
    async fn whole(&self, payload: Vec<u8>) -> Result<Vec<u8>, GenerationError> {
        let invoked = self
            .client
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(payload))
            .send()
            .await;
        let output = invoked.map_err(|error| unreachable(&self.function, &error))?;
        let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
        match output.function_error {
            None => Ok(payload),
            Some(_) => Err(died(&self.function, &String::from_utf8_lossy(&payload))),
        }
    }
}

#[async_trait]
impl TextGenerator for LambdaTextGenerator {
    async fn generate(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationStream, GenerationError> {
        let payload = serde_json::to_vec(&request)
            .map_err(|error| broken(&self.function, &error.to_string()))?;
        let (line, mut stream) = mpsc::channel(WAITING);
        let streamed = self
            .client
            .invoke_with_response_stream()
            .function_name(&self.function)
            .payload(Blob::new(payload.clone()))
            .send()
            .await;
        match streamed {
            Ok(output) => {
                let function = self.function.clone();
                tokio::spawn(forward(output.event_stream, line, function));
            }
            Err(error) if has_no_streams(&error) => {
                let answer = self.whole(payload).await?;
                let function = self.function.clone();
                tokio::spawn(async move {
                    let mut lines = Lines::default();
                    let ended = send(&line, lines.push(&answer)).await;
                    finish(&line, ended, &function).await;
                });
            }
            Err(error) => return Err(unreachable(&self.function, &error)),
        }
        // What fails before the first event fails the request, as with an engine in this process.
        match stream.recv().await {
            Some(Ok(first)) => Ok(resumed(first, stream)),
            Some(Err(error)) => Err(error),
            None => Err(broken(&self.function, "it said nothing")),
        }
    }

    fn cache(&self) -> Option<CacheStatus> {
        None
    }
}

/// Puts `first` before what `stream` still brings.
fn resumed(first: GenerationEvent, mut stream: GenerationStream) -> GenerationStream {
    let (line, resumed) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut next = Some(Ok(first));
        while let Some(event) = next {
            if line.send(event).await.is_err() {
                // Nobody listens: the invocation is given up too.
                return;
            }
            next = tokio::select! {
                event = stream.recv() => event,
                () = line.closed() => None,
            };
        }
    });
    resumed
}

async fn forward(mut parts: Parts, line: Line, function: String) {
    let mut lines = Lines::default();
    let mut ended = false;
    loop {
        let part = tokio::select! {
            part = parts.recv() => part,
            // Nobody listens: dropping the connection is all that can be done.
            () = line.closed() => return,
        };
        match part {
            Ok(Some(InvokeWithResponseStreamResponseEvent::PayloadChunk(chunk))) => {
                let bytes = chunk.payload.map(Blob::into_inner).unwrap_or_default();
                ended |= send(&line, lines.push(&bytes)).await;
            }
            Ok(Some(InvokeWithResponseStreamResponseEvent::InvokeComplete(complete))) => {
                if let Some(code) = complete.error_code {
                    let details = complete.error_details.unwrap_or_default();
                    let _ = line
                        .send(Err(died(&function, &format!("{code}: {details}"))))
                        .await;
                    return;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return finish(&line, ended, &function).await,
            Err(error) => {
                let _ = line.send(Err(unreachable(&function, &error))).await;
                return;
            }
        }
    }
}

/// Passes lines on and returns whether the last of an answer was among them.
async fn send(line: &Line, lines: Vec<Result<GenerationLine, String>>) -> bool {
    let mut ended = false;
    for parsed in lines {
        let event = match parsed {
            Ok(GenerationLine::Event(event)) => Ok(event),
            Ok(GenerationLine::Failure(failure)) => Err(GenerationError::Elsewhere(failure)),
            Err(problem) => Err(broken("inference", &problem)),
        };
        ended |= matches!(event, Err(_) | Ok(GenerationEvent::Finished { .. }));
        if line.send(event).await.is_err() {
            return true;
        }
    }
    ended
}

/// An answer that only stops is not whole.
async fn finish(line: &Line, ended: bool, function: &str) {
    if !ended {
        let _ = line
            .send(Err(broken(function, "its answer broke off")))
            .await;
    }
}

/// Whether the endpoint knows no invocations that stream, as emulators do.
fn has_no_streams(error: &SdkError<InvokeWithResponseStreamError, HttpResponse>) -> bool {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let is_known = error
        .as_service_error()
        .is_some_and(InvokeWithResponseStreamError::is_resource_not_found_exception);
    matches!(status, Some(404 | 405 | 501)) && !is_known
}

fn unreachable<E: std::error::Error>(function: &str, error: &E) -> GenerationError {
    let mut message = format!("failed to invoke function `{function}`: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    tracing::warn!(
        message,
        "the function that holds the models cannot be reached"
    );
    failure(FailureKind::Unavailable, message)
}

fn died(function: &str, what: &str) -> GenerationError {
    failure(
        FailureKind::Internal,
        format!("function `{function}` failed: {what}"),
    )
}

fn broken(function: &str, what: &str) -> GenerationError {
    failure(
        FailureKind::Internal,
        format!("function `{function}` gave no answer that can be read: {what}"),
    )
}

fn failure(kind: FailureKind, message: String) -> GenerationError {
    GenerationError::Elsewhere(RemoteFailure { kind, message })
}

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    FunctionError,
    function::Function,
    process::{Heard, Process},
    runtime_api::{Event, Said},
};

/// How long a process may take to ask for its first event, beyond what an invocation may take.
const INITIALIZATION: Duration = Duration::from_secs(10);
/// How long after its connection a process ends, where it ends.
const END: Duration = Duration::from_secs(1);

/// What a function answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Whole(Result<Bytes, FunctionError>),
    Stream {
        content_type: Option<String>,
        parts: Parts,
    },
}

/// The bits of an answer; an error is the last.
pub(crate) type Parts = mpsc::UnboundedReceiver<Result<Bytes, FunctionError>>;

/// Who waits for an answer, who may have gone: a function is not stopped by that.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    answer: Option<oneshot::Sender<Answer>>,
    parts: Option<mpsc::UnboundedSender<Result<Bytes, FunctionError>>>,
}

impl Caller {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (answer, is_there) = oneshot::channel();
        (
            Self {
                answer: Some(answer),
                parts: None,
            },
            is_there,
        )
    }

    pub(crate) fn nobody() -> Self {
        Self::default()
    }

    fn begin(&mut self, content_type: Option<String>) {
        if let Some(answer) = self.answer.take() {
            let (part, parts) = mpsc::unbounded_channel();
            let _ = answer.send(Answer::Stream {
                content_type,
                parts,
            });
            self.parts = Some(part);
        }
    }

    fn part(&mut self, part: Result<Bytes, FunctionError>) {
        if let Some(parts) = &self.parts {
            let _ = parts.send(part);
        }
    }

    fn end(mut self, end: End) {
        let whole = match end {
            End::Streamed => return,
            End::Answered(answer) => Ok(answer),
            End::Failed(error) | End::Died(error) => Err(error),
        };
        match self.answer.take() {
            Some(answer) => {
                let _ = answer.send(Answer::Whole(whole));
            }
            None => self.part(whole),
        }
    }
}

/// How an invocation ends.
enum End {
    Answered(Bytes),
    Streamed,
    /// The function failed and waits for the next event.
    Failed(FunctionError),
    /// The process is of no more use.
    Died(FunctionError),
}

/// Runs one invocation from a process that waits for it to the end of its answer.
pub(crate) async fn run(
    function: &Function,
    slot: OwnedSemaphorePermit,
    payload: Bytes,
    mut caller: Caller,
) {
    let request_id = new_request_id();
    let end = match waiting_process(function, &request_id).await {
        Err(error) => End::Died(error),
        Ok((mut process, wanted)) => {
            let event = Event {
                request_id: request_id.clone(),
                payload,
                deadline_ms: deadline_ms(function.spec.timeout),
                function_arn: function.spec.arn(),
            };
            let deadline = Instant::now() + function.spec.timeout;
            process.expect(&event);
            let _ = wanted.send(event);
            let end = timeout_at(deadline, converse(&mut process, &request_id, &mut caller)).await;
            let end = end.unwrap_or_else(|_| {
                End::Died(FunctionError::timed_out(&request_id, function.spec.timeout))
            });
            match end {
                End::Died(_) => function.end(process).await,
                _ => function.keep(process),
            }
            end
        }
    };
    // Who has the answer may invoke again at once, and finds the process free.
    drop(slot);
    caller.end(end);
}

/// Returns a process that wants an event: one that has answered before, or a new one.
async fn waiting_process(
    function: &Function,
    request_id: &str,
) -> Result<(Process, oneshot::Sender<Event>), FunctionError> {
    let limit = function.spec.timeout;
    while let Some(mut process) = function.take_idle() {
        match timeout(limit, wanted(&mut process, request_id)).await {
            Ok(Ok(wanted)) => return Ok((process, wanted)),
            // It ended while nothing was asked of it.
            Ok(Err(_)) | Err(_) => function.end(process).await,
        }
    }
    let mut process = function
        .start()
        .await
        .map_err(|error| FunctionError::not_started(request_id, &error))?;
    let error = match timeout(INITIALIZATION + limit, wanted(&mut process, request_id)).await {
        Ok(Ok(wanted)) => return Ok((process, wanted)),
        Ok(Err(error)) => error,
        Err(_) => FunctionError::timed_out(request_id, INITIALIZATION + limit),
    };
    function.end(process).await;
    Err(error)
}

/// Waits until a process wants an event.
async fn wanted(
    process: &mut Process,
    request_id: &str,
) -> Result<oneshot::Sender<Event>, FunctionError> {
    loop {
        match process.hear().await {
            Ok(Heard::Said(Said::Waiting(wanted))) if !wanted.is_closed() => return Ok(wanted),
            Ok(Heard::Said(Said::NotInitialized(error))) => return Err(error),
            Ok(Heard::Said(_)) => {}
            Ok(Heard::Exited(status)) => return Err(FunctionError::exited(request_id, status)),
            Err(error) => return Err(FunctionError::not_started(request_id, &error)),
        }
    }
}

/// Passes on what a process says to an event.
async fn converse(process: &mut Process, request_id: &str, caller: &mut Caller) -> End {
    loop {
        match process.hear().await {
            Ok(Heard::Said(said)) => match said {
                Said::Answered(answer) => return End::Answered(answer),
                Said::Streaming { content_type } => caller.begin(content_type),
                Said::Chunk(chunk) => caller.part(Ok(chunk)),
                Said::Streamed => return End::Streamed,
                Said::Failed(error) => return End::Failed(error),
                Said::NotInitialized(error) => return End::Died(error),
                Said::BrokeOff | Said::Waiting(_) => {
                    return End::Died(broken_off(process, request_id).await);
                }
            },
            Ok(Heard::Exited(status)) => {
                return End::Died(FunctionError::exited(request_id, status));
            }
            Err(error) => return End::Died(FunctionError::not_started(request_id, &error)),
        }
    }
}

/// Says why an answer breaks off: its process ends, as a rule.
async fn broken_off(process: &mut Process, request_id: &str) -> FunctionError {
    let exited = async {
        loop {
            match process.hear().await {
                Ok(Heard::Exited(status)) => return FunctionError::exited(request_id, status),
                Ok(Heard::Said(_)) => {}
                Err(error) => return FunctionError::not_started(request_id, &error),
            }
        }
    };
    let exited = timeout(END, exited).await;
    exited.unwrap_or_else(|_| FunctionError::truncated(request_id))
}

fn deadline_ms(timeout: Duration) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from((now + timeout).as_millis()).unwrap_or(u64::MAX)
}

/// Returns an id in the form of a UUID.
pub(crate) fn new_request_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

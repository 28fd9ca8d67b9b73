//! Reading answers as they come.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use reqwest::Response;

use crate::{
    AnswerParser, Completion, Delivery, Phase, ProviderError, ProviderEvent,
    answer_parser::{Decoder, Stage},
    deadlines::Deadlines,
    endpoint::{Answer, Call, Endpoint, Head},
};

/// The most that a whole answer may have, in bytes.
const WHOLE_ANSWER: usize = 32 << 20;

/// How the answers of an API are made sense of.
pub(crate) struct Reading {
    /// Decodes a stream with this head.
    pub(crate) decoder: fn(Head) -> Box<dyn Decoder>,
    /// Reads the body of a whole answer with this head.
    pub(crate) read: fn(&[u8], &Head) -> Result<Vec<ProviderEvent>, ProviderError>,
}

/// Sends a question; returns the answer to it, or where it is a stream, as soon as it has begun.
pub(crate) async fn ask(
    endpoint: &Endpoint,
    call: Call<'_>,
    reading: Reading,
) -> Result<Completion, ProviderError> {
    let (delivery, deadlines) = (call.delivery, call.deadlines);
    let answer = endpoint.send(call).await?;
    match delivery {
        Delivery::Stream => {
            let decoder = (reading.decoder)(answer.head.clone());
            begin(answer, deadlines, decoder).await
        }
        Delivery::Whole => {
            let body = read_whole(answer.response, &deadlines).await?;
            let events = (reading.read)(&body, &answer.head)?;
            Ok(whole(answer.head, events))
        }
    }
}

/// An answer that comes in parts.
struct Reader {
    /// What is left to read; nothing once the answer is over.
    response: Option<Response>,
    deadlines: Deadlines,
    /// What is waited for next.
    phase: Phase,
    parser: AnswerParser,
}

/// Waits for the first part of a stream, and returns it with the rest to come.
async fn begin(
    answer: Answer,
    deadlines: Deadlines,
    decoder: Box<dyn Decoder>,
) -> Result<Completion, ProviderError> {
    let mut reader = Reader {
        response: Some(answer.response),
        deadlines,
        phase: Phase::FirstByte,
        parser: AnswerParser::new(decoder),
    };
    let first = reader.next().await;
    let first = first.unwrap_or_else(|| Err(ProviderError::ended()))?;
    let input = reader.parser.usage();
    let rest = stream::unfold(reader, |mut reader| async {
        let next = reader.next().await?;
        Some((next, reader))
    });
    let first = stream::iter([Ok(first)]);
    Ok(Completion {
        request_id: answer.head.request_id,
        rate: answer.head.rate,
        input,
        events: Box::pin(first.chain(rest)),
    })
}

/// Returns an answer that came whole.
fn whole(head: Head, events: Vec<ProviderEvent>) -> Completion {
    Completion {
        request_id: head.request_id,
        rate: head.rate,
        input: None,
        events: Box::pin(stream::iter(events.into_iter().map(Ok))),
    }
}

impl Reader {
    async fn next(&mut self) -> Option<Result<ProviderEvent, ProviderError>> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let mut response = self.response.take()?;
            match self.deadlines.wait(self.phase, response.chunk()).await {
                Ok(Ok(Some(piece))) => self.parser.push(&piece),
                Ok(Ok(None)) => self.parser.end(),
                Ok(Err(error)) => self.parser.fail(ProviderError::from_reading(error)),
                Err(timeout) => self.parser.fail(timeout),
            }
            self.phase = Phase::Idle;
            match self.parser.stage() {
                Stage::Reading => self.response = Some(response),
                Stage::Whole => drain(response),
                Stage::Failed => {}
            }
        }
    }
}

/// Reads what follows the end of an answer, so that its connection can be used again.
fn drain(response: Response) {
    const PATIENCE: Duration = Duration::from_secs(2);
    const MOST: usize = 16 << 10;
    tokio::spawn(async move {
        // Where more comes than that, or nothing, the connection is closed instead.
        let _ = read_up_to(response, MOST, &Deadlines::of_total(PATIENCE)).await;
    });
}

/// Reads the whole of an answer that comes at once.
pub(crate) async fn read_whole(
    response: Response,
    deadlines: &Deadlines,
) -> Result<Vec<u8>, ProviderError> {
    let body = read_up_to(response, WHOLE_ANSWER + 1, deadlines).await?;
    if body.len() > WHOLE_ANSWER {
        let problem = format!("it has more than {WHOLE_ANSWER} bytes");
        return Err(ProviderError::Protocol(problem));
    }
    Ok(body)
}

/// Reads a body, or as much of it as `most` bytes.
pub(crate) async fn read_up_to(
    mut response: Response,
    most: usize,
    deadlines: &Deadlines,
) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while body.len() < most {
        let read = deadlines.wait(Phase::Idle, response.chunk()).await?;
        let Some(piece) = read.map_err(ProviderError::from_reading)? else {
            break;
        };
        let room = piece.len().min(most - body.len());
        body.extend_from_slice(&piece[..room]);
    }
    Ok(body)
}

//! Reading answers as they come.

use std::{collections::VecDeque, time::Duration};

use futures::stream;
use llmopt_domain::TokenUsage;
use reqwest::Response;

use crate::{
    Completion, Finished, Phase, ProviderError, ProviderEvent, SseEvent, SseLimits, SseParser,
    deadlines::Deadlines, endpoint::Answer,
};

/// The most that a whole answer may have, in bytes.
const WHOLE_ANSWER: usize = 32 << 20;

/// Makes sense of one provider's stream.
pub(crate) trait Decoder: Send + 'static {
    /// Takes the next event, and adds what it says to `said`.
    ///
    /// # Errors
    /// If it is an error, or makes no sense.
    fn take(
        &mut self,
        event: &SseEvent,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError>;

    /// Returns how the answer ended; `None` while it has not.
    fn finished(&mut self) -> Option<Finished>;

    /// Returns the tokens that the provider has counted so far.
    fn usage(&self) -> Option<TokenUsage>;
}

/// Whether more of an answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    GoesOn,
    IsWhole,
}

/// An answer that comes in parts.
pub(crate) struct Reader<D> {
    /// What is left to read; nothing once the answer is over.
    response: Option<Response>,
    deadlines: Deadlines,
    /// What is waited for next.
    phase: Phase,
    sse: SseParser,
    decoder: D,
    said: VecDeque<ProviderEvent>,
    /// What went wrong, to be told after what was said before it.
    failed: Option<ProviderError>,
    told: Told,
}

/// Whether something of an answer was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Something,
}

/// Waits for the first part of a stream, and returns it with the rest to come.
pub(crate) async fn begin<D: Decoder>(
    answer: Answer,
    deadlines: Deadlines,
    decoder: D,
) -> Result<Completion, ProviderError> {
    let mut reader = Reader {
        response: Some(answer.response),
        deadlines,
        phase: Phase::FirstByte,
        sse: SseParser::new(SseLimits::default()),
        decoder,
        said: VecDeque::new(),
        failed: None,
        told: Told::Nothing,
    };
    let first = reader.next().await.unwrap_or_else(|| Err(ProviderError::ended()))?;
    reader.said.push_front(first);
    let input = reader.decoder.usage();
    let events = stream::unfold(reader, |mut reader| async {
        let next = reader.next().await?;
        Some((next, reader))
    });
    Ok(Completion {
        request_id: answer.head.request_id,
        rate: answer.head.rate,
        input,
        events: Box::pin(events),
    })
}

/// Returns an answer that came whole.
pub(crate) fn whole(answer_head: crate::endpoint::Head, events: Vec<ProviderEvent>) -> Completion {
    Completion {
        request_id: answer_head.request_id,
        rate: answer_head.rate,
        input: None,
        events: Box::pin(stream::iter(events.into_iter().map(Ok))),
    }
}

impl<D: Decoder> Reader<D> {
    async fn next(&mut self) -> Option<Result<ProviderEvent, ProviderError>> {
        loop {
            if let Some(event) = self.said.pop_front() {
                self.told = Told::Something;
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(self.broken_off(error)));
            }
            self.response.as_ref()?;
            if let Err(error) = self.read_on().await {
                self.response = None;
                self.failed = Some(error);
            }
        }
    }

    /// Reads the next piece, and takes what it says.
    async fn read_on(&mut self) -> Result<(), ProviderError> {
        let Some(response) = self.response.as_mut() else {
            return Ok(());
        };
        let read = self.deadlines.wait(self.phase, response.chunk()).await?;
        self.phase = Phase::Idle;
        let piece = read.map_err(ProviderError::from_reading)?;
        let Some(piece) = piece else {
            self.response = None;
            return self.finish(ProviderError::ended());
        };
        let mut events = Vec::new();
        let parsed = self.sse.push(&piece, &mut events);
        for event in events {
            if self.decoder.take(&event, &mut self.said)? == Progress::IsWhole {
                if let Some(response) = self.response.take() {
                    drain(response);
                }
                let missing = "it ends without saying why it ended";
                return self.finish(ProviderError::Protocol(missing.to_owned()));
            }
        }
        parsed.map_err(|error| ProviderError::Protocol(error.to_string()))
    }

    fn finish(&mut self, otherwise: ProviderError) -> Result<(), ProviderError> {
        let finished = self.decoder.finished().ok_or(otherwise)?;
        self.said.push_back(ProviderEvent::Finished(finished));
        Ok(())
    }

    fn broken_off(&self, cause: ProviderError) -> ProviderError {
        match self.told {
            Told::Nothing => cause,
            Told::Something => ProviderError::Interrupted {
                cause: Box::new(cause),
                usage: self.decoder.usage(),
            },
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
        let piece = read.map_err(ProviderError::from_reading)?;
        let Some(piece) = piece else {
            break;
        };
        let room = piece.len().min(most - body.len());
        body.extend_from_slice(&piece[..room]);
    }
    Ok(body)
}

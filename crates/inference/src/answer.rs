use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_llama::Context;
use llmopt_service::{FinishReason, GenerationError, GenerationEvent, Sampling};
use llmopt_tokenization::{Encoder, TextStream};
use tokio::sync::mpsc::Sender;

use crate::{
    InferenceError,
    sampler::Sampler,
    stop::{Passed, StopFilter},
    tokens::{self, End, TokenRequest},
};

/// Where an answer goes. There is room for all of it: a reader who is slow holds up nobody.
pub(crate) type Events = Sender<Result<GenerationEvent, GenerationError>>;

/// An answer to generate.
pub(crate) struct Job {
    /// The key of the model, for errors.
    pub(crate) key: String,
    pub(crate) prompt: Vec<u32>,
    pub(crate) sampling: Sampling,
    pub(crate) events: Events,
    /// When the request came.
    pub(crate) asked: Instant,
    /// Whether the model was in memory then.
    pub(crate) cached: bool,
    /// Keeps the model in memory until the job is done.
    pub(crate) lease: Box<dyn Send>,
}

impl Job {
    /// Returns how many events there can be at most for an answer of `tokens` tokens: a text for
    /// each, one that was held back, and the end.
    pub(crate) fn events_at_most(tokens: usize) -> usize {
        tokens + 3
    }
}

/// A model that answers one request at a time.
pub(crate) struct Answerer {
    pub(crate) context: Context,
    pub(crate) encoder: Arc<Encoder>,
}

impl Answerer {
    /// Answers a request, unless nobody waits for the answer any more.
    pub(crate) fn answer(&mut self, job: Job) {
        let Job { key, events, lease, .. } = &job;
        if events.is_closed() {
            return;
        }
        let end = match self.generate(&job) {
            Ok(Some(finished)) => Ok(finished),
            Ok(None) => return,
            Err(error) => Err(error.for_answer(key)),
        };
        // The reader may be gone, and the model must be free before it can see the end.
        let _ = (events.try_send(end), lease);
    }

    fn generate(&mut self, job: &Job) -> Result<Option<GenerationEvent>, InferenceError> {
        let room = (self.context.options().context_tokens as usize).saturating_sub(job.prompt.len());
        let request = TokenRequest {
            prompt: &job.prompt,
            sampler: Sampler::new(&job.sampling),
            vocabulary: self.encoder.vocabulary_size(),
            end_token: self.encoder.end_token_id(),
            limit: room.min(job.sampling.max_tokens as usize),
            cancelled: &|| job.events.is_closed(),
        };
        let mut text = AnswerText::new(&self.encoder, job);
        let end = tokens::generate(&mut self.context, request, |token| text.take(token))?;
        let End::Finished(finish_reason) = end else { return Ok(None) };
        let (completion_tokens, first_token) = text.finish()?;
        Ok(Some(GenerationEvent::Finished {
            finish_reason,
            prompt_tokens: count(job.prompt.len()),
            completion_tokens,
            cached: job.cached,
            first_token_ms: u64::try_from(first_token.as_millis()).unwrap_or(u64::MAX),
        }))
    }
}

/// The text of an answer as its tokens come.
struct AnswerText<'a> {
    stream: TextStream<'a>,
    stops: Option<StopFilter>,
    job: &'a Job,
    tokens: u32,
    first_token: Option<Duration>,
}

impl<'a> AnswerText<'a> {
    fn new(encoder: &'a Encoder, job: &'a Job) -> Self {
        Self {
            stream: encoder.stream(),
            stops: Some(StopFilter::new(&job.sampling.stop)),
            job,
            tokens: 0,
            first_token: None,
        }
    }

    fn take(&mut self, token: u32) -> Result<ControlFlow<FinishReason>, InferenceError> {
        self.tokens += 1;
        self.first_token.get_or_insert_with(|| self.job.asked.elapsed());
        let Some(part) = self.stream.push(token)? else {
            return Ok(ControlFlow::Continue(()));
        };
        Ok(self.pass(&part))
    }

    /// Sends what is sure to come before any stop.
    fn pass(&mut self, part: &str) -> ControlFlow<FinishReason> {
        let Some(stops) = &mut self.stops else {
            return ControlFlow::Break(FinishReason::Stop);
        };
        match stops.push(part) {
            Passed::Text(text) => {
                self.send(text);
                ControlFlow::Continue(())
            }
            Passed::Stopped(text) => {
                self.stops = None;
                self.send(text);
                ControlFlow::Break(FinishReason::Stop)
            }
        }
    }
}

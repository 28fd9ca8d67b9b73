use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_llama::Context;
use llmopt_service::{FinishReason, GenerationEvent, Sampling};
use llmopt_tokenization::{Encoder, TextStream};

use crate::{
    InferenceError,
    reply::Reply,
    sampler::Sampler,
    stop::{Passed, StopFilter},
    tokens::{self, End, TokenRequest},
    turn::Turns,
};

/// An answer to generate.
pub(crate) struct Job {
    pub(crate) prompt: Vec<u32>,
    pub(crate) sampling: Sampling,
    pub(crate) reply: Reply,
    /// When the request came.
    pub(crate) asked: Instant,
    /// Whether the model was in memory then.
    pub(crate) cached: bool,
    /// Keeps the model in memory until the job is done.
    pub(crate) lease: Box<dyn Send>,
}

/// A model that answers one request at a time.
pub(crate) struct Answerer {
    pub(crate) turns: Arc<Turns>,
    pub(crate) context: Context,
    pub(crate) encoder: Arc<Encoder>,
}

impl Answerer {
    /// Answers a request, unless nobody waits for the answer any more.
    pub(crate) fn answer(&mut self, job: Job) {
        if job.reply.is_given_up() {
            return;
        }
        let end = self.generate(&job);
        let Job { reply, lease, .. } = job;
        // Whoever sees the end finds the model idle.
        drop(lease);
        if let Some(end) = end.transpose() {
            reply.end(end);
        }
    }

    /// Returns the last event, or none if the answer was cancelled.
    fn generate(&mut self, job: &Job) -> Result<Option<GenerationEvent>, InferenceError> {
        let room = self.context.options().context_tokens as usize;
        let room = room.saturating_sub(job.prompt.len());
        let reply = &job.reply;
        let request = TokenRequest {
            prompt: &job.prompt,
            sampler: Sampler::new(&job.sampling),
            vocabulary: self.encoder.vocabulary_size(),
            end_token: self.encoder.end_token_id(),
            limit: room.min(job.sampling.max_tokens as usize),
            cancelled: &|| reply.is_given_up(),
            turns: &self.turns,
        };
        let mut text = AnswerText::new(&self.encoder, job);
        let end = tokens::generate(&mut self.context, request, |token| text.take(token))?;
        match end {
            End::Finished(reason) => text.finish(reason).map(Some),
            End::Cancelled => Ok(None),
        }
    }
}

/// The text of an answer as its tokens come.
struct AnswerText<'a> {
    stream: TextStream<'a>,
    outlet: Outlet<'a>,
    job: &'a Job,
    tokens: u32,
    first_token: Option<Duration>,
}

impl<'a> AnswerText<'a> {
    fn new(encoder: &'a Encoder, job: &'a Job) -> Self {
        Self {
            stream: encoder.stream(),
            outlet: Outlet {
                stops: StopFilter::new(&job.sampling.stop),
                reply: &job.reply,
            },
            job,
            tokens: 0,
            first_token: None,
        }
    }

    fn take(&mut self, token: u32) -> Result<ControlFlow<FinishReason>, InferenceError> {
        self.tokens += 1;
        self.first_token
            .get_or_insert_with(|| self.job.asked.elapsed());
        let part = self.stream.push(token)?;
        Ok(match part.map(|part| self.outlet.pass(&part)) {
            Some(Found::Stop) => ControlFlow::Break(FinishReason::Stop),
            Some(Found::Nothing) | None => ControlFlow::Continue(()),
        })
    }

    /// Sends what was not sure until now, and says how it ended.
    fn finish(self, reason: FinishReason) -> Result<GenerationEvent, InferenceError> {
        let Self {
            stream,
            outlet,
            job,
            ..
        } = self;
        let first_token = self.first_token.unwrap_or_else(|| job.asked.elapsed());
        let finish_reason = match outlet.finish(stream.finish()?) {
            Found::Stop => FinishReason::Stop,
            Found::Nothing => reason,
        };
        Ok(GenerationEvent::Finished {
            finish_reason,
            prompt_tokens: u32::try_from(job.prompt.len()).unwrap_or(u32::MAX),
            completion_tokens: self.tokens,
            cached: job.cached,
            first_token_ms: u64::try_from(first_token.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Lets text out to the reader up to the first stop.
struct Outlet<'a> {
    stops: StopFilter,
    reply: &'a Reply,
}

/// Whether a stop was found.
enum Found {
    Stop,
    Nothing,
}

impl Outlet<'_> {
    fn pass(&mut self, part: &str) -> Found {
        match self.stops.push(part) {
            Passed::Text(text) => {
                self.reply.send(text);
                Found::Nothing
            }
            Passed::Stopped(text) => {
                self.reply.send(text);
                Found::Stop
            }
        }
    }

    fn finish(mut self, rest: Option<String>) -> Found {
        let found = self.pass(rest.as_deref().unwrap_or(""));
        let held = self.stops.finish();
        self.reply.send(held);
        found
    }
}

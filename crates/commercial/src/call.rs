//! One call to a provider.

use std::time::Duration;

use llmopt_domain::error_chain;
use llmopt_providers::{Completion, CompletionRequest, Go, Outcome, Phase, ProviderError};
use llmopt_storage::StorageError;

use crate::{Quote, catalog::Candidate, line::Line, tab::Tab};

/// What becomes of a call.
pub(crate) enum Called {
    /// It is answered.
    Answer(Box<Completion>),
    /// It is not.
    Failed(ProviderError),
    /// Nobody waited for it any more before the provider had all of the question.
    NotMade,
    /// What is reserved for it may be lost with the next loss of power: the provider had not all of the question.
    NotKept(StorageError),
    /// Nobody waits for it any more.
    HungUp,
}

impl Line {
    /// Calls the provider once, for what `tab` has reserved.
    pub(crate) async fn call(
        &mut self,
        candidate: &Candidate,
        quote: &Quote,
        tab: &mut Tab,
    ) -> Called {
        if self.caller.is_closed() {
            return Called::NotMade;
        }
        self.calls += 1;
        let request = self.request(candidate);
        let called = match self.send(candidate, &request, tab).await {
            Ok(called) => called,
            Err(ended) => return ended,
        };
        let provider = &candidate.provider;
        if let Some(outcome) = outcome(&called, request.timeouts.first_byte) {
            provider.breaker.record(outcome, std::time::Instant::now());
        }
        match called {
            Ok(completion) => {
                let told = (&completion.rate, None);
                self.inner.learn(candidate, quote, told).await;
                Called::Answer(Box::new(completion))
            }
            Err(error) => {
                let (provider, call) = (&provider.setup.name, self.calls);
                let reason = error_chain(&error);
                tracing::warn!(
                    provider,
                    call,
                    error = reason,
                    "a call to a provider failed"
                );
                if let Some(refusal) = error.refusal() {
                    let told = (&refusal.rate, refusal.retry_after);
                    self.inner.learn(candidate, quote, told).await;
                }
                Called::Failed(error)
            }
        }
    }

    /// Sends a question, the last byte of it when what `tab` has reserved lasts. Returns what the provider makes of it, or
    /// how it ended before.
    async fn send(
        &self,
        candidate: &Candidate,
        request: &CompletionRequest,
        tab: &mut Tab,
    ) -> Result<Result<Completion, ProviderError>, Called> {
        let client = &candidate.provider.setup.client;
        let (mut go, held) = match tab.lasting.is_over() {
            true => (None, Go::now()),
            false => {
                let (go, held) = Go::later();
                (Some(go), held)
            }
        };
        let mut call = client.complete_after(held, request);
        loop {
            tokio::select! {
                biased;
                () = self.caller.closed() => {
                    return Err(match go {
                        Some(_) => Called::NotMade,
                        None => Called::HungUp,
                    });
                }
                called = &mut call => return match called {
                    Err(ProviderError::Timeout { phase, limit })
                        if go.is_some() && phase != Phase::Connect => Err(Called::NotKept(slow(limit))),
                    called => Ok(called),
                },
                lasts = &mut tab.lasting, if go.is_some() => {
                    lasts.map_err(Called::NotKept)?;
                    if let Some(go) = go.take() {
                        // Where nobody takes it, the call has ended.
                        let _ = go.send(());
                    }
                }
            }
        }
    }
}

/// Says that it took so long to keep what was reserved that there is no time left for an answer.
fn slow(limit: Duration) -> StorageError {
    StorageError::Unavailable {
        operation: "keep",
        subject: "a reservation".to_owned(),
        source: format!("it took longer than {} s", limit.as_secs_f64()).into(),
    }
}

/// Says how a provider did, if that can be told: one that has no answer when the time is over is well where that was
/// short, and hangs where it was no shorter than it has for its first byte.
fn outcome(called: &Result<Completion, ProviderError>, first_byte: Duration) -> Option<Outcome> {
    match called {
        Ok(_) => Some(Outcome::Works),
        Err(ProviderError::Timeout {
            phase: Phase::Total,
            limit,
        }) => (*limit >= first_byte).then_some(Outcome::Fault),
        Err(error) => Some(Outcome::from(error)),
    }
}

use std::time::{Duration, Instant};

use llmopt_http::{Metered, Problem};
use llmopt_telemetry::{AnswerEnd, AnswerUse, CHAT, PROVIDER, TRACES};
use tracing::{Span, field::Empty};

use crate::routed::Routed;

/// An answer from its question to its end, or to where nobody waits for it any more: then it is counted, and its
/// part of the trace ends. Neither has a word of what was asked or answered.
pub(crate) struct Measure {
    meter: Metered,
    span: Span,
    began: Instant,
    provider: String,
    model: Option<String>,
    outcome: Result<AnswerUse, &'static str>,
}

/// What is known of a whole answer besides what it took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended<'a> {
    /// Why it ended, as answers say it.
    pub(crate) finish_reason: &'a str,
    /// The model, as its provider says.
    pub(crate) model: Option<&'a str>,
    /// What the provider calls the request.
    pub(crate) response: Option<&'a str>,
    /// Of the tokens read, those that a cache had.
    pub(crate) cache_read_tokens: Option<u64>,
    /// Of the tokens read, those that a cache was given.
    pub(crate) cache_write_tokens: Option<u64>,
    /// Of the tokens written, those of thinking.
    pub(crate) reasoning_tokens: Option<u64>,
}

impl Measure {
    /// Begins to measure; `provider` is who is likely to answer, where that is not us.
    pub(crate) fn begin(meter: Metered, question: &Routed, provider: Option<String>) -> Self {
        let provider = provider.unwrap_or_else(|| PROVIDER.to_owned());
        let wanted = question.wanted();
        // The model is named once it is found: until then its name is a user's text.
        let span = tracing::info_span!(
            target: TRACES,
            CHAT,
            otel.name = CHAT,
            otel.kind = if provider == PROVIDER { "internal" } else { "client" },
            otel.status_code = Empty,
            "error.type" = Empty,
            gen_ai.operation.name = CHAT,
            gen_ai.provider.name = Empty,
            gen_ai.request.model = Empty,
            gen_ai.request.max_tokens = wanted.max_tokens.map(i64::from),
            gen_ai.request.temperature = wanted.temperature,
            gen_ai.request.top_p = wanted.top_p,
            gen_ai.response.id = Empty,
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.usage.cache_read.input_tokens = Empty,
            gen_ai.usage.cache_creation.input_tokens = Empty,
            gen_ai.usage.reasoning.output_tokens = Empty,
            llmopt.cache.result = Empty,
            llmopt.cost.usd = Empty,
        );
        Self {
            meter,
            span,
            began: Instant::now(),
            provider,
            model: None,
            outcome: Err("cancelled"),
        }
    }

    /// Notes which of our models answers.
    pub(crate) fn found(&mut self, model: &str) {
        self.span.record("otel.name", format!("{CHAT} {model}"));
        self.span.record("gen_ai.request.model", model);
        self.model = Some(model.to_owned());
    }

    /// Notes which provider answers, with which model.
    pub(crate) fn found_at(&mut self, provider: &str, model: &str) {
        provider.clone_into(&mut self.provider);
        self.found(model);
    }

    /// Notes that the answer is whole.
    pub(crate) fn finished(&mut self, used: AnswerUse, ended: &Ended<'_>) {
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let span = &self.span;
        span.record("gen_ai.response.finish_reasons", ended.finish_reason);
        span.record("gen_ai.response.id", ended.response);
        span.record(
            "gen_ai.response.model",
            ended.model.or(self.model.as_deref()),
        );
        span.record("gen_ai.usage.input_tokens", count(used.input_tokens));
        span.record("gen_ai.usage.output_tokens", count(used.output_tokens));
        for (name, tokens) in [
            (
                "gen_ai.usage.cache_read.input_tokens",
                ended.cache_read_tokens,
            ),
            (
                "gen_ai.usage.cache_creation.input_tokens",
                ended.cache_write_tokens,
            ),
            (
                "gen_ai.usage.reasoning.output_tokens",
                ended.reasoning_tokens,
            ),
        ] {
            span.record(name, tokens.map(count));
        }
        let result = used
            .cached
            .map(|cached| if cached { "hit" } else { "miss" });
        span.record("llmopt.cache.result", result);
        if used.cost_picodollars > 0 {
            let dollars = used.cost_picodollars as f64 / 1e12;
            span.record("llmopt.cost.usd", dollars);
        }
        self.outcome = Ok(used);
    }

    /// Notes that there is no answer, and why.
    pub(crate) fn failed(&mut self, problem: &Problem) {
        let code = problem.code().as_str();
        self.outcome = Err(code);
    }

    /// Returns how long it took until now, in milliseconds.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        if let Err(error) = self.outcome {
            self.span.record("error.type", error);
            self.span.record("otel.status_code", "ERROR");
        }
        self.span
            .record("gen_ai.provider.name", self.provider.as_str());
        self.meter.0.answer(&AnswerEnd {
            provider: &self.provider,
            model: self.model.as_deref(),
            outcome: self.outcome,
            duration: self.began.elapsed(),
        });
    }
}

/// Returns whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

use std::time::{Duration, Instant};

use llmopt_http::{Metered, Problem};
use llmopt_service::{Answerer, FinishReason, GenerationEvent, Question};
use llmopt_telemetry::{AnswerEnd, AnswerUse, CHAT, PROVIDER, TRACES};
use tracing::{Span, field::Empty};

/// An answer from its question to its end, or to where nobody waits for it any more: then it is counted, and its
/// part of the trace ends. Neither has a word of what was asked or answered.
pub(crate) struct Measure {
    meter: Metered,
    span: Span,
    began: Instant,
    model: Option<String>,
    outcome: Result<AnswerUse, &'static str>,
}

impl Measure {
    pub(crate) fn begin(meter: Metered, question: &Question) -> Self {
        let sampling = &question.sampling;
        // The model is named once it is found: until then its name is a user's text.
        let span = tracing::info_span!(
            target: TRACES,
            CHAT,
            otel.name = CHAT,
            otel.kind = "internal",
            otel.status_code = Empty,
            "error.type" = Empty,
            gen_ai.operation.name = CHAT,
            gen_ai.provider.name = PROVIDER,
            gen_ai.request.model = Empty,
            gen_ai.request.max_tokens = i64::from(sampling.max_tokens),
            gen_ai.request.temperature = f64::from(sampling.temperature),
            gen_ai.request.top_p = f64::from(sampling.top_p),
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            llmopt.cache.result = Empty,
        );
        Self {
            meter,
            span,
            began: Instant::now(),
            model: None,
            outcome: Err("cancelled"),
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Notes which model answers.
    pub(crate) fn found(&mut self, answerer: &Answerer) {
        let model = answerer.id.as_str();
        self.span.record("otel.name", format!("{CHAT} {model}"));
        self.span.record("gen_ai.request.model", model);
        self.span.record("gen_ai.response.model", model);
        self.model = Some(model.to_owned());
    }

    /// Notes that the answer is whole.
    pub(crate) fn finished(&mut self, event: &GenerationEvent) {
        let &GenerationEvent::Finished {
            finish_reason,
            prompt_tokens,
            completion_tokens,
            cached,
            first_token_ms,
        } = event
        else {
            return;
        };
        let reason = match finish_reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
        };
        let result = if cached { "hit" } else { "miss" };
        self.span.record("gen_ai.response.finish_reasons", reason);
        self.span
            .record("gen_ai.usage.input_tokens", i64::from(prompt_tokens));
        self.span
            .record("gen_ai.usage.output_tokens", i64::from(completion_tokens));
        self.span.record("llmopt.cache.result", result);
        self.outcome = Ok(AnswerUse {
            input_tokens: prompt_tokens,
            output_tokens: completion_tokens,
            first_token: Duration::from_millis(first_token_ms),
            cached,
            // A machine of one's own has no price for a token.
            cost_picodollars: 0,
        });
    }

    /// Notes that there is no answer, and why.
    pub(crate) fn failed(&mut self, problem: &Problem) {
        let code = problem.code().as_str();
        self.outcome = Err(code);
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        if let Err(error) = self.outcome {
            self.span.record("error.type", error);
            self.span.record("otel.status_code", "ERROR");
        }
        self.meter.0.answer(&AnswerEnd {
            provider: PROVIDER,
            model: self.model.as_deref(),
            outcome: self.outcome,
            duration: self.began.elapsed(),
        });
    }
}

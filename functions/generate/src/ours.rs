use llmopt_http::Problem;
use llmopt_service::{
    AnswerWeights, Answerer, FinishReason as OurReason, GenerationEvent, GenerationStream,
    Question, ServiceError,
};
use llmopt_telemetry::{AnswerUse, PROVIDER};
use tokio::time::Duration;

use crate::{
    GenerateState,
    answer::Part,
    measured::{Ended, Measure},
    response::{FinishReason, GenerateResponse, Metadata, Metrics, OurMetadata, OurModelType},
};

/// An answer of a model that is here.
pub(crate) struct OurAnswer {
    model_id: String,
    seed: u64,
    answerer: Answerer,
    stream: GenerationStream,
    text: String,
}

impl OurAnswer {
    pub(crate) async fn begin(state: &GenerateState, question: Question) -> Result<Self, Problem> {
        let (model_id, seed) = (question.model.clone(), question.sampling.seed);
        let (answerer, stream) = state.generation.answer(question).await?;
        Ok(Self {
            model_id,
            seed,
            answerer,
            stream,
            text: String::new(),
        })
    }

    /// The model's whole id.
    pub(crate) fn model(&self) -> &str {
        &self.answerer.id
    }

    pub(crate) async fn next(&mut self, measure: &mut Measure) -> Result<Part, Problem> {
        let event = self
            .stream
            .recv()
            .await
            .ok_or_else(Problem::answer_broke_off)?;
        match event.map_err(ServiceError::from)? {
            GenerationEvent::Text { text } => {
                self.text.push_str(&text);
                Ok(Part::Text(text))
            }
            finished @ GenerationEvent::Finished { .. } => {
                let response = self
                    .response(&finished, measure)
                    .ok_or_else(Problem::answer_broke_off)?;
                Ok(Part::Done(Box::new(response)))
            }
        }
    }

    pub(crate) fn close(&mut self) {
        self.stream.close();
    }

    /// Renders the whole answer; `None` where `event` is not its end.
    fn response(
        &mut self,
        event: &GenerationEvent,
        measure: &mut Measure,
    ) -> Option<GenerateResponse> {
        let &GenerationEvent::Finished {
            finish_reason,
            prompt_tokens,
            completion_tokens,
            cached,
            first_token_ms,
        } = event
        else {
            return None;
        };
        let finish_reason = match finish_reason {
            OurReason::Stop => FinishReason::Stop,
            OurReason::Length => FinishReason::Length,
        };
        let (input_tokens, output_tokens) = (prompt_tokens.into(), completion_tokens.into());
        let used = AnswerUse {
            input_tokens,
            output_tokens,
            first_token: Duration::from_millis(first_token_ms),
            cached: Some(cached),
            // A machine of one's own has no price for a token.
            cost_picodollars: 0,
        };
        let ended = Ended {
            finish_reason: finish_reason.as_str(),
            ..Ended::default()
        };
        measure.finished(used, &ended);
        let metrics = Metrics {
            latency_ms: measure.elapsed_ms(),
            ttft_ms: first_token_ms,
            input_tokens,
            output_tokens,
            total_tokens: input_tokens + output_tokens,
            ..Metrics::default()
        };
        let text = std::mem::take(&mut self.text);
        let metadata = self.metadata(finish_reason, cached);
        Some(GenerateResponse::new(
            text,
            &self.model_id,
            metrics,
            metadata,
        ))
    }

    fn metadata(&self, finish_reason: FinishReason, cached: bool) -> Metadata {
        Metadata::Ours(OurMetadata {
            model_type: match self.answerer.weights {
                AnswerWeights::Base => OurModelType::Base,
                _ => OurModelType::FineTuned,
            },
            provider: PROVIDER,
            cost_usd: 0.0,
            finish_reason,
            model: self.answerer.id.clone(),
            weights: self.answerer.weights,
            cached,
            seed: self.seed,
        })
    }
}

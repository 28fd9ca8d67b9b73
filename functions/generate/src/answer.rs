use llmopt_http::{Code, Metered, Problem, now_ms, timestamp};
use llmopt_service::{
    AnswerWeights, Answerer, FinishReason, GenerationEvent, Question, ServiceError,
};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::{GenerateState, measured::Measure};

/// An answer as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct GenerateResponse {
    text: String,
    /// The model, as the caller named it.
    model_id: String,
    metrics: Metrics,
    metadata: Metadata,
    timestamp: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
struct Metrics {
    latency_ms: u64,
    /// Until the first token, loading the model included.
    ttft_ms: u64,
    input_tokens: u32,
    output_tokens: u32,
    total_tokens: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct Metadata {
    model_type: &'static str,
    provider: &'static str,
    cost_usd: f64,
    finish_reason: FinishReason,
    /// The model's whole id, the version included.
    model: String,
    weights: AnswerWeights,
    /// Whether the model was in memory.
    cached: bool,
    /// What was drawn with: the same request with it gives the same answer.
    seed: u64,
}

/// What is known of an answer before it comes.
pub(crate) struct Asked {
    model_id: String,
    seed: u64,
    measure: Measure,
}

/// Waits for the whole answer.
pub(crate) async fn whole_answer(
    state: &GenerateState,
    meter: Metered,
    question: Question,
) -> Result<GenerateResponse, Problem> {
    let mut asked = Asked::begin(meter, &question);
    // Dropping the work when time is up stops it.
    let answered = match timeout(state.timeout, answer(state, &mut asked, question)).await {
        Ok(answered) => answered,
        Err(_) => Err(too_late(state)),
    };
    answered.inspect_err(|problem| asked.failed(problem))
}

async fn answer(
    state: &GenerateState,
    asked: &mut Asked,
    question: Question,
) -> Result<GenerateResponse, Problem> {
    let (answerer, mut stream) = state.generation.answer(question).await?;
    asked.found(&answerer);
    let mut text = String::new();
    while let Some(event) = stream.recv().await {
        match event.map_err(ServiceError::from)? {
            GenerationEvent::Text { text: part } => text.push_str(&part),
            finished => return asked.response(&answerer, text, &finished),
        }
    }
    Err(broken())
}

impl Asked {
    pub(crate) fn begin(meter: Metered, question: &Question) -> Self {
        Self {
            model_id: question.model.clone(),
            seed: question.sampling.seed,
            measure: Measure::begin(meter, question),
        }
    }

    /// Notes which model answers.
    pub(crate) fn found(&mut self, answerer: &Answerer) {
        self.measure.found(answerer);
    }

    /// Notes that there is no answer, and why.
    pub(crate) fn failed(&mut self, problem: &Problem) {
        self.measure.failed(problem);
    }

    /// Renders the whole answer once it is finished.
    pub(crate) fn response(
        &mut self,
        answerer: &Answerer,
        text: String,
        finished: &GenerationEvent,
    ) -> Result<GenerateResponse, Problem> {
        let &GenerationEvent::Finished {
            finish_reason,
            prompt_tokens,
            completion_tokens,
            cached,
            first_token_ms,
        } = finished
        else {
            return Err(broken());
        };
        self.measure.finished(finished);
        Ok(GenerateResponse {
            text,
            model_id: self.model_id.clone(),
            metrics: Metrics {
                latency_ms: self.measure.began().elapsed().as_millis() as u64,
                ttft_ms: first_token_ms,
                input_tokens: prompt_tokens,
                output_tokens: completion_tokens,
                total_tokens: prompt_tokens + completion_tokens,
            },
            metadata: Metadata {
                model_type: match answerer.weights {
                    AnswerWeights::Base => "base",
                    _ => "fine_tuned",
                },
                provider: "llmopt",
                // A machine of one's own has no price for a token.
                cost_usd: 0.0,
                finish_reason,
                model: answerer.id.clone(),
                weights: answerer.weights,
                cached,
                seed: self.seed,
            },
            timestamp: timestamp(now_ms()),
        })
    }
}

pub(crate) fn too_late(state: &GenerateState) -> Problem {
    Problem::new(
        Code::ModelTimeout,
        format!(
            "the answer took longer than {} s and was given up: ask for fewer tokens, or raise `LLMOPT_MODEL_TIMEOUT_SECONDS`",
            state.timeout.as_secs()
        ),
    )
}

pub(crate) fn broken() -> Problem {
    Problem::new(Code::Internal, "the answer broke off")
}

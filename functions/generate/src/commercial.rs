use std::{sync::atomic::Ordering, time::Duration};

use llmopt_commercial::{
    Answer, AnswerEvent, AnswerStream, Commercial, CommercialError, Past, Question, Receipt,
    Target, WhenLimited,
};
use llmopt_http::{Code, Problem, billed_request};
use llmopt_storage::spend::RequestId;
use llmopt_telemetry::AnswerUse;
use tokio::time::{Instant, sleep_until};

use crate::{
    answer::{Part, Patience, Turns},
    measured::{Ended, Measure, milliseconds},
    response::{GenerateResponse, Metadata, Metrics, ToolCalls},
};

/// How much later the next of those who wait comes, at most: a slow limit is asked in vain now and then, and a hold of
/// a minute is not waited for by each after the other.
const BETWEEN_TURNS: Duration = Duration::from_secs(1);

/// A question to a commercial model, and whom to ask.
#[derive(Clone)]
pub(crate) struct CommercialQuestion {
    pub(crate) commercial: Commercial,
    pub(crate) question: Question,
    pub(crate) naming: Naming,
}

/// How a question is called, for what it costs, where it is asked again.
#[derive(Clone, Debug)]
pub(crate) enum Naming {
    /// By names that are drawn at random: whoever asks knows what became of the one before.
    Drawn,
    /// By names that are counted: whoever takes the question up finds what others asked before.
    Counted {
        /// The first.
        first: RequestId,
        /// How many came after it.
        count: u32,
    },
}

impl Naming {
    /// Counts from `first` on.
    pub(crate) fn counted(first: RequestId) -> Self {
        Self::Counted { first, count: 0 }
    }

    /// Returns the name to ask under after `before`, under which no answer came; `None` if an answer is billed under
    /// that, or may be.
    ///
    /// # Errors
    /// If the budgets could not be asked.
    async fn next(
        &mut self,
        commercial: &Commercial,
        before: RequestId,
    ) -> Result<Option<RequestId>, Problem> {
        let Self::Counted { first, count } = self else {
            return billed_request().map(Some);
        };
        match commercial.past(&before).await? {
            Past::Unknown => Ok(Some(before)),
            Past::Billed => Ok(None),
            Past::Free => {
                *count += 1;
                let next = RequestId::try_from(format!("{first}:{count}"));
                next.map(Some)
                    .map_err(|error| Problem::new(Code::Internal, error.to_string()))
            }
        }
    }
}

/// Returns whether an answer is billed, or may be, under a name that is counted from `first` on.
///
/// # Errors
/// If the budgets could not be asked.
pub(crate) async fn is_billed(commercial: &Commercial, first: RequestId) -> Result<bool, Problem> {
    let mut naming = Naming::counted(first.clone());
    let mut name = first;
    loop {
        match naming.next(commercial, name.clone()).await? {
            None => return Ok(true),
            Some(next) if next == name => return Ok(false),
            Some(next) => name = next,
        }
    }
}

fn lost() -> Problem {
    Problem::new(
        Code::AnswerLost,
        "whatever worked on the question ended after it had asked the provider: what that used is billed, once; ask again if the answer is still wanted",
    )
}

/// An answer of a commercial model. Dropping it cancels the rest and settles what was used.
pub(crate) struct CommercialAnswer {
    model_id: String,
    target: Target,
    events: AnswerStream,
    text: String,
    calls: ToolCalls,
}

impl CommercialAnswer {
    pub(crate) async fn begin(
        asked: CommercialQuestion,
        patience: Patience,
    ) -> Result<Self, Problem> {
        let model_id = asked.question.model.clone();
        let Answer { target, events } = match patience {
            Patience::None => asked.commercial.ask(asked.question).await?,
            Patience::UntilTurn(turns) => {
                let mut asked = asked;
                asked.question.when_limited = WhenLimited::AskAgain;
                ask_in_turn(asked, &turns).await?
            }
        };
        Ok(Self {
            model_id,
            target,
            events,
            text: String::new(),
            calls: ToolCalls::default(),
        })
    }

    /// Who answers.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) async fn next(&mut self, measure: &mut Measure) -> Result<Part, Problem> {
        let event = self
            .events
            .recv()
            .await
            .ok_or_else(Problem::answer_broke_off)?;
        Ok(match event? {
            AnswerEvent::Text(text) => {
                self.text.push_str(&text);
                Part::Text(text)
            }
            AnswerEvent::ToolCall(part) => {
                self.calls.add(&part);
                Part::ToolCall(part)
            }
            AnswerEvent::Finished(receipt) => {
                Part::Done(Box::new(self.response(*receipt, measure)))
            }
        })
    }

    pub(crate) fn close(&mut self) {
        self.events.close();
    }

    fn response(&mut self, receipt: Receipt, measure: &mut Measure) -> GenerateResponse {
        let usage = &receipt.usage;
        let cache_write = usage
            .cache_write_tokens
            .saturating_add(usage.cache_write_long_tokens);
        let metrics = Metrics {
            latency_ms: measure.elapsed_ms(),
            ttft_ms: milliseconds(receipt.first_part),
            input_tokens: usage.prompt_tokens(),
            output_tokens: usage.output_tokens,
            total_tokens: usage.prompt_tokens().saturating_add(usage.output_tokens),
            cache_read_tokens: Some(usage.cache_read_tokens),
            cache_write_tokens: Some(cache_write),
            reasoning_tokens: Some(usage.reasoning_tokens),
            waited_ms: Some(milliseconds(receipt.waited)),
        };
        tell(&receipt, &metrics, measure);
        let metadata = Metadata::of(&self.target.provider, receipt);
        let text = std::mem::take(&mut self.text);
        GenerateResponse {
            tool_calls: self.calls.take(),
            ..GenerateResponse::new(text, &self.model_id, metrics, metadata)
        }
    }
}

/// Asks, and asks again whenever its turn has come, until it is answered or no turn comes in time.
async fn ask_in_turn(asked: CommercialQuestion, turns: &Turns) -> Result<Answer, Problem> {
    let CommercialQuestion {
        commercial,
        mut question,
        mut naming,
    } = asked;
    loop {
        let error = match commercial.ask(question.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.counts_for_key() {
            question.asker.tokens_per_minute = None;
        }
        let is_counted = matches!(naming, Naming::Counted { .. });
        match error.until_turn() {
            Some(wait) if Instant::now() + wait < turns.until => turns.wait(wait).await,
            None if is_counted && matches!(error, CommercialError::Repeated) => {}
            _ => return Err(error.into()),
        }
        // What was reserved under the present name was given back, or is billed: then it is not asked again.
        question.request = match naming.next(&commercial, question.request).await? {
            Some(next) => next,
            None if matches!(error, CommercialError::Repeated) => return Err(lost()),
            None => return Err(error.into()),
        };
    }
}

impl Turns {
    async fn wait(&self, wait: Duration) {
        // All are told of the same next turn: without this, all would come for it and be sent back.
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = Instant::now() + wait + wait.min(BETWEEN_TURNS) * before;
        sleep_until(turn.min(self.until)).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells what an answer took.
fn tell(receipt: &Receipt, metrics: &Metrics, measure: &mut Measure) {
    let (finish_reason, _) = crate::response::reason(receipt.finish_reason.clone());
    let used = AnswerUse {
        input_tokens: metrics.input_tokens,
        output_tokens: metrics.output_tokens,
        first_token: receipt.first_part,
        cached: None,
        cost_picodollars: receipt.cost.get(),
    };
    let ended = Ended {
        finish_reason: finish_reason.as_str(),
        model: Some(&receipt.model),
        response: receipt.provider_request_id.as_deref(),
        cache_read_tokens: metrics.cache_read_tokens,
        cache_write_tokens: metrics.cache_write_tokens,
        reasoning_tokens: metrics.reasoning_tokens,
    };
    measure.finished(used, &ended);
}

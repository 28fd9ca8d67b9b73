use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use llmopt_http::{Metered, Problem};
use llmopt_providers::ToolCallPart;
use tokio::time::{Instant, timeout_at};

use crate::{
    GenerateState, commercial::CommercialAnswer, measured::Measure, ours::OurAnswer,
    response::GenerateResponse, routed::Routed,
};

/// How much longer is waited for a commercial model than its provider is: what that took is settled and told then.
const SETTLING: Duration = Duration::from_secs(5);

/// A part of an answer.
pub(crate) enum Part {
    Text(String),
    ToolCall(ToolCallPart),
    /// The answer is whole; nothing comes after this.
    Done(Box<GenerateResponse>),
}

/// What to do where a provider's limit has no turn soon enough.
#[derive(Clone, Debug)]
pub(crate) enum Patience {
    /// Send the caller back with the time of its turn.
    None,
    /// Wait for the turn, if it comes in time.
    UntilTurn(Turns),
}

/// How long turns are waited for, behind those that wait already.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pub(crate) waiting: Arc<AtomicU32>,
    pub(crate) until: Instant,
}

/// A question, and for how long its answer is waited for.
pub(crate) struct Inquiry {
    pub(crate) question: Routed,
    pub(crate) patience: Patience,
    pub(crate) deadline: Instant,
}

/// An answer on its way, whoever gives it. Dropping it ends the work on it.
pub(crate) struct Answer {
    measure: Measure,
    source: Source,
    deadline: Instant,
}

enum Source {
    Ours(OurAnswer),
    Commercial(CommercialAnswer),
}

impl Inquiry {
    /// Wants an answer as soon as can be.
    pub(crate) fn now(state: &GenerateState, question: Routed) -> Self {
        Self {
            question,
            patience: Patience::None,
            deadline: Instant::now() + state.timeout,
        }
    }
}

/// Waits for the whole answer.
pub(crate) async fn whole_answer(
    state: &GenerateState,
    meter: Metered,
    inquiry: Inquiry,
) -> Result<GenerateResponse, Problem> {
    let mut answer = Answer::begin(state, meter, inquiry).await?;
    loop {
        if let Part::Done(response) = answer.next(state).await? {
            return Ok(*response);
        }
    }
}

impl Answer {
    /// Finds who answers, and begins.
    ///
    /// # Errors
    /// Whatever keeps an answer from beginning.
    pub(crate) async fn begin(
        state: &GenerateState,
        meter: Metered,
        inquiry: Inquiry,
    ) -> Result<Self, Problem> {
        let deadline = match inquiry.question {
            Routed::Ours(_) => inquiry.deadline,
            Routed::Commercial(_) => inquiry.deadline + SETTLING,
        };
        let provider = inquiry.question.provider();
        let mut measure = Measure::begin(meter, &inquiry.question, provider);
        // Dropping the work when time is up ends it.
        let begun = match timeout_at(deadline, begin(state, inquiry)).await {
            Ok(begun) => begun,
            Err(_) => Err(Problem::answer_too_late(state.timeout)),
        };
        let source = begun.inspect_err(|problem| measure.failed(problem))?;
        match &source {
            Source::Ours(answer) => measure.found(answer.model()),
            Source::Commercial(answer) => {
                let target = answer.target();
                measure.found_at(&target.provider, &target.model);
            }
        }
        Ok(Self {
            measure,
            source,
            deadline,
        })
    }

    /// Returns the next part; none comes after an error.
    pub(crate) async fn next(&mut self, state: &GenerateState) -> Result<Part, Problem> {
        let measure = &mut self.measure;
        let next = async {
            match &mut self.source {
                Source::Ours(answer) => answer.next(measure).await,
                Source::Commercial(answer) => answer.next(measure).await,
            }
        };
        let next = match timeout_at(self.deadline, next).await {
            Ok(next) => next,
            Err(_) => Err(Problem::answer_too_late(state.timeout)),
        };
        next.inspect_err(|problem| {
            self.measure.failed(problem);
            // Nobody reads it any more: dropping it would only come later.
            match &mut self.source {
                Source::Ours(answer) => answer.close(),
                Source::Commercial(answer) => answer.close(),
            }
        })
    }
}

async fn begin(state: &GenerateState, inquiry: Inquiry) -> Result<Source, Problem> {
    Ok(match inquiry.question {
        Routed::Ours(question) => Source::Ours(OurAnswer::begin(state, question).await?),
        Routed::Commercial(asked) => {
            let mut asked = *asked;
            asked.question.answer_by = Some(inquiry.deadline);
            Source::Commercial(CommercialAnswer::begin(asked, inquiry.patience).await?)
        }
    })
}

use futures::{StreamExt, stream};
use llmopt_commercial::{
    Answer, AnswerEvent, Asker, Commercial, CommercialError, Question, WhenLimited,
};
use llmopt_domain::{Conversation, Message, Picodollars, Role};
use llmopt_http::{Problem, billed_request, now_ms};
use llmopt_prices::Day;
use llmopt_providers::Delivery;
use llmopt_service::{Generation, GenerationEvent, Sampling, ServiceError};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    CommercialState,
    comparison_view::{Answered, Cell, ComparisonView, ModelKind, Quoted},
};

/// Questions that are asked at once.
const AT_ONCE: usize = 8;

/// The same texts for several models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What each model is asked, each text as one message of the user.
    pub texts: Vec<String>,
    /// The models: commercial ones, and our own.
    pub models: Vec<String>,
    /// Tokens of each answer at most.
    pub max_tokens: u32,
    /// Who asks.
    pub asker: Asker,
}

impl Comparison {
    /// Says what each model would cost for each text, and asks none.
    pub async fn quote(&self, state: &CommercialState) -> ComparisonView {
        let mut columns = Vec::new();
        for model in &self.models {
            columns.push(self.column(state, model).await);
        }
        ComparisonView::new(self, columns)
    }

    /// Asks each model each text, some at once, and says what each answer cost beside what it would have. One
    /// that fails does not touch the others.
    pub async fn run(&self, state: &CommercialState) -> ComparisonView {
        let end = state.longest.map(|longest| Instant::now() + longest);
        let mut columns = Vec::new();
        for model in &self.models {
            columns.push(self.column(state, model).await);
        }
        // By text and not by model, so that no provider is asked everything at once.
        let models = columns.len();
        let places = (0..self.texts.len()).flat_map(|text| (0..models).map(move |it| (text, it)));
        let asked: Vec<_> = places
            .filter(|(text, model)| columns[*model][*text].error.is_none())
            .map(|(text, model)| {
                let kind = columns[model][text].model_type;
                async move {
                    let now = Instant::now();
                    let answer_by = now + state.timeout;
                    let answer_by = end.map_or(answer_by, |end| end.min(answer_by));
                    let answered = match answer_by > now {
                        true => self.ask(state, (kind, answer_by), (text, model)).await,
                        false => Err(Problem::answer_too_late(state.timeout)),
                    };
                    (text, model, answered)
                }
            })
            .collect();
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((text, model, answered)) = answers.next().await {
            let cell = &mut columns[model][text];
            match answered {
                Ok(answer) => cell.answer = Some(answer),
                Err(problem) => cell.error = Some(problem.to_json(None)),
            }
        }
        drop(answers);
        ComparisonView::new(self, columns)
    }

    /// Says what one model would cost for each text.
    async fn column(&self, state: &CommercialState, model: &str) -> Vec<Cell> {
        let quotes = match (&state.generation, state.commercial.knows(model)) {
            (Some(generation), false) => (ModelKind::Own, self.own_quotes(generation, model).await),
            _ => {
                let quotes = self.texts.iter().map(|text| {
                    let question = self.question(model, text)?;
                    quoted(&state.commercial, &question)
                });
                (ModelKind::Commercial, quotes.collect())
            }
        };
        let (kind, quotes) = quotes;
        quotes
            .into_iter()
            .map(|quote| Cell::new(model, kind, quote))
            .collect()
    }

    async fn own_quotes(
        &self,
        generation: &Generation,
        model: &str,
    ) -> Vec<Result<Quoted, Problem>> {
        let prompts = self.texts.iter().map(|text| conversation(text)).collect();
        let counted = match generation.count_tokens(model, prompts).await {
            Ok(counted) => counted,
            Err(error) => {
                let problem = Problem::from(error);
                return self.texts.iter().map(|_| Err(problem.clone())).collect();
            }
        };
        let most_output_tokens = u64::from(self.max_tokens);
        let quote = |tokens: Result<u64, ServiceError>| {
            let tokens = tokens?;
            Ok(Quoted {
                provider: None,
                estimated_input_tokens: tokens,
                most_input_tokens: tokens,
                most_output_tokens,
                // A machine of one's own has no price for a token.
                estimate: Picodollars::ZERO,
                bound: Picodollars::ZERO,
            })
        };
        counted.into_iter().map(quote).collect()
    }

    async fn ask(
        &self,
        state: &CommercialState,
        (kind, answer_by): (ModelKind, Instant),
        (text, model): (usize, usize),
    ) -> Result<Answered, Problem> {
        let (text, model) = (&self.texts[text], &self.models[model]);
        match (&state.generation, kind) {
            (Some(generation), ModelKind::Own) => {
                let answer = self.ask_own(generation, model, text);
                match timeout_at(answer_by, answer).await {
                    Ok(answered) => answered,
                    Err(_) => Err(Problem::answer_too_late(state.timeout)),
                }
            }
            _ => {
                let question = self.question(model, text)?;
                ask_commercial(state, question, answer_by).await
            }
        }
    }

    async fn ask_own(
        &self,
        generation: &Generation,
        model: &str,
        text: &str,
    ) -> Result<Answered, Problem> {
        let began = Instant::now();
        let question = llmopt_service::Question {
            model: model.to_owned(),
            conversation: conversation(text),
            sampling: Sampling {
                max_tokens: self.max_tokens,
                temperature: 1.0,
                top_p: 1.0,
                stop: Vec::new(),
                // The same comparison gives the same answers.
                seed: 0,
            },
        };
        let (answerer, mut stream) = generation.answer(question).await?;
        let mut text = String::new();
        while let Some(event) = stream.recv().await {
            match event.map_err(ServiceError::from)? {
                GenerationEvent::Text { text: part } => text.push_str(&part),
                finished @ GenerationEvent::Finished { .. } => {
                    return Ok(Answered::own(answerer.id, text, &finished, began.elapsed()));
                }
            }
        }
        Err(Problem::answer_broke_off())
    }

    fn question(&self, model: &str, text: &str) -> Result<Question, Problem> {
        Ok(Question {
            request: billed_request()?,
            asker: self.asker.clone(),
            model: model.to_owned(),
            conversation: conversation(text),
            max_tokens: Some(self.max_tokens),
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            tool_choice: None,
            response_format: None,
            delivery: Delivery::Whole,
            answer_by: None,
            when_limited: WhenLimited::AskAgain,
        })
    }
}

fn quoted(commercial: &Commercial, question: &Question) -> Result<Quoted, Problem> {
    let quote = commercial.quote(question)?;
    let targets = commercial.resolve(&question.model, Day::of_unix_ms(now_ms()))?;
    Ok(Quoted {
        provider: targets.into_iter().next().map(|target| target.provider),
        estimated_input_tokens: quote.estimated_prompt_tokens,
        most_input_tokens: quote.most_prompt_tokens,
        most_output_tokens: quote.most_output_tokens,
        estimate: quote.estimate,
        bound: quote.bound,
    })
}

async fn ask_commercial(
    state: &CommercialState,
    question: Question,
    answer_by: Instant,
) -> Result<Answered, Problem> {
    let began = Instant::now();
    let mut answer = ask_in_turn(state, question, answer_by).await?;
    let mut text = String::new();
    while let Some(event) = answer.events.recv().await {
        match event? {
            AnswerEvent::Text(part) => text.push_str(&part),
            // None was offered to the model.
            AnswerEvent::ToolCall(_) => {}
            AnswerEvent::Finished(receipt) => {
                let provider = answer.target.provider;
                return Ok(Answered::commercial(
                    provider,
                    text,
                    *receipt,
                    began.elapsed(),
                ));
            }
        }
    }
    Err(Problem::answer_broke_off())
}

/// Asks, and asks again whenever the provider's limit has a turn, as long as an answer may take: a comparison soon
/// has more questions than a minute has turns.
async fn ask_in_turn(
    state: &CommercialState,
    mut question: Question,
    answer_by: Instant,
) -> Result<Answer, Problem> {
    question.answer_by = Some(answer_by);
    loop {
        let answered = state.commercial.ask(question.clone()).await;
        let wait = answered
            .as_ref()
            .err()
            .and_then(CommercialError::until_turn);
        if answered
            .as_ref()
            .is_err_and(CommercialError::counts_for_key)
        {
            question.asker.tokens_per_minute = None;
        }
        match wait.filter(|wait| Instant::now() + *wait < answer_by) {
            Some(wait) => sleep(wait).await,
            None => return Ok(answered?),
        }
        // Nothing is held under the name of the one that was sent back, and nothing will be.
        question.request = billed_request()?;
    }
}

fn conversation(text: &str) -> Conversation {
    Conversation {
        messages: vec![Message::new(Role::User, text.to_owned())],
        tools: Vec::new(),
    }
}

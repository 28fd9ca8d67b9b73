use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use llmopt_domain::error_chain;
use llmopt_providers::{
    Attempt as Failed, Completion, CompletionRequest, Finished, NoRetry, Outcome, ProviderError,
    ProviderEvent, Retry, Timeouts,
};
use llmopt_spending::SpendingError;
use llmopt_storage::spend::Attempt;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    AnswerEvent, CommercialError, Inner, Question, Quote, Receipt, Target,
    ask::today,
    call::Called,
    catalog::Candidate,
    tab::Tab,
    used::{Seen, Used},
};

type Part = Result<AnswerEvent, CommercialError>;

/// A question on its way, from before anybody is asked to after its cost is settled.
pub(crate) struct Line {
    pub(crate) inner: Arc<Inner>,
    question: Question,
    /// The other end of it is with whoever waits for the answer.
    pub(crate) caller: mpsc::Sender<Part>,
    began: Instant,
    deadline: Instant,
    /// How often a provider was called.
    pub(crate) calls: u32,
    /// How often something was reserved.
    tabs: u32,
    /// Models that are left after the present one, and can be asked.
    others: usize,
    waited: Duration,
    /// The calls of tabs that are settled.
    past: Vec<Attempt>,
}

/// An answer that has begun.
struct Open {
    candidate: Candidate,
    quote: Quote,
    tab: Tab,
    completion: Box<Completion>,
    first_part: Duration,
}

/// Whether a call that failed is made again.
enum Again {
    /// Now.
    Now,
    /// Its turn is too far away, or the provider is left alone by now.
    Never,
    /// Nobody waits for it any more.
    HungUp,
}

impl Line {
    pub(crate) fn new(inner: Arc<Inner>, question: Question, caller: mpsc::Sender<Part>) -> Self {
        let began = Instant::now();
        let longest = began + inner.policy.timeouts.total;
        Self {
            deadline: question.answer_by.unwrap_or(longest).min(longest),
            inner,
            question,
            caller,
            began,
            calls: 0,
            tabs: 0,
            others: 0,
            waited: Duration::ZERO,
            past: Vec::new(),
        }
    }

    /// Finds an answer, tells `begun` who gives it, and passes it on.
    pub(crate) async fn run(mut self, begun: oneshot::Sender<Result<Target, CommercialError>>) {
        match self.find_answer().await {
            Ok(Some(open)) => {
                // Whoever does not listen has dropped the other end of the line too.
                let _ = begun.send(Ok(open.candidate.target()));
                self.pass_on(open).await;
            }
            Ok(None) => {}
            Err(error) => {
                let _ = begun.send(Err(error));
            }
        }
    }

    /// Asks one model after the other; `None` where nobody waits any more.
    async fn find_answer(&mut self) -> Result<Option<Open>, CommercialError> {
        self.inner.retries.deposit();
        let candidates = self.inner.candidates(&self.question.model, today());
        let mut candidates = candidates.into_iter();
        let mut result = Err(CommercialError::Lost);
        while let Some(candidate) = candidates.next() {
            self.others = candidates.as_slice().iter().flatten().count();
            result = match candidate {
                Ok(candidate) => self.ask_one(candidate).await,
                Err(error) => Err(error),
            };
            match &result {
                Err(error) if error.lets_others_try() && self.others > 0 => {
                    tracing::warn!(
                        error = error_chain(error),
                        "the next model is asked instead"
                    );
                }
                _ => break,
            }
        }
        result
    }

    /// Asks one model, again where that may help.
    async fn ask_one(&mut self, candidate: Candidate) -> Result<Option<Open>, CommercialError> {
        let default_max_tokens = self.inner.policy.default_max_tokens;
        candidate.check(&self.question)?;
        let quote = candidate.quote(&self.question, default_max_tokens)?;
        self.inner
            .look_at_budgets(&candidate, &quote, &self.question)
            .await?;
        admit(&candidate)?;
        if !self.wait_for_turn(&candidate, &quote).await? {
            return Ok(None);
        }
        let mut kept = None;
        let mut number = 0;
        loop {
            number += 1;
            let mut tab = match kept.take() {
                Some(tab) => tab,
                None => self.open_tab(&candidate, &quote).await?,
            };
            let error = match self.call(&candidate, &quote, &mut tab).await {
                Called::Answer(completion) => {
                    return Ok(Some(Open {
                        first_part: self.began.elapsed(),
                        candidate,
                        quote,
                        tab,
                        completion,
                    }));
                }
                Called::NotMade => {
                    self.close(tab, &Used::nothing()).await;
                    return Ok(None);
                }
                Called::NotKept(error) => {
                    self.close(tab, &Used::nothing()).await;
                    return Err(SpendingError::from(error).into());
                }
                Called::HungUp => {
                    let seen = Seen::before(self.question.delivery);
                    let used = candidate.used_of_part(&quote, None, seen);
                    tab.note(&candidate, &used, Some(HUNG_UP.to_owned()));
                    self.close(tab, &used).await;
                    return Ok(None);
                }
                Called::Failed(error) => error,
            };
            let used = match tab.lasting.is_over() {
                true => candidate.used_by_failure(&quote, &error),
                false => Used::nothing(),
            };
            tab.note(&candidate, &used, Some(error_chain(&error)));
            let retry = self.decide(&candidate, (number, &error)).await;
            match retry {
                Retry::After(_) if !used.is_assumed => kept = Some(tab),
                // What may be billed has used up what was reserved.
                Retry::After(_) | Retry::No(_) => self.close(tab, &used).await,
            }
            let again = match retry {
                Retry::After(wait) => self.come_back(&candidate, &quote, wait).await,
                Retry::No(_) => Again::Never,
            };
            if matches!(again, Again::Now) {
                continue;
            }
            if let Some(tab) = kept {
                self.close(tab, &Used::nothing()).await;
            }
            return match again {
                Again::HungUp => Ok(None),
                Again::Now | Again::Never => Err(self.failed(&candidate, error)),
            };
        }
    }

    /// Waits for the question's turn. Returns whether anybody still waits for its answer.
    async fn wait_for_turn(
        &mut self,
        candidate: &Candidate,
        quote: &Quote,
    ) -> Result<bool, CommercialError> {
        let inner = Arc::clone(&self.inner);
        let waited = tokio::select! {
            waited = inner.wait_for_turn(candidate, quote, &self.question) => waited,
            () = self.caller.closed() => return Ok(false),
        };
        if waited
            .as_ref()
            .map_or_else(CommercialError::counts_for_key, |_| true)
        {
            // Whatever comes next, they are counted.
            self.question.asker.tokens_per_minute = None;
        }
        self.waited += waited?;
        Ok(true)
    }

    async fn open_tab(
        &mut self,
        candidate: &Candidate,
        quote: &Quote,
    ) -> Result<Tab, CommercialError> {
        let place = (self.tabs, self.time_left());
        self.tabs += 1;
        let inner = Arc::clone(&self.inner);
        inner
            .open_tab(candidate, quote, &self.question, place)
            .await
    }

    pub(crate) fn request(&self, candidate: &Candidate) -> CompletionRequest {
        let question = &self.question;
        let default_max_tokens = self.inner.policy.default_max_tokens;
        let tools = question.conversation.tools.iter();
        let timeouts = self.inner.policy.timeouts;
        // Whoever says nothing leaves time for another.
        let half = self.deadline.saturating_duration_since(self.began) / 2;
        CompletionRequest {
            model: candidate.model.clone(),
            messages: question.conversation.messages.clone(),
            max_tokens: candidate.most_output_tokens(question, default_max_tokens),
            temperature: question.temperature,
            top_p: question.top_p,
            stop: question.stop.clone(),
            tools: tools.cloned().map(serde_json::Value::Object).collect(),
            tool_choice: question.tool_choice.clone(),
            response_format: question.response_format.clone(),
            route: candidate.route,
            delivery: question.delivery,
            timeouts: Timeouts {
                first_byte: timeouts.first_byte.min(half),
                total: self.time_left(),
                ..timeouts
            },
        }
    }

    async fn decide(&self, candidate: &Candidate, (number, error): (u32, &ProviderError)) -> Retry {
        if self.others > 0 && matches!(error, ProviderError::Timeout { .. }) {
            // To wait for it again would leave the others no time.
            return Retry::No(NoRetry::Time);
        }
        let failed = Failed {
            number,
            error,
            time_left: self.time_left(),
            random: fastrand::f64(),
        };
        match self.inner.policy.retry.decide(failed, &self.inner.retries) {
            Retry::After(_) if !self.inner.may_call_again(candidate).await => {
                Retry::No(NoRetry::Budget)
            }
            decided => decided,
        }
    }

    /// Waits until a call may be made again.
    async fn come_back(&mut self, candidate: &Candidate, quote: &Quote, wait: Duration) -> Again {
        tokio::select! {
            () = sleep(wait) => {}
            () = self.caller.closed() => return Again::HungUp,
        }
        if admit(candidate).is_err() {
            return Again::Never;
        }
        match self.wait_for_turn(candidate, quote).await {
            Ok(true) => Again::Now,
            Ok(false) => Again::HungUp,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "a call is not made again");
                Again::Never
            }
        }
    }

    /// Passes an answer on until its end, or until nobody wants it any more.
    async fn pass_on(self, mut open: Open) {
        let mut bytes = 0_u64;
        loop {
            let event = tokio::select! {
                biased;
                () = self.caller.closed() => return self.hang_up(open, bytes).await,
                event = open.completion.events.next() => event,
            };
            let part = match event {
                Some(Ok(event)) => match part(event) {
                    Ok(part) => part,
                    Err(end) => return self.finish(open, *end, bytes).await,
                },
                Some(Err(error)) => return self.break_off(open, error, bytes).await,
                None => {
                    let error = ProviderError::Protocol("it has no end".to_owned());
                    return self.break_off(open, error, bytes).await;
                }
            };
            bytes += part.bytes();
            if !self.tell(Ok(part)).await {
                return self.hang_up(open, bytes).await;
            }
        }
    }

    /// Tells whoever waits. Returns whether anybody does.
    async fn tell(&self, part: Part) -> bool {
        let told = timeout_at(self.deadline, self.caller.send(part)).await;
        matches!(told, Ok(Ok(())))
    }

    async fn finish(mut self, mut open: Open, end: Finished, bytes: u64) {
        let used = open
            .candidate
            .used(&open.quote, &end, (open.completion.input, bytes));
        open.tab.note(&open.candidate, &used, None);
        let entry = self.inner.settle(&open.tab, &used).await;
        self.past.append(&mut open.tab.attempts);
        let (cost, basis) = match entry {
            Some(entry) => (entry.cost, entry.basis),
            None => (used.cost, used.basis()),
        };
        let before = self.past.iter().rev().skip(1).map(|it| it.cost);
        let receipt = Receipt {
            model: end.model.unwrap_or(open.candidate.model),
            finish_reason: end.finish_reason,
            usage: used.usage,
            cost: before.chain([cost]).sum(),
            basis,
            price_version: open.candidate.price_version,
            attempts: std::mem::take(&mut self.past),
            provider_request_id: end.request_id.or(open.completion.request_id),
            waited: self.waited,
            first_part: open.first_part,
        };
        self.tell(Ok(AnswerEvent::Finished(Box::new(receipt))))
            .await;
    }

    async fn break_off(mut self, mut open: Open, error: ProviderError, bytes: u64) {
        let provider = Arc::clone(&open.candidate.provider);
        let outcome = Outcome::from(&error);
        provider.breaker.record(outcome, std::time::Instant::now());
        let reason = error_chain(&error);
        let name = &provider.setup.name;
        tracing::warn!(
            provider = name,
            error = reason,
            "an answer of a provider broke off"
        );
        let seen = (open.completion.input, bytes);
        let used = open.candidate.used_until(&open.quote, &error, seen);
        open.tab.note(&open.candidate, &used, Some(reason));
        self.close(open.tab, &used).await;
        let failed = self.failed(&open.candidate, error);
        self.tell(Err(failed)).await;
    }

    /// Cancels an answer that nobody waits for any more.
    async fn hang_up(mut self, mut open: Open, mut bytes: u64) {
        // What has come is paid for, however little of it was taken in.
        let until = Instant::now() + LAST_WORDS;
        while let Ok(Some(Ok(event))) = timeout_at(until, open.completion.events.next()).await {
            match part(event) {
                Ok(part) => bytes += part.bytes(),
                Err(end) => return self.finish(open, *end, bytes).await,
            }
        }
        drop(open.completion.events);
        let seen = Seen::Bytes(bytes);
        let used = open
            .candidate
            .used_of_part(&open.quote, open.completion.input, seen);
        open.tab
            .note(&open.candidate, &used, Some(HUNG_UP.to_owned()));
        self.close(open.tab, &used).await;
    }

    /// Settles a tab.
    async fn close(&mut self, mut tab: Tab, used: &Used) {
        self.inner.settle(&tab, used).await;
        self.past.append(&mut tab.attempts);
    }

    fn failed(&self, candidate: &Candidate, error: ProviderError) -> CommercialError {
        CommercialError::Provider {
            provider: candidate.provider.setup.name.clone(),
            attempts: self.calls,
            source: Box::new(error),
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// How long an answer is still read that nobody waits for any more.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// Why a call gave no answer that nobody waited for.
const HUNG_UP: &str = "whoever asked hung up";

/// Makes a part of an answer of what a provider says, or its end.
fn part(event: ProviderEvent) -> Result<AnswerEvent, Box<Finished>> {
    match event {
        ProviderEvent::Text(text) => Ok(AnswerEvent::Text(text)),
        ProviderEvent::ToolCall(part) => Ok(AnswerEvent::ToolCall(part)),
        ProviderEvent::Finished(end) => Err(Box::new(end)),
    }
}

/// Asks whether a provider is to be called now.
fn admit(candidate: &Candidate) -> Result<(), CommercialError> {
    let provider = &candidate.provider;
    let admitted = provider.breaker.admit(std::time::Instant::now());
    admitted.map_err(|left_alone| CommercialError::CircuitOpen {
        provider: provider.setup.name.clone(),
        retry_after: left_alone.retry_after,
    })
}

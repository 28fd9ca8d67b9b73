use std::{
    convert::Infallible,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use llmopt_commercial::Asker;
use llmopt_http::{Code, Metered, Problem, now_ms, timestamp};
use llmopt_providers::Delivery as AnswerDelivery;
use llmopt_service::{AnswerLease, Begun};
use llmopt_storage::{Delivery, StorageError};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument as _;

use super::{FINGERPRINT, QueuedAnswer, QueuedAnswers, QueuedQuestion, QueuedStatus, name_of};
use crate::{
    GenerateState,
    answer::{Inquiry, Patience, Turns, whole_answer},
    commercial::{Naming, is_billed},
    response::GenerateResponse,
    routed::Routed,
};

/// Questions that are worked on at once in one process.
const AT_ONCE: usize = 32;
/// Of these, questions to our own models, which compute one after the other.
const OURS_AT_ONCE: usize = 4;
/// How long a message is hidden: whoever dies with it gives it back then.
const HIDDEN: Duration = Duration::from_secs(60);
/// How often it is hidden anew.
const RENEWAL: Duration = Duration::from_secs(20);
/// How often it is looked for a question where none waits.
const POLL: Duration = Duration::from_millis(500);
/// How long to leave a queue alone that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a question may wait for its turn.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// How many may die with a question before it is given up: something about it ends who takes it up.
const MOST_DEATHS: u32 = 3;
/// How long a question waits for its turn in its place; beyond, another is taken up meanwhile.
const IN_PLACE: Duration = Duration::from_secs(5);
/// How long a question that is put back is hidden at least: SQS hands a message out a thousand times, which is to last.
const PUT_BACK: Duration = Duration::from_secs(45);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Its question has ended, whatever came of it.
    Done,
    /// It is hidden, and to be taken up again when it comes back.
    Later,
}

/// Answers the questions of a queue.
///
/// A message is hidden, and its question's lease held, for as long as the process that works on it lives; both end a
/// minute after it died, and the question is taken up again. What it costs is billed under names that follow from the
/// question's own, so that whoever takes it up sees whether a provider was asked already, and does not ask again.
#[derive(Clone)]
pub struct AnswerWorker {
    state: GenerateState,
    queued: QueuedAnswers,
    meter: Metered,
    /// How many wait for a turn of a provider's.
    waiting: Arc<AtomicU32>,
    ours: Arc<Semaphore>,
    /// Whether whatever is worked on is to be left.
    leave: watch::Receiver<bool>,
    leaving: Arc<watch::Sender<bool>>,
}

/// How the work on a question ended.
enum Ended {
    /// What came of it is kept.
    Kept,
    /// It is to be asked after so long.
    Later(Duration),
    /// It is left to whoever comes next.
    Left,
}

/// A question that is worked on.
struct Work<'a> {
    delivery: &'a Delivery,
    question: QueuedQuestion,
    lease: AnswerLease,
}

impl AnswerWorker {
    /// Answers with what `state` works with; `None` where nothing is queued there.
    pub fn new(state: GenerateState, meter: Metered) -> Option<Self> {
        let (leaving, leave) = watch::channel(false);
        Some(Self {
            queued: state.queued.clone()?,
            state,
            meter,
            waiting: Arc::default(),
            ours: Arc::new(Semaphore::new(OURS_AT_ONCE)),
            leave,
            leaving: Arc::new(leaving),
        })
    }

    /// Answers questions until `stop` says so; those that are worked on then have `grace` to end, and are left to whoever
    /// comes next after that.
    pub async fn run(self, mut stop: watch::Receiver<bool>, grace: Duration) {
        let mut works = JoinSet::new();
        tokio::select! {
            // Where nobody is left to ask for the end, it has come.
            _ = stop.wait_for(|stop| *stop) => {}
            never = self.take_up(&mut works) => match never {},
        }
        let ended = timeout(grace, async { while works.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            let _ = self.leaving.send(true);
            while works.join_next().await.is_some() {}
        }
    }

    async fn take_up(&self, works: &mut JoinSet<()>) -> Infallible {
        loop {
            while works.len() >= AT_ONCE {
                works.join_next().await;
            }
            while works.try_join_next().is_some() {}
            match self.queued.queue.receive(HIDDEN).await {
                Ok(Some(delivery)) => {
                    let worker = self.clone();
                    works.spawn(async move {
                        if let Err(error) = worker.work_on(&delivery).await {
                            tracing::warn!(%error, "a queued question is left for later");
                        }
                    });
                }
                Ok(None) => sleep(POLL).await,
                Err(error) => {
                    tracing::warn!(%error, "queued questions cannot be looked for now");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Answers the question of one message.
    ///
    /// # Errors
    /// Where the queue or the store of answers does not answer: the message comes back by itself.
    pub async fn work_on(&self, delivery: &Delivery) -> Result<Worked, StorageError> {
        let Ok(question) = serde_json::from_str::<QueuedQuestion>(&delivery.body) else {
            tracing::error!("a message in the queue of questions is none, and is a dead letter");
            self.queued.queue.bury(delivery).await?;
            return Ok(Worked::Done);
        };
        // Whatever the queue has hidden it for: SQS hides what it invokes with for a quarter of an hour.
        self.hide(delivery, HIDDEN).await?;
        let name = name_of(&question.asker.key, question.id.as_str());
        match self.queued.answers.begin(&name, Some(FINGERPRINT)).await? {
            Begun::Granted(lease) => {
                let span = tracing::info_span!("queued", request = %question.id);
                let work = Work {
                    delivery,
                    question,
                    lease,
                };
                self.answer(work).instrument(span).await
            }
            // Another has it, or has died with it just now.
            Begun::InFlight => Ok(Worked::Later),
            Begun::Finished(_) | Begun::Reused => {
                self.queued.queue.acknowledge(&delivery.receipt).await?;
                Ok(Worked::Done)
            }
        }
    }

    async fn answer(&self, work: Work<'_>) -> Result<Worked, StorageError> {
        let life = self.begin_life(&work.question).await?;
        let mut leave = self.leave.clone();
        let ended = tokio::select! {
            ended = work.lease.hold(self.hiding(work.delivery, self.ask_and_keep(&work, life.as_ref()))) => ended,
            _ = leave.wait_for(|leave| *leave) => Ok(Ended::Left),
        };
        if let Some(life) = life
            && let Err(error) = life.release().await
        {
            tracing::warn!(%error, "whoever works on a question is taken for dead, and is not");
        }
        let hidden = match ended? {
            Ended::Kept => {
                let queue = &self.queued.queue;
                queue.acknowledge(&work.delivery.receipt).await?;
                return Ok(Worked::Done);
            }
            Ended::Later(wait) => wait.max(PUT_BACK).mul_f64(1.0 + fastrand::f64()),
            Ended::Left => Duration::ZERO,
        };
        work.lease.postpone().await?;
        self.hide(work.delivery, hidden).await?;
        Ok(Worked::Later)
    }

    /// Notes that somebody lives who works on a question, until that is released. `None` where so many have died with it
    /// that nobody is to try again.
    async fn begin_life(
        &self,
        question: &QueuedQuestion,
    ) -> Result<Option<AnswerLease>, StorageError> {
        // As no other life is called: none is taken over from who died.
        let fingerprint = fastrand::u128(..).to_string();
        for death in 0..MOST_DEATHS {
            let name = name_of(&question.asker.key, &format!("{}#{death}", question.id));
            let begun = self.queued.answers.begin(&name, Some(&fingerprint)).await?;
            if let Begun::Granted(life) = begun {
                return Ok(Some(life));
            }
        }
        Ok(None)
    }

    /// Asks, if there is a `life` for it, and keeps what comes of it, unless it is worth while to ask later.
    async fn ask_and_keep(
        &self,
        work: &Work<'_>,
        life: Option<&AnswerLease>,
    ) -> Result<Ended, StorageError> {
        let answered = match life {
            Some(_) => self.ask(work).await,
            None => Err(given_up()),
        };
        let left = LONGEST.saturating_sub(work.age());
        if let Some(wait) = worth_waiting(&answered)
            && wait < left
            && !self.is_billed(&work.question).await
        {
            return Ok(Ended::Later(wait));
        }
        work.keep(answered).await?;
        Ok(Ended::Kept)
    }

    /// Returns whether a provider was asked for something that it bills: no other is asked then, and the caller is told
    /// how that failed.
    async fn is_billed(&self, question: &QueuedQuestion) -> bool {
        let Some(commercial) = &self.state.commercial else {
            return false;
        };
        // Where the budgets cannot be asked now, whoever takes the question up again asks them.
        is_billed(commercial, question.id.clone())
            .await
            .unwrap_or(false)
    }

    async fn ask(&self, work: &Work<'_>) -> Result<GenerateResponse, Problem> {
        if work.age() >= LONGEST {
            return Err(too_old());
        }
        let question = &work.question;
        let asker = self.asker_now(&question.asker).await?;
        let asked = question.request.clone().validate("")?;
        let mut routed = Routed::of(&self.state, asked, &asker, AnswerDelivery::Whole)?;
        if let Routed::Commercial(asked) = &mut routed {
            asked.question.request = question.id.clone();
            asked.naming = Naming::counted(question.id.clone());
        }
        let _place = match &routed {
            Routed::Ours(_) => self.ours.acquire().await.ok(),
            Routed::Commercial(_) => None,
        };
        let until = Instant::now() + IN_PLACE.min(self.state.timeout);
        let inquiry = Inquiry {
            question: routed,
            patience: Patience::UntilTurn(Turns {
                waiting: Arc::clone(&self.waiting),
                until,
            }),
            // Whatever was waited for a turn, the answer has its time.
            deadline: until + self.state.timeout,
        };
        whole_answer(&self.state, self.meter.clone(), inquiry).await
    }

    /// Says who asks, as the key is now.
    async fn asker_now(&self, asker: &Asker) -> Result<Asker, Problem> {
        let Some(keys) = self.queued.keys.as_ref().filter(|_| !asker.key.is_empty()) else {
            return Ok(asker.clone());
        };
        let key = keys.get(&asker.key).await?;
        if !key.is_live(now_ms()) {
            return Err(Problem::new(
                Code::Unauthorized,
                "the key that asked has ended, and its question was not asked",
            ));
        }
        Ok(Asker {
            tokens_per_minute: key.limits.tokens_per_minute,
            ..asker.clone()
        })
    }

    /// Waits for `work`, and hides the message meanwhile.
    async fn hiding<T>(&self, delivery: &Delivery, work: impl Future<Output = T>) -> T {
        let always = async {
            loop {
                sleep(RENEWAL).await;
                if let Err(error) = self.hide(delivery, HIDDEN).await {
                    tracing::warn!(%error, "the message of a question cannot be hidden now");
                }
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            never = always => never,
        }
    }

    /// Hides a message, unless another has it by now: then the lease decides who works on it.
    async fn hide(&self, delivery: &Delivery, hidden: Duration) -> Result<(), StorageError> {
        match self.queued.queue.extend(&delivery.receipt, hidden).await {
            Err(StorageError::Conflict { .. }) => Ok(()),
            hidden => hidden,
        }
    }
}

impl Work<'_> {
    /// How long ago it was asked.
    fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.question.asked_ms))
    }

    /// Keeps what came of it, for whoever asked to look up.
    async fn keep(&self, answered: Result<GenerateResponse, Problem>) -> Result<(), StorageError> {
        let (status, response, error) = match answered {
            Ok(response) => (QueuedStatus::Succeeded, Some(Box::new(response)), None),
            Err(problem) => (QueuedStatus::Failed, None, Some(problem.to_json(None))),
        };
        let answer = QueuedAnswer {
            id: self.question.id.clone(),
            status,
            ended_at: Some(timestamp(now_ms())),
            response,
            error,
        };
        let bytes = serde_json::to_vec(&answer).map_err(|error| StorageError::Internal {
            operation: "keep",
            subject: self.question.id.to_string(),
            source: error.into(),
        })?;
        loop {
            match self.lease.keep(FINGERPRINT, bytes.clone()).await {
                // Another has taken it over.
                Err(error @ StorageError::Conflict { .. }) => return Err(error),
                Ok(()) => return Ok(()),
                // It is paid for: the store comes back, or whoever holds this is ended.
                Err(error) => tracing::error!(%error, "an answer is held until it can be kept"),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Returns after how long a question is worth being taken up again, if that is of use.
fn worth_waiting(answered: &Result<GenerateResponse, Problem>) -> Option<Duration> {
    let problem = answered.as_ref().err()?;
    match problem.code() {
        // Nothing was answered. Where that costs something all the same, it is not asked again.
        Code::StoreUnavailable | Code::ProviderRateLimited | Code::ProviderUnavailable => {
            Some(problem.retry_after().unwrap_or(PAUSE))
        }
        _ => problem.worth_waiting(),
    }
}

fn too_old() -> Problem {
    let hours = LONGEST.as_secs() / 3_600;
    Problem::new(
        Code::AnswerLost,
        format!("the question waited {hours} hours for its turn and was not asked"),
    )
}

fn given_up() -> Problem {
    Problem::new(
        Code::AnswerLost,
        format!(
            "the question was taken up {MOST_DEATHS} times, and whatever worked on it died each time: the server's log says why"
        ),
    )
}

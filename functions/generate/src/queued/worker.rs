use std::{
    convert::Infallible,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

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
    commercial::Naming,
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
/// How often a question is taken up before it is given up: something about it ends who does.
const MOST_TRIES: u32 = 100;
/// How often keeping an answer is tried.
const KEEPING: u32 = 3;

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
            Begun::InFlight => {
                self.hide(delivery, HIDDEN).await?;
                Ok(Worked::Later)
            }
            Begun::Finished(_) | Begun::Reused => {
                self.queued.queue.acknowledge(&delivery.receipt).await?;
                Ok(Worked::Done)
            }
        }
    }

    async fn answer(&self, work: Work<'_>) -> Result<Worked, StorageError> {
        let mut leave = self.leave.clone();
        let answered = tokio::select! {
            answered = work.lease.hold(self.hiding(work.delivery, self.ask(&work))) => Some(answered),
            _ = leave.wait_for(|leave| *leave) => None,
        };
        let later = match &answered {
            None => Some(Duration::ZERO),
            Some(answered) => worth_waiting(answered).filter(|_| work.age() < LONGEST),
        };
        if let Some(wait) = later {
            work.lease.postpone().await?;
            self.hide(work.delivery, wait).await?;
            return Ok(Worked::Later);
        }
        if let Some(answered) = answered {
            work.keep(answered).await?;
        }
        let queue = &self.queued.queue;
        queue.acknowledge(&work.delivery.receipt).await?;
        Ok(Worked::Done)
    }

    async fn ask(&self, work: &Work<'_>) -> Result<GenerateResponse, Problem> {
        if work.delivery.receives > MOST_TRIES {
            return Err(given_up());
        }
        let question = &work.question;
        let asked = question.request.clone().validate("")?;
        let delivery = AnswerDelivery::Whole;
        let mut routed = Routed::of(&self.state, asked, &question.asker, delivery)?;
        if let Routed::Commercial(asked) = &mut routed {
            asked.question.request = question.id.clone();
            asked.naming = Naming::counted(question.id.clone());
        }
        let _place = match &routed {
            Routed::Ours(_) => self.ours.acquire().await.ok(),
            Routed::Commercial(_) => None,
        };
        let (now, longest) = (Instant::now(), self.state.timeout);
        let inquiry = Inquiry {
            question: routed,
            patience: Patience::UntilTurn(Turns {
                waiting: Arc::clone(&self.waiting),
                until: now + longest / 2,
            }),
            // Whatever was waited for a turn, the answer has its time.
            deadline: now + longest / 2 + longest,
        };
        whole_answer(&self.state, self.meter.clone(), inquiry).await
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
        let mut kept = Ok(());
        for _ in 0..KEEPING {
            kept = self.lease.keep(FINGERPRINT, bytes.clone()).await;
            match &kept {
                Err(StorageError::Conflict { .. }) | Ok(()) => return kept,
                Err(_) => sleep(PAUSE).await,
            }
        }
        kept
    }
}

/// Returns after how long a question is worth being taken up again, if that is of use.
fn worth_waiting(answered: &Result<GenerateResponse, Problem>) -> Option<Duration> {
    let problem = answered.as_ref().err()?;
    match problem.code() {
        Code::StoreUnavailable => Some(PAUSE),
        _ => problem.worth_waiting(),
    }
}

fn given_up() -> Problem {
    Problem::new(
        Code::AnswerLost,
        format!(
            "the question was taken up {MOST_TRIES} times, and whatever worked on it ended each time: the server's log says why"
        ),
    )
}

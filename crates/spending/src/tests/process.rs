//! A process that answers one request, and what really happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_storage::spend::{Asked, BudgetScope, LedgerEntry, RequestId, Reservation};

use super::memory::Turn;
use crate::{
    AlertError, AlertSink, Ask, BudgetAlert, Outcome, Settlement, Spending, SpendingError, Swept,
    Truth, error::OutOfOrder,
};

/// How long a reservation is good for.
pub(super) const PATIENCE_MS: u64 = 60_000;

/// What a request is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) bound: u64,
    /// What it costs, if it is sent.
    pub(super) cost: u64,
    /// Whether it is given up before it is sent.
    pub(super) gives_up: bool,
    /// Whether it reserves and notes that it sends at once.
    pub(super) is_prompt: bool,
    /// Whether its client asks a second time meanwhile.
    pub(super) asks_twice: bool,
}

/// What really happened, told by nobody who may be wrong.
#[derive(Default)]
pub(super) struct World {
    pub(super) now_ms: u64,
    /// Requests whose processes began to note that they send.
    pub(super) marking: BTreeSet<RequestId>,
    /// Requests that a provider got, and how often.
    pub(super) sent: BTreeMap<RequestId, u64>,
    pub(super) refused: BTreeSet<RequestId>,
    /// What a caller was told that its request costs.
    pub(super) told: BTreeMap<RequestId, LedgerEntry>,
    pub(super) alerts: Vec<BudgetAlert>,
    pub(super) swept: Vec<Swept>,
}

pub(super) type Shared = Arc<Mutex<World>>;

pub(super) struct Bell(pub(super) Shared);

#[async_trait]
impl AlertSink for Bell {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        Turn::default().await;
        self.0.lock().unwrap().alerts.push(alert.clone());
        Ok(())
    }
}

pub(super) fn amount(picodollars: u64) -> Picodollars {
    Picodollars::new(picodollars).unwrap()
}

pub(super) fn scope(name: &str) -> BudgetScope {
    BudgetScope::try_from(name.to_owned()).unwrap()
}

pub(super) fn request(number: usize) -> RequestId {
    RequestId::try_from(format!("r{number}")).unwrap()
}

fn asked() -> Asked {
    Asked {
        key: "a".to_owned(),
        model: "gpt".to_owned(),
        provider: "openai".to_owned(),
        price_version: "1".to_owned(),
    }
}

/// A process that answers one request.
pub(super) struct Process {
    pub(super) spending: Spending,
    pub(super) world: Shared,
    pub(super) request: RequestId,
    pub(super) plan: Plan,
}

impl Process {
    fn now_ms(&self) -> u64 {
        self.world.lock().unwrap().now_ms
    }

    fn note(&self, what: impl FnOnce(&mut World, RequestId)) {
        what(&mut self.world.lock().unwrap(), self.request.clone());
    }

    pub(super) async fn run(self) {
        let now_ms = self.now_ms();
        let ask = Ask {
            request: self.request.clone(),
            bound: amount(self.plan.bound),
            scopes: ["key/a", "team", "all"].map(scope).into(),
            asked: asked(),
            now_ms,
            expires_ms: now_ms + PATIENCE_MS,
        };
        if self.plan.is_prompt && !self.plan.gives_up {
            return self.reserve_sent(&ask).await;
        }
        let reservation = match self.spending.reserve(&ask).await {
            Ok(Outcome::Reserved(reservation)) => reservation,
            Ok(Outcome::Refused(_)) => {
                return self.note(|world, request| world.refused.extend([request]));
            }
            Ok(Outcome::Replay(_)) | Err(_) => return,
        };
        if self.plan.gives_up {
            drop(self.spending.release(&reservation, self.now_ms()).await);
            return;
        }
        self.note(|world, request| world.marking.extend([request]));
        for _ in 0..2 {
            match self.spending.mark_sent(&reservation).await {
                Ok(sent) => return self.send(&sent).await,
                Err(SpendingError::Storage(_)) => {}
                Err(_) => return,
            }
        }
        let released = self.spending.release(&reservation, self.now_ms()).await;
        if let Err(SpendingError::OutOfOrder(OutOfOrder::Sent(_))) = released {
            self.settle(&reservation, 0).await;
        }
    }

    async fn reserve_sent(&self, ask: &Ask) {
        self.note(|world, request| world.marking.extend([request]));
        match self.spending.reserve_sent(ask).await {
            Ok(Outcome::Reserved(sent)) => match sent.lasting.await {
                Ok(()) => self.send(&sent.reservation).await,
                Err(_) => self.settle(&sent.reservation, 0).await,
            },
            Ok(Outcome::Refused(_)) => self.note(|world, request| world.refused.extend([request])),
            Ok(Outcome::Replay(_)) | Err(_) => {}
        }
    }

    async fn send(&self, reservation: &Reservation) {
        Turn::default().await;
        self.note(|world, request| *world.sent.entry(request).or_default() += 1);
        Turn::default().await;
        self.settle(reservation, self.plan.cost).await;
    }

    async fn settle(&self, reservation: &Reservation, cost: u64) {
        for _ in 0..3 {
            let truth = Truth {
                usage: TokenUsage::default(),
                cost: amount(cost),
                asked: asked(),
                attempts: Vec::new(),
                is_assumed: false,
                overrun: Some("the bound was a guess".to_owned()),
                now_ms: self.now_ms(),
            };
            if let Ok(settlement) = self.spending.settle(reservation, &truth).await {
                let (Settlement::Settled(entry) | Settlement::Before(entry)) = settlement;
                return self.note(|world, request| world.told.extend([(request, entry)]));
            }
        }
    }
}

//! The protocol on SQLite, and what it is asked.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_storage::spend::{Asked, BudgetScope, RequestId, Reservation};
use llmopt_storage_embedded::SqliteSpendStore;

use crate::{
    AlertError, AlertSink, Ask, BudgetAlert, BudgetLimits, Outcome, Refusal, Settlement, Spending,
    Truth,
};

/// 2026-11-26T12:00:00Z.
pub(super) const NOON: u64 = 1_795_694_400_000;
pub(super) const MINUTE: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Writes down what it is told, unless it is down.
#[derive(Default)]
pub(super) struct Notes {
    told: Mutex<Vec<String>>,
    pub(super) is_down: Mutex<bool>,
}

#[async_trait]
impl AlertSink for Notes {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        if *self.is_down.lock().unwrap() {
            return Err("nobody answers".into());
        }
        self.told.lock().unwrap().push(alert.id());
        Ok(())
    }
}

pub(super) struct Bench {
    _folder: tempfile::TempDir,
    pub(super) store: Arc<SqliteSpendStore>,
    pub(super) spending: Spending,
    pub(super) notes: Arc<Notes>,
}

pub(super) fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteSpendStore::FILE_NAME);
    let store = Arc::new(SqliteSpendStore::open(&path).unwrap());
    let notes = Arc::new(Notes::default());
    Bench {
        _folder: folder,
        spending: Spending::new(Arc::clone(&store) as _, Arc::clone(&notes) as _),
        store,
        notes,
    }
}

pub(super) fn amount(picodollars: u64) -> Picodollars {
    Picodollars::new(picodollars).unwrap()
}

pub(super) fn scope(name: &str) -> BudgetScope {
    BudgetScope::try_from(name.to_owned()).unwrap()
}

pub(super) fn id(name: &str) -> RequestId {
    RequestId::try_from(name.to_owned()).unwrap()
}

pub(super) fn daily(limit: u64) -> BudgetLimits {
    BudgetLimits {
        daily: Some(amount(limit)),
        alert_percent: vec![50, 100],
        ..BudgetLimits::default()
    }
}

pub(super) fn asked(model: &str) -> Asked {
    Asked {
        key: "a1".to_owned(),
        model: model.to_owned(),
        provider: "openai".to_owned(),
        price_version: "7".to_owned(),
    }
}

pub(super) fn ask(request: &str, bound: u64, now_ms: u64) -> Ask {
    Ask {
        request: id(request),
        bound: amount(bound),
        scopes: vec![scope("key/a1"), scope("team"), scope("team")],
        asked: asked("gpt"),
        now_ms,
        expires_ms: now_ms + 5 * MINUTE,
    }
}

pub(super) fn truth(cost: u64, now_ms: u64) -> Truth {
    Truth {
        usage: TokenUsage {
            input_tokens: cost,
            output_tokens: 1,
            ..TokenUsage::default()
        },
        cost: amount(cost),
        asked: asked("gpt"),
        attempts: Vec::new(),
        is_assumed: false,
        overrun: None,
        now_ms,
    }
}

impl Bench {
    pub(super) async fn budget(&self, name: &str, limits: &BudgetLimits, now_ms: u64) {
        let set = self.spending.set_budget(&scope(name), limits, now_ms).await;
        set.unwrap();
    }

    pub(super) async fn reserved(&self, request: &str, bound: u64, now_ms: u64) -> Reservation {
        let outcome = self.spending.reserve(&ask(request, bound, now_ms)).await;
        match outcome.unwrap() {
            Outcome::Reserved(reservation) => reservation,
            other => panic!("`{request}`: {other:?}"),
        }
    }

    pub(super) async fn refused(&self, request: &str, bound: u64, now_ms: u64) -> Refusal {
        let outcome = self.spending.reserve(&ask(request, bound, now_ms)).await;
        match outcome.unwrap() {
            Outcome::Refused(refusal) => refusal,
            other => panic!("`{request}`: {other:?}"),
        }
    }

    pub(super) async fn sent(&self, request: &str, bound: u64, now_ms: u64) -> Reservation {
        let reserved = self.reserved(request, bound, now_ms).await;
        self.spending.mark_sent(&reserved).await.unwrap()
    }

    pub(super) async fn spend(&self, request: &str, cost: u64, now_ms: u64) {
        let sent = self.sent(request, cost, now_ms).await;
        let settled = self.spending.settle(&sent, &truth(cost, now_ms)).await;
        assert!(matches!(settled.unwrap(), Settlement::Settled(_)));
    }

    /// Returns what is available and spent of each window of a budget.
    pub(super) async fn standing(&self, name: &str, now_ms: u64) -> Vec<(i64, u64)> {
        let standing = self.spending.standing(&scope(name), now_ms).await.unwrap();
        let rows = standing
            .iter()
            .map(|it| (it.row.available, it.row.spent.get()));
        rows.collect()
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.notes.told.lock().unwrap().clone()
    }
}

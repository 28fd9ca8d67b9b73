use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};
use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        Budget, BudgetRow, BudgetScope, Hold, LedgerEntry, Limit, Place, RequestId, Reservation,
        RowKey, Step, Taken, Wanted,
    },
};

use crate::{Aws, table::Table};

mod books;
mod row_item;
mod rows;

/// How often others may change what is there between our looks at it.
const TRIES: u32 = 8;

/// A [`SpendStore`] in the table of records: an item each budget, row, reservation and entry of the ledger.
///
/// The table's key is `id` (a text); its index `by-group` (`group`, `place`) has the budgets, the reservations
/// that are not closed, in 16 groups, and the ledger, a group each day. Closed reservations end at `expires`
/// (seconds since 1970). With one budget a request is 8 writes of the table and 6 of the index, most of them of
/// one unit.
pub struct DynamoSpendStore {
    table: Table,
    /// Tries nothing twice: a take that is tried again is to have another token.
    once: Client,
}

impl DynamoSpendStore {
    /// Keeps budgets in the table called `table`.
    pub fn new(aws: &Aws, table: &str) -> Self {
        let once = Table::config(aws).retry_config(RetryConfig::disabled());
        Self {
            table: Table::new(aws, table),
            once: Client::from_conf(once.build()),
        }
    }

    /// Checks that budgets can be read.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the table.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.get_body::<Budget>("budget", "all").await.map(drop)
    }
}

#[async_trait]
impl SpendStore for DynamoSpendStore {
    async fn budget(&self, scope: &BudgetScope) -> Result<Option<Budget>, StorageError> {
        self.get_body("budget", scope.as_str()).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, StorageError> {
        self.list_budgets().await
    }

    async fn put_budget(&self, budget: &Budget) -> Result<(), StorageError> {
        self.put_budget_item(budget).await
    }

    async fn row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError> {
        self.get_row(key).await
    }

    async fn open_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        self.put_row(key, limit).await
    }

    async fn set_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        self.move_limit(key, limit).await
    }

    async fn take(&self, key: &RowKey, wanted: &Wanted) -> Result<Taken, StorageError> {
        self.take_hold(key, wanted).await
    }

    async fn finish(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError> {
        self.finish_hold(key, request, hold, spent).await
    }

    async fn claim_alert(
        &self,
        key: &RowKey,
        percent: u8,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<bool, StorageError> {
        let condition = "attribute_exists(id)
            AND (attribute_not_exists(alerts.#percent) OR alerts.#percent <= :now)";
        self.put_alert(key, percent, until_ms, (condition, now_ms))
            .await
    }

    async fn confirm_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError> {
        self.told_alert(key, percent).await
    }

    async fn begin(&self, reservation: &Reservation) -> Result<Option<Reservation>, StorageError> {
        self.put_reservation(reservation).await
    }

    async fn reservation(&self, request: &RequestId) -> Result<Option<Reservation>, StorageError> {
        self.get_body("reservation", request.as_str()).await
    }

    async fn change(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError> {
        self.change_reservation(known, step).await
    }

    async fn unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError> {
        self.list_unfinished(until_ms, after, limit).await
    }

    async fn append(&self, entry: &LedgerEntry) -> Result<(), StorageError> {
        self.put_entry(entry).await
    }

    async fn ledger(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError> {
        self.list_day(day, after, limit).await
    }
}

//! The rows of budgets: every change is one conditional write.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    operation::{
        put_item::PutItemError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_domain::Picodollars;
use llmopt_storage::{
    StorageError,
    spend::{BudgetRow, Hold, Limit, MOST_HOLDS, RequestId, RowKey, TOLD, Taken, Wanted},
};
use tokio::time::sleep;

use super::{
    DynamoSpendStore, TRIES,
    row_item::{self, difference, percents},
};
use crate::{
    error::fault,
    item::{number, unique},
    table::Item,
};

/// How long to wait for a busy table at first; each time it is twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a take that nobody answered is tried, the first included.
const TAKES: u32 = 4;

/// What came of a conditional write.
enum Wrote {
    Done(Item),
    /// The condition does not hold of what is there.
    Refused(Option<Item>),
}

impl DynamoSpendStore {
    pub(super) async fn get_row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError> {
        let item = self.table.get(row_item::key(key)).await?;
        item.map(|item| row_item::parse(key, &item)).transpose()
    }

    pub(super) async fn put_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(row_item::item(key, limit)))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        let Err(error) = put else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(fault!(error).during("open", &key.to_string())),
        }
    }

    pub(super) async fn move_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        for _ in 0..TRIES {
            let Some(row) = self.get_row(key).await? else {
                return Ok(());
            };
            if row.limit.revision >= limit.revision {
                return Ok(());
            }
            let update = self
                .update(&self.table.client, key)
                .update_expression(
                    "SET available = available + :more, amount = :amount,
                     revision = :revision, percents = :percents",
                )
                .condition_expression("revision = :seen")
                .expression_attribute_values(":more", difference(limit.amount, row.limit.amount))
                .expression_attribute_values(":amount", number(limit.amount.get()))
                .expression_attribute_values(":revision", number(limit.revision))
                .expression_attribute_values(":percents", percents(limit))
                .expression_attribute_values(":seen", number(row.limit.revision));
            if let Wrote::Done(_) = write("limit", key, update).await? {
                return Ok(());
            }
        }
        Err(busy(key))
    }

    pub(super) async fn take_hold(
        &self,
        key: &RowKey,
        wanted: &Wanted,
    ) -> Result<Taken, StorageError> {
        let mut unanswered = 0;
        for _ in 0..TRIES {
            let hold = Hold {
                amount: wanted.amount,
                token: unique()?,
                taken_ms: wanted.now_ms,
            };
            match write("take from", key, self.taking(key, wanted, &hold)).await {
                Ok(Wrote::Done(_)) => return Ok(Taken::Held(hold)),
                Ok(Wrote::Refused(item)) => {
                    if let Some(taken) = self.why(key, wanted, item).await? {
                        return Ok(taken);
                    }
                }
                Err(StorageError::Unavailable { .. }) if unanswered + 1 < TAKES => {
                    let pause = PAUSE * 2_u32.pow(unanswered);
                    sleep(pause.mul_f64(1.0 + fastrand::f64())).await;
                    unanswered += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Err(busy(key))
    }

    fn taking(&self, key: &RowKey, wanted: &Wanted, hold: &Hold) -> UpdateItemFluentBuilder {
        self.update(&self.once, key)
            .update_expression("SET available = available - :amount, holds.#request = :hold")
            .condition_expression(
                "available >= :amount AND revision >= :revision AND size(holds) < :most
                 AND attribute_not_exists(holds.#request)",
            )
            .expression_attribute_names("#request", wanted.request.as_str())
            .expression_attribute_values(":amount", number(wanted.amount.get()))
            .expression_attribute_values(":revision", number(wanted.revision))
            .expression_attribute_values(":most", number(MOST_HOLDS as u64))
            .expression_attribute_values(":hold", row_item::hold(hold))
    }

    /// Says why nothing was taken; `None` where there is no reason any more.
    async fn why(
        &self,
        key: &RowKey,
        wanted: &Wanted,
        item: Option<Item>,
    ) -> Result<Option<Taken>, StorageError> {
        let row = match item {
            Some(item) => Some(row_item::parse(key, &item)?),
            // An endpoint that does not say what is there is asked.
            None => self.get_row(key).await?,
        };
        Ok(match row {
            Some(row) => row.refusal(wanted),
            None => Some(Taken::Absent),
        })
    }

    pub(super) async fn finish_hold(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError> {
        let update = self
            .update(&self.table.client, key)
            .update_expression(
                "SET available = available + :rest, spent = spent + :spent REMOVE holds.#request",
            )
            .condition_expression("holds.#request = :hold")
            .expression_attribute_names("#request", request.as_str())
            .expression_attribute_values(":rest", difference(hold.amount, spent))
            .expression_attribute_values(":spent", number(spent.get()))
            .expression_attribute_values(":hold", row_item::hold(hold))
            .return_values(ReturnValue::AllNew);
        match write("spend from", key, update).await? {
            Wrote::Done(item) => row_item::parse(key, &item).map(Some),
            Wrote::Refused(_) => Ok(None),
        }
    }

    /// Lets an alert have a time if `condition`, which has a time of its own, holds.
    pub(super) async fn put_alert(
        &self,
        key: &RowKey,
        percent: u8,
        until_ms: u64,
        (condition, now_ms): (&str, u64),
    ) -> Result<bool, StorageError> {
        let update = self
            .alert(key, percent, until_ms)
            .condition_expression(condition)
            .expression_attribute_values(":now", number(now_ms));
        let wrote = write("claim an alert of", key, update).await?;
        Ok(matches!(wrote, Wrote::Done(_)))
    }

    pub(super) async fn told_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError> {
        let update = self
            .alert(key, percent, TOLD)
            .condition_expression("attribute_exists(id)");
        write("note an alert of", key, update).await.map(drop)
    }

    fn alert(&self, key: &RowKey, percent: u8, until_ms: u64) -> UpdateItemFluentBuilder {
        self.update(&self.table.client, key)
            .update_expression("SET alerts.#percent = :until")
            .expression_attribute_names("#percent", percent.to_string())
            .expression_attribute_values(":until", number(until_ms))
    }

    fn update(&self, client: &Client, key: &RowKey) -> UpdateItemFluentBuilder {
        client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(row_item::key(key)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

async fn write(
    operation: &'static str,
    key: &RowKey,
    update: UpdateItemFluentBuilder,
) -> Result<Wrote, StorageError> {
    let error = match update.send().await {
        Ok(output) => return Ok(Wrote::Done(output.attributes.unwrap_or_default())),
        Err(error) => error,
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Wrote::Refused(failed.item.clone()))
        }
        _ => Err(fault!(error).during(operation, &key.to_string())),
    }
}

fn busy(key: &RowKey) -> StorageError {
    StorageError::Conflict {
        subject: format!("budget `{key}`"),
    }
}

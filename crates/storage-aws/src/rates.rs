use std::num::NonZeroU32;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_domain::{NoSlot, Rate, Slots};
use llmopt_storage::{RateStore, StorageError};

use crate::{
    Aws,
    error::fault,
    item::{number, number_of, text},
    table::{Item, Table},
};

/// What has been free for so long may be forgotten, in seconds.
const FORGOTTEN: u64 = 3_600;
/// How often a rate may change from idle to busy and back between our looks at it.
const TRIES: u32 = 8;

/// A [`RateStore`] in the table of records: one item each, which says when the first free slot begins.
///
/// A rate in use gives its next slot by one addition, which the condition refuses beyond the burst; of an
/// idle one the slots begin anew. Either is one write, and what is refused says how it is: two are enough
/// unless others change it in between. A write whose answer was lost is done again, which takes a later slot:
/// never one that another has.
pub struct DynamoRateStore {
    table: Table,
}

/// What came of a write.
enum Wrote {
    /// The first free slot begins then now.
    Done(u64),
    /// The condition does not hold: it begins then, or nothing is known of it.
    Refused(Option<u64>),
}

impl DynamoRateStore {
    /// Keeps rates in the table called `table`, whose key is `id` (a text), and whose items end at
    /// `expires` (seconds since 1970).
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self {
            table: Table::new(aws, table),
        }
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id)))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Takes the slots after the last that was taken, which has not passed.
    async fn follow(
        &self,
        id: &str,
        now_us: u64,
        latest_us: u64,
        span_us: u64,
    ) -> Result<Wrote, StorageError> {
        let update = self
            .update(id)
            .update_expression("SET free_us = free_us + :span, expires = :expires")
            .condition_expression("free_us BETWEEN :now AND :latest")
            .expression_attribute_values(":span", number(span_us))
            .expression_attribute_values(":now", number(now_us))
            .expression_attribute_values(":latest", number(latest_us))
            .expression_attribute_values(":expires", expiry(latest_us + span_us));
        self.write(id, update).await
    }

    /// Takes slots from now on, where the last that was taken has passed.
    async fn begin(
        &self,
        id: &str,
        now_us: u64,
        absurd_us: u64,
        span_us: u64,
    ) -> Result<Wrote, StorageError> {
        let free_us = now_us + span_us;
        let update = self
            .update(id)
            .update_expression("SET free_us = :free, expires = :expires")
            .condition_expression(
                "attribute_not_exists(free_us) OR free_us < :now OR free_us > :absurd",
            )
            .expression_attribute_values(":free", number(free_us))
            .expression_attribute_values(":now", number(now_us))
            .expression_attribute_values(":absurd", number(absurd_us))
            .expression_attribute_values(":expires", expiry(free_us));
        self.write(id, update).await
    }

    async fn write(
        &self,
        id: &str,
        update: UpdateItemFluentBuilder,
    ) -> Result<Wrote, StorageError> {
        let error = match update.send().await {
            Ok(output) => {
                let attributes = output.attributes.unwrap_or_default();
                return number_of(&attributes, "free_us", id).map(Wrote::Done);
            }
            Err(error) => error,
        };
        let item = match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => failed.item.clone(),
            _ => return Err(fault!(error).during("take a slot of", id)),
        };
        // An endpoint that does not say what is there is asked.
        let item = match item {
            None => self.table.get(key(id)).await?,
            known => known,
        };
        let free_us = item.map(|item| number_of(&item, "free_us", id));
        free_us.transpose().map(Wrote::Refused)
    }
}

#[async_trait]
impl RateStore for DynamoRateStore {
    async fn take(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
        count: NonZeroU32,
    ) -> Result<Result<Slots, NoSlot>, StorageError> {
        // Where even an idle rate has no room, nobody has to be asked.
        let Slots { end_us, .. } = match rate.take(0, now_us, count) {
            Ok(slots) => slots,
            Err(refused) => return Ok(Err(refused)),
        };
        let span_us = end_us - now_us;
        let latest_us = now_us + rate.span_us(rate.burst.get()) - span_us;
        let absurd_us = rate.absurd_us(now_us);
        let mut is_busy = true;
        for _ in 0..TRIES {
            let wrote = if is_busy {
                self.follow(id, now_us, latest_us, span_us).await?
            } else {
                self.begin(id, now_us, absurd_us, span_us).await?
            };
            match wrote {
                Wrote::Done(end_us) => {
                    let begin_us = end_us.saturating_sub(span_us);
                    return Ok(Ok(Slots { begin_us, end_us }));
                }
                Wrote::Refused(known) => {
                    let free_us = known.unwrap_or_default();
                    if let Err(refused) = rate.take(free_us, now_us, count) {
                        return Ok(Err(refused));
                    }
                    is_busy = (now_us..=absurd_us).contains(&free_us);
                }
            }
        }
        Err(StorageError::Conflict {
            subject: format!("rate `{id}`"),
        })
    }

    async fn hold(&self, id: &str, until_us: u64) -> Result<(), StorageError> {
        let update = self
            .update(id)
            .update_expression("SET free_us = :until, expires = :expires")
            .condition_expression("attribute_not_exists(free_us) OR free_us < :until")
            .expression_attribute_values(":until", number(until_us))
            .expression_attribute_values(":expires", expiry(until_us));
        self.write(id, update).await.map(drop)
    }
}

fn key(id: &str) -> Item {
    Item::from([("id".to_owned(), text(format!("rate#{id}")))])
}

fn expiry(free_us: u64) -> aws_sdk_dynamodb::types::AttributeValue {
    number(free_us / 1_000_000 + FORGOTTEN)
}

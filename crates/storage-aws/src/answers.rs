use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::{
        delete_item::DeleteItemError,
        put_item::PutItemError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    primitives::Blob,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_storage::{AnswerClaim, AnswerStore, Claimed, KeptAnswer, StorageError};

use crate::{
    Aws,
    error::fault,
    item::{damaged, number, number_of, text, text_of},
    table::{Item, Table},
};

/// Bytes of an answer in one item: an item has 400 KB at most.
const PART_BYTES: usize = 300_000;
/// How often what is there may go away between our looks at it.
const TRIES: u32 = 4;

/// An [`AnswerStore`] in a DynamoDB table whose key is `id` (a text), and whose items end at `expires`
/// (seconds since 1970).
///
/// A claim is one item, and an answer the same item, changed by one conditional write. An answer that is too
/// large for it lies in items of its own, which are written before: nobody reads them until the claim's item
/// counts them, and their keys name the claim's holder, so that what a dead process left is no part of another's
/// answer. A write whose answer was lost finds its own holder there when it is tried again.
pub struct DynamoAnswerStore {
    table: Table,
}

impl DynamoAnswerStore {
    /// Keeps answers in the table called `table`.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self::on(Table::new(aws, table))
    }

    pub(crate) fn on(table: Table) -> Self {
        Self { table }
    }

    /// Puts the claim if the id is free for it; else says what is there.
    async fn put_claim(
        &self,
        id: &str,
        claim: &AnswerClaim,
    ) -> Result<Result<(), Option<Item>>, StorageError> {
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(claim_item(id, claim)))
            .condition_expression(condition(claim))
            .set_expression_attribute_values(Some(values(claim)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(Ok(()));
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                // An endpoint that does not say what is there is asked.
                let there = match &failed.item {
                    Some(item) => Some(item.clone()),
                    None => self.table.get(key(id)).await?,
                };
                Ok(Err(there))
            }
            _ => Err(fault!(error).during("claim", id)),
        }
    }

    async fn put_part(&self, id: &str, item: Item) -> Result<(), StorageError> {
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .send()
            .await;
        put.map(drop)
            .map_err(|error| fault!(error).during("finish", id))
    }

    /// Begins a change of the claim of `holder`.
    fn update(&self, id: &str, holder: &str, expression: String) -> UpdateItemFluentBuilder {
        self.table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id)))
            .update_expression(expression)
            .expression_attribute_values(":holder", text(holder))
    }

    async fn change(
        operation: &'static str,
        id: &str,
        update: UpdateItemFluentBuilder,
    ) -> Result<(), StorageError> {
        let Err(error) = update.send().await else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                Err(StorageError::Conflict {
                    subject: format!("answer `{id}`"),
                })
            }
            _ => Err(fault!(error).during(operation, id)),
        }
    }

    /// Says what an item holds.
    async fn there(&self, id: &str, item: &Item) -> Result<Claimed, StorageError> {
        if item.contains_key("finished") {
            return self.finished(id, item).await.map(Claimed::Finished);
        }
        Ok(Claimed::InFlight {
            fingerprint: match item.get("fingerprint") {
                Some(_) => Some(text_of(item, "fingerprint", id)?.to_owned()),
                None => None,
            },
            until_ms: number_of(item, "until_ms", id)?,
        })
    }

    async fn finished(&self, id: &str, item: &Item) -> Result<KeptAnswer, StorageError> {
        let body = match item.get("body") {
            Some(body) => Some(bytes_of(body, id)?.to_vec()),
            None if item.contains_key("parts") => Some(self.parts(id, item).await?),
            None => None,
        };
        Ok(KeptAnswer {
            fingerprint: text_of(item, "fingerprint", id)?.to_owned(),
            body,
            expires_ms: number_of(item, "expires_ms", id)?,
        })
    }

    async fn parts(&self, id: &str, item: &Item) -> Result<Vec<u8>, StorageError> {
        let holder = text_of(item, "holder", id)?;
        let mut body = Vec::new();
        for part in 0..number_of(item, "parts", id)? as usize {
            let part = self.table.get(part_key(id, holder, part)).await?;
            let part = part.as_ref().and_then(|part| part.get("body"));
            body.extend_from_slice(bytes_of(part.ok_or_else(|| damaged("parts", id))?, id)?);
        }
        Ok(body)
    }
}

#[async_trait]
impl AnswerStore for DynamoAnswerStore {
    async fn claim(&self, id: &str, claim: &AnswerClaim) -> Result<Claimed, StorageError> {
        for _ in 0..TRIES {
            let item = match self.put_claim(id, claim).await? {
                Ok(()) => return Ok(Claimed::Granted),
                Err(Some(item)) => item,
                // It was given up meanwhile.
                Err(None) => continue,
            };
            return self.there(id, &item).await;
        }
        Err(StorageError::Unavailable {
            operation: "claim",
            subject: id.to_owned(),
            source: "others claim it and give it up all the time".into(),
        })
    }

    async fn look(&self, id: &str, now_ms: u64) -> Result<Option<Claimed>, StorageError> {
        let Some(item) = self.table.get(key(id)).await? else {
            return Ok(None);
        };
        if number_of(&item, "expires_ms", id)? <= now_ms {
            return Ok(None);
        }
        self.there(id, &item).await.map(Some)
    }

    async fn renew(&self, id: &str, holder: &str, until_ms: u64) -> Result<(), StorageError> {
        let update = self
            .update(id, holder, "SET until_ms = :until".to_owned())
            .condition_expression("holder = :holder AND attribute_not_exists(finished)")
            .expression_attribute_values(":until", number(until_ms));
        Self::change("renew", id, update).await
    }

    async fn finish(
        &self,
        id: &str,
        holder: &str,
        answer: &KeptAnswer,
    ) -> Result<(), StorageError> {
        let body = answer.body.as_deref();
        let (parts, place) = match body {
            None => (0, None),
            Some(body) if body.len() <= PART_BYTES => (0, Some(("body", bytes(body)))),
            Some(body) => {
                let count = body.len().div_ceil(PART_BYTES);
                (count, Some(("parts", number(count as u64))))
            }
        };
        let cut = body.unwrap_or_default().chunks(PART_BYTES).take(parts);
        for (number, part) in cut.enumerate() {
            let mut item = part_key(id, holder, number);
            item.insert("body".to_owned(), bytes(part));
            item.insert("expires".to_owned(), seconds(answer.expires_ms));
            self.put_part(id, item).await?;
        }
        let mut expression =
            "SET finished = :finished, fingerprint = :fingerprint, expires = :expires, expires_ms = :expires_ms"
                .to_owned();
        if let Some((name, _)) = &place {
            expression.push_str(&format!(", {name} = :place"));
        }
        let mut update = self
            .update(id, holder, expression)
            .condition_expression("holder = :holder")
            .expression_attribute_values(":finished", AttributeValue::Bool(true))
            .expression_attribute_values(":fingerprint", text(&answer.fingerprint))
            .expression_attribute_values(":expires", seconds(answer.expires_ms))
            .expression_attribute_values(":expires_ms", number(answer.expires_ms));
        if let Some((_, place)) = place {
            update = update.expression_attribute_values(":place", place);
        }
        Self::change("finish", id, update).await
    }

    async fn release(&self, id: &str, holder: &str) -> Result<(), StorageError> {
        let deleted = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id)))
            .condition_expression("holder = :holder AND attribute_not_exists(finished)")
            .expression_attribute_values(":holder", text(holder))
            .send()
            .await;
        let Err(error) = deleted else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(fault!(error).during("release", id)),
        }
    }
}

/// Says when the id is free for a claim: as [`AnswerClaim::may_follow`] has it.
fn condition(claim: &AnswerClaim) -> String {
    let same = match claim.fingerprint {
        Some(_) => "(attribute_not_exists(fingerprint) OR fingerprint = :fingerprint)",
        None => "attribute_not_exists(fingerprint)",
    };
    format!(
        "attribute_not_exists(id) OR expires_ms <= :now OR (attribute_not_exists(finished) \
         AND (holder = :holder OR (until_ms <= :now AND {same})))"
    )
}

fn values(claim: &AnswerClaim) -> Item {
    let mut values = Item::from([
        (":now".to_owned(), number(claim.now_ms)),
        (":holder".to_owned(), text(&claim.holder)),
    ]);
    if let Some(fingerprint) = &claim.fingerprint {
        values.insert(":fingerprint".to_owned(), text(fingerprint));
    }
    values
}

fn claim_item(id: &str, claim: &AnswerClaim) -> Item {
    let mut item = key(id);
    let mut insert = |name: &str, value| item.insert(name.to_owned(), value);
    insert("holder", text(&claim.holder));
    insert("until_ms", number(claim.until_ms));
    insert("expires_ms", number(claim.expires_ms));
    insert("expires", seconds(claim.expires_ms));
    if let Some(fingerprint) = &claim.fingerprint {
        insert("fingerprint", text(fingerprint));
    }
    item
}

fn key(id: &str) -> Item {
    Item::from([("id".to_owned(), text(format!("answer#{id}")))])
}

fn part_key(id: &str, holder: &str, part: usize) -> Item {
    let id = format!("part#{part}#{holder}#{id}");
    Item::from([("id".to_owned(), text(id))])
}

/// Renders when an item may be removed.
fn seconds(expires_ms: u64) -> AttributeValue {
    number(expires_ms.div_ceil(1_000))
}

fn bytes(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

fn bytes_of<'a>(value: &'a AttributeValue, subject: &str) -> Result<&'a [u8], StorageError> {
    let blob = value.as_b().map_err(|_| damaged("body", subject))?;
    Ok(blob.as_ref())
}

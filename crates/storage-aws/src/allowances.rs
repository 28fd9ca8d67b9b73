use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_storage::{AllowanceStore, StorageError};

use crate::{
    Aws,
    error::fault,
    item::{number, number_of, text, unique},
    table::{Item, Table},
};

const KIND: &str = "allowance";

/// An [`AllowanceStore`] in the table of records: one item each, one conditional update a spend.
pub struct DynamoAllowanceStore {
    table: Table,
    /// Tries nothing twice: a subtraction whose answer was lost would be done twice.
    once: Client,
}

impl DynamoAllowanceStore {
    /// Keeps allowances in the table called `table`, whose key is `id` (a text).
    pub fn new(aws: &Aws, table: &str) -> Self {
        let once = Table::config(aws).retry_config(RetryConfig::disabled());
        Self {
            table: Table::new(aws, table),
            once: Client::from_conf(once.build()),
        }
    }

    /// Checks that the table can be read.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the table.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.table.get(key("-")).await.map(drop)
    }
}

#[async_trait]
impl AllowanceStore for DynamoAllowanceStore {
    async fn open(&self, id: &str, amount: u64) -> Result<(), StorageError> {
        let opening = text(format!("{:016x}", unique()?));
        let mut item = key(id);
        item.insert("available".to_owned(), number(amount));
        item.insert("opening".to_owned(), opening.clone());
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(());
        };
        let there = match error.as_service_error() {
            // An endpoint that does not say what is there is asked.
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match &failed.item {
                Some(item) => Some(item.clone()),
                None => self.table.get(key(id)).await?,
            },
            _ => return Err(fault!(error).during("open", id)),
        };
        // It may be our own try that nobody answered.
        if there.is_some_and(|item| item.get("opening") == Some(&opening)) {
            return Ok(());
        }
        Err(StorageError::RecordExists {
            kind: KIND,
            id: id.to_owned(),
        })
    }

    async fn spend(&self, id: &str, amount: u64) -> Result<Option<u64>, StorageError> {
        let spent = self
            .once
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id)))
            .update_expression("SET available = available - :amount")
            .condition_expression("available >= :amount")
            .expression_attribute_values(":amount", number(amount))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match spent {
            Ok(output) => {
                let attributes = output.attributes.unwrap_or_default();
                number_of(&attributes, "available", id).map(Some)
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    // An endpoint that does not say what is there is asked.
                    match &failed.item {
                        Some(_) => Ok(None),
                        None => self.left(id).await.map(|_| None),
                    }
                }
                _ => Err(fault!(error).during("spend from", id)),
            },
        }
    }

    async fn left(&self, id: &str) -> Result<u64, StorageError> {
        match self.table.get(key(id)).await? {
            Some(item) => number_of(&item, "available", id),
            None => Err(unknown(id)),
        }
    }
}

fn key(id: &str) -> Item {
    Item::from([("id".to_owned(), text(format!("{KIND}#{id}")))])
}

fn unknown(id: &str) -> StorageError {
    StorageError::NoRecord {
        kind: KIND,
        id: id.to_owned(),
    }
}

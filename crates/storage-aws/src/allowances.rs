use async_trait::async_trait;
use aws_sdk_dynamodb::{
    config::retry::RetryConfig,
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_storage::{AllowanceStore, StorageError};

use crate::{
    Aws,
    error::fault,
    item::{number, number_of, text},
    table::{Item, Table},
};

const KIND: &str = "allowance";

/// An [`AllowanceStore`] in the table of records: one item each, one conditional update a spend.
pub struct DynamoAllowanceStore {
    table: Table,
}

impl DynamoAllowanceStore {
    /// Keeps allowances in the table called `table`, whose key is `id` (a text).
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self {
            table: Table::new(aws, table),
        }
    }
}

#[async_trait]
impl AllowanceStore for DynamoAllowanceStore {
    async fn open(&self, id: &str, amount: u64) -> Result<(), StorageError> {
        let mut item = key(id);
        item.insert("available".to_owned(), number(amount));
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    Err(StorageError::RecordExists {
                        kind: KIND,
                        id: id.to_owned(),
                    })
                }
                _ => Err(fault!(error).during("open", id)),
            },
        }
    }

    async fn spend(&self, id: &str, amount: u64) -> Result<Option<u64>, StorageError> {
        // A subtraction that is tried again is done twice where only its answer was lost.
        let once =
            aws_sdk_dynamodb::config::Config::builder().retry_config(RetryConfig::disabled());
        let spent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id)))
            .update_expression("SET available = available - :amount")
            .condition_expression("available >= :amount")
            .expression_attribute_values(":amount", number(amount))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .config_override(once)
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

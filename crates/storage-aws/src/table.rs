use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use llmopt_storage::StorageError;

use crate::{Aws, error::fault};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A DynamoDB table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    pub(crate) fn new(aws: &Aws, name: &str) -> Self {
        Self {
            client: Client::new(aws.config()),
            name: name.to_owned(),
        }
    }

    /// Reads an item as it is now; `None` where there is none.
    pub(crate) async fn get(&self, key: Item) -> Result<Option<Item>, StorageError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await;
        let got = got.map_err(|error| fault!(error).during("read", &self.name))?;
        Ok(got.item)
    }
}

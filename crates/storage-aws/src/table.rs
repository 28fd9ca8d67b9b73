use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
    types::AttributeValue,
};
use llmopt_storage::StorageError;

use crate::{Aws, aws::CONNECT, error::fault};

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
            client: Client::from_conf(Self::config(aws).build()),
            name: name.to_owned(),
        }
    }

    /// Answers of a table are small: one that takes long is lost, and a claim may hang on the next.
    pub(crate) fn config(aws: &Aws) -> Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(Duration::from_secs(5))
            .operation_timeout(Duration::from_secs(20))
            .build();
        Builder::from(aws.config()).timeout_config(timeouts)
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

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
};
use llmopt_commercial::Commercial;
use llmopt_commercial_setup::{SecretKeys, SetupError, Sources, commercial};
use llmopt_config::{ConfigError, Settings, variables};
use llmopt_providers::KeySource;
use llmopt_storage::StorageError;
use llmopt_storage_aws::{Aws, DynamoRateStore, DynamoSpendStore};
use thiserror::Error;

use crate::{SecretKey, alerts::topics, prices::BucketPrices};

/// Why commercial models cannot be asked.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A resource is not named.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings do not go together.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Commercial models over an account.
pub struct Account {
    /// Who is asked.
    pub commercial: Commercial,
    spend: Arc<DynamoSpendStore>,
    prices: Arc<BucketPrices>,
}

/// Reads keys from Secrets Manager.
struct Secrets(Aws);

impl SecretKeys for Secrets {
    fn key_source(&self, secret: &str) -> Arc<dyn KeySource> {
        Arc::new(SecretKey::new(&self.0, secret))
    }
}

impl Account {
    /// Opens commercial models: budgets in the table of records, turns in that of rates, keys in secrets, prices as new
    /// as the bucket's, alerts to the topic. Nothing is read yet.
    ///
    /// # Errors
    /// If a table or the bucket is not named, or the settings of a provider cannot be used.
    pub fn open(aws: &Aws, settings: &Settings) -> Result<Self, OpenError> {
        let records = settings.need(&variables::RECORDS_TABLE)?;
        let rates = settings.need(&variables::RATES_TABLE)?;
        let bucket = settings.need(&variables::BUCKET)?;
        let spend = Arc::new(DynamoSpendStore::new(aws, records));
        let sources = Sources {
            spend: Arc::<DynamoSpendStore>::clone(&spend),
            rates: Arc::new(DynamoRateStore::new(aws, rates)),
            secrets: Some(Arc::new(Secrets(aws.clone()))),
            alerts: topics(aws, settings.alert_topic.as_deref()),
        };
        let commercial = commercial(settings, sources)?;
        let prices = BucketPrices::new(aws, bucket, commercial.prices().clone());
        Ok(Self {
            commercial,
            spend,
            prices: Arc::new(prices),
        })
    }

    /// Sees that budgets can be read, and has the bucket's prices hold.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn check(&self) -> Result<(), StorageError> {
        let (budgets, ()) = tokio::join!(self.spend.check(), self.prices.refresh());
        budgets
    }

    /// Has newer prices looked for, where that is due.
    pub async fn look_for_newest_prices(&self) {
        self.prices.refresh().await;
    }

    /// Has newer prices looked for before a request is answered, where that is due: a function that waits for its next
    /// request does nothing.
    pub fn with_newest_prices(&self, routes: Router) -> Router {
        let prices = Arc::clone(&self.prices);
        routes.layer(from_fn(move |request: Request, next: Next| {
            let prices = Arc::clone(&prices);
            async move {
                prices.refresh().await;
                next.run(request).await
            }
        }))
    }
}

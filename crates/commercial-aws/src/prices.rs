use std::time::Duration;

use llmopt_commercial::PriceBook;
use llmopt_commercial_setup::PriceRefresh;
use llmopt_domain::{ObjectKey, error_chain};
use llmopt_storage_aws::{Aws, Newer, S3Object};
use tokio::{sync::Mutex, time::Instant};

/// How often the bucket is looked at.
const EVERY: Duration = Duration::from_secs(300);

/// The prices in a bucket, which take the place of older ones.
pub(crate) struct BucketPrices {
    object: S3Object,
    prices: PriceRefresh,
    looked: Mutex<Looked>,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    /// What was there.
    tag: Option<String>,
}

impl BucketPrices {
    /// Keeps `book` as new as `prices/prices.json` of the bucket called `bucket`.
    pub(crate) fn new(aws: &Aws, bucket: &str, book: PriceBook) -> Self {
        Self {
            object: S3Object::new(aws, bucket, ObjectKey::prices()),
            prices: PriceRefresh::new(book),
            looked: Mutex::default(),
        }
    }

    /// Looks at the bucket, if nobody has for five minutes. A table that is broken or cannot be read is an error in
    /// the log, and the present one holds.
    pub(crate) async fn refresh(&self) {
        let mut looked = self.looked.lock().await;
        if looked.at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        looked.at = Some(Instant::now());
        match self.object.newer(looked.tag.as_deref()).await {
            Ok(Newer::Changed { bytes, tag }) => {
                looked.tag = Some(tag);
                self.prices.offer(&bytes);
            }
            Ok(Newer::Same) => {}
            Ok(Newer::Absent) => looked.tag = None,
            Err(error) => tracing::error!(
                error = error_chain(&error),
                "the bucket's table of prices cannot be read: the present one holds"
            ),
        }
    }
}

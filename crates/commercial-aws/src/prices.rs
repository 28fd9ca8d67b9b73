use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
};
use llmopt_commercial::PriceBook;
use llmopt_domain::{ObjectKey, error_chain};
use llmopt_prices::PriceTable;
use llmopt_storage_aws::{Aws, Newer, S3Object};
use tokio::{sync::Mutex, time::Instant};

/// How often the bucket is looked at.
const EVERY: Duration = Duration::from_secs(300);

/// The prices in a bucket, which take the place of older ones.
pub struct BucketPrices {
    object: S3Object,
    book: PriceBook,
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
    pub fn new(aws: &Aws, bucket: &str, book: PriceBook) -> Self {
        Self {
            object: S3Object::new(aws, bucket, ObjectKey::prices()),
            book,
            looked: Mutex::default(),
        }
    }

    /// Looks at the bucket, if nobody has for five minutes. A table that is broken or cannot be read is an error in
    /// the log, and the present one holds.
    pub async fn refresh(&self) {
        let mut looked = self.looked.lock().await;
        if looked.at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        looked.at = Some(Instant::now());
        match self.object.newer(looked.tag.as_deref()).await {
            Ok(Newer::Changed { bytes, tag }) => {
                looked.tag = Some(tag);
                take(&self.book, &bytes);
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

/// Has a table of prices hold, if it is one and not older than the present one; the log says what came of it.
fn take(book: &PriceBook, bytes: &[u8]) {
    let table = match PriceTable::parse(bytes) {
        Ok(table) => table,
        Err(error) => {
            tracing::error!(
                error = error_chain(&error),
                "the bucket's table of prices is refused: the present one holds"
            );
            return;
        }
    };
    let date = table.version().date.to_string();
    if book.replace(table) {
        tracing::info!(date, "the bucket's table of prices holds");
    } else {
        let present = book.current().version().date.to_string();
        tracing::warn!(
            date,
            present,
            "the bucket's table of prices is older than the present one, which holds"
        );
    }
}

/// Looks for newer prices before requests are answered, where that is due: a function that waits for its next
/// request does nothing.
pub fn with_newest_prices(routes: Router, prices: BucketPrices) -> Router {
    let prices = Arc::new(prices);
    routes.layer(from_fn(move |request: Request, next: Next| {
        let prices = Arc::clone(&prices);
        async move {
            prices.refresh().await;
            next.run(request).await
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table that programs are built with, as of another day.
    fn table(date: &str) -> Vec<u8> {
        let text = include_str!("../../prices/prices.json");
        let (_, rest) = text.split_once("\"date\": \"").unwrap();
        let present = &rest[..date.len()];
        text.replacen(present, date, 1).into_bytes()
    }

    #[test]
    fn a_newer_table_holds_and_an_older_or_broken_one_does_not() {
        let book = PriceBook::new(PriceTable::embedded().unwrap());
        let before = book.current().version().clone();
        for refused in [table("2026-10-01"), b"{}".to_vec(), Vec::new()] {
            take(&book, &refused);
            assert_eq!(*book.current().version(), before);
        }
        take(&book, &table("2099-01-01"));
        assert_eq!(book.current().version().date.to_string(), "2099-01-01");
        assert_ne!(book.current().version().digest, before.digest);
    }
}

//! Logs that are deleted while others write to them, or not to the end.

use std::sync::atomic::AtomicBool;

use super::{faulty::*, *};

fn bodies(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A log of seven appends.
async fn filled(logs: &DynamoEventLog, log: &str) {
    for number in 0..7 {
        let body = bodies(number..number + 1);
        logs.append(log, number, &body).await.unwrap();
    }
}

fn dying(write: u64) -> Aws {
    let writes = AtomicU64::new(0);
    let is_write = |request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest| {
        let target = request.headers().get("x-amz-target").unwrap();
        !target.ends_with("Query") && !target.ends_with("GetItem")
    };
    let is_dead = AtomicBool::new(false);
    let (aws, _) = Faulty::on(move |_, request| {
        if is_write(request) && writes.fetch_add(1, Ordering::SeqCst) >= write {
            is_dead.store(true, Ordering::SeqCst);
        }
        is_dead.load(Ordering::SeqCst).then_some(Instead::Dead)
    });
    aws.without_retries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_deletion_dies_at_any_write_is_deleted_or_begun_anew() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = events_table(&aws(), root.path());
    let logs = DynamoEventLog::new(&aws(), &table);
    for write in 0.. {
        assert!(write < 50, "a deletion does not end");
        let (one, two) = (format!("one-{write}"), format!("two-{write}"));
        filled(&logs, &one).await;
        filled(&logs, &two).await;
        let deleted = DynamoEventLog::new(&dying(write), &table)
            .delete(&one)
            .await;
        let _ = DynamoEventLog::new(&dying(write), &table)
            .delete(&two)
            .await;
        // It is there as before, or at its beginning: never at its old end without its entries.
        let last = logs.last(&one).await.unwrap();
        assert_eq!(last, if write == 0 { 7 } else { 0 }, "at write {write}");
        if write > 0 {
            let late = logs.append(&one, 7, &bodies(7..8)).await;
            assert!(
                matches!(late, Err(StorageError::Conflict { .. })),
                "{late:?}"
            );
            assert_eq!(logs.append(&one, 0, &bodies(20..22)).await.unwrap(), 2);
            let entries = logs.read(&one, 0, 99).await.unwrap();
            let found: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
            assert_eq!(found, [1, 2], "at write {write}");
        }
        logs.delete(&two).await.unwrap();
        assert_eq!(logs.read(&two, 0, 99).await.unwrap(), []);
        assert_eq!(logs.last(&two).await.unwrap(), 0);
        if deleted.is_ok() {
            assert!(write > 8, "no write of a deletion was cut");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_while_others_append_has_no_gaps() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = events_table(&aws(), root.path());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let logs = DynamoEventLog::new(&aws(), &table);
        tasks.spawn(async move {
            for _ in 0..40 {
                let last = logs.last("job").await.unwrap();
                match logs.append("job", last, &bodies(0..2)).await {
                    Ok(_) | Err(StorageError::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    for _ in 0..2 {
        let logs = DynamoEventLog::new(&aws(), &table);
        tasks.spawn(async move {
            for _ in 0..10 {
                logs.delete("job").await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let logs = DynamoEventLog::new(&aws(), &table);
    let last = logs.last("job").await.unwrap();
    let entries = logs.read("job", 0, u32::MAX).await.unwrap();
    let found: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(found, (1..=last).collect::<Vec<_>>());
    logs.delete("job").await.unwrap();
    assert_eq!(logs.read("job", 0, 9).await.unwrap(), []);
}

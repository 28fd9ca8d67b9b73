use std::{path::Path, sync::Arc};

use tokio::task::JoinSet;

use super::{only_winner, root};
use crate::{EventLog, LogEntry, StorageError};

/// Opens the logs that live below a folder; opening them twice is another process, or a restart.
pub type OpenLogs = fn(&Path) -> Arc<dyn EventLog>;

/// Generates the suite of [`EventLog`] as tests of the calling module; `$open` is an
/// [`OpenLogs`](crate::conformance::OpenLogs).
#[macro_export]
macro_rules! event_log_conformance {
    ($open:expr) => {
        $crate::conformance_cases!($open;
            entries_are_numbered_from_one_and_read_in_order
            appending_where_a_log_does_not_end_adds_nothing
            exactly_one_of_a_hundred_concurrent_appends_wins
            logs_are_apart_and_deleted_alone
            a_restart_keeps_every_entry
        );
    };
}

fn bodies(range: std::ops::Range<u64>) -> Vec<String> {
    range
        .map(|number| format!("{{\"it's\":{number}}}"))
        .collect()
}

fn entries(range: std::ops::Range<u64>) -> Vec<LogEntry> {
    let entry = |number| LogEntry {
        sequence: number,
        body: format!("{{\"it's\":{number}}}"),
    };
    range.map(entry).collect()
}

async fn read(logs: &Arc<dyn EventLog>, log: &str, after: u64, limit: u32) -> Vec<LogEntry> {
    let found = logs.read(log, after, limit).await;
    found.expect("a log can be read")
}

/// Numbers have no gaps, across calls and where a call appends nothing.
pub async fn entries_are_numbered_from_one_and_read_in_order(open: OpenLogs) {
    let root = root();
    let logs = open(root.path());
    assert_eq!(logs.last("job").await.expect("read"), 0);
    assert_eq!(
        logs.append("job", 0, &bodies(1..4)).await.expect("empty"),
        3
    );
    assert_eq!(logs.append("job", 3, &[]).await.expect("it ends there"), 3);
    assert_eq!(
        logs.append("job", 3, &bodies(4..12))
            .await
            .expect("it ends there"),
        11
    );
    assert_eq!(logs.last("job").await.expect("read"), 11);
    assert_eq!(read(&logs, "job", 0, 100).await, entries(1..12));
    assert_eq!(read(&logs, "job", 3, 4).await, entries(4..8));
    assert_eq!(read(&logs, "job", 11, 4).await, []);
    assert_eq!(read(&logs, "job", 5, 0).await, []);
}

/// A repeated or a late append is found out.
pub async fn appending_where_a_log_does_not_end_adds_nothing(open: OpenLogs) {
    let root = root();
    let logs = open(root.path());
    logs.append("job", 0, &bodies(1..3)).await.expect("empty");
    for elsewhere in [0, 1, 3] {
        let result = logs.append("job", elsewhere, &bodies(1..3)).await;
        assert!(
            matches!(result, Err(StorageError::Conflict { .. })),
            "{elsewhere}: {result:?}"
        );
    }
    assert_eq!(read(&logs, "job", 0, 100).await, entries(1..3));
}

/// Two writers do not mix.
pub async fn exactly_one_of_a_hundred_concurrent_appends_wins(open: OpenLogs) {
    let root = root();
    let mut tasks = JoinSet::new();
    for writer in 0..100 {
        let logs = open(root.path());
        let body = vec![format!("{writer} a"), format!("{writer} b")];
        tasks.spawn(async move {
            logs.append("job", 0, &body)
                .await
                .map(|last| (writer, last))
        });
    }
    let (winner, last) = only_winner(tasks.join_all().await, |error| {
        matches!(error, StorageError::Conflict { .. })
    });
    assert_eq!(last, 2);
    let found = read(&open(root.path()), "job", 0, 100).await;
    let found: Vec<String> = found.into_iter().map(|entry| entry.body).collect();
    assert_eq!(found, [format!("{winner} a"), format!("{winner} b")]);
}

/// A log knows nothing of others.
pub async fn logs_are_apart_and_deleted_alone(open: OpenLogs) {
    let root = root();
    let logs = open(root.path());
    logs.append("one", 0, &bodies(1..4)).await.expect("empty");
    logs.append("one%", 0, &bodies(1..3)).await.expect("empty");
    logs.delete("one").await.expect("deleted");
    logs.delete("one").await.expect("deleting twice is fine");
    assert_eq!(logs.last("one").await.expect("read"), 0);
    assert_eq!(read(&logs, "one", 0, 9).await, []);
    assert_eq!(read(&logs, "one%", 0, 9).await, entries(1..3));
    assert_eq!(
        logs.append("one", 0, &bodies(1..2)).await.expect("empty"),
        1
    );
}

/// What was acknowledged is there after a restart.
pub async fn a_restart_keeps_every_entry(open: OpenLogs) {
    let root = root();
    let logs = open(root.path());
    logs.append("job", 0, &bodies(1..4)).await.expect("empty");
    drop(logs);
    let logs = open(root.path());
    assert_eq!(read(&logs, "job", 0, 9).await, entries(1..4));
    assert_eq!(
        logs.append("job", 3, &bodies(4..5))
            .await
            .expect("it ends there"),
        4
    );
}

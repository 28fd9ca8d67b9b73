use std::{
    io,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use tokio::time::timeout;

use super::*;

const RESERVATION: &str = r#"{"format":1,"request":"r1","version":1,"created_ms":1,"expires_ms":9,"day":"1970-01-01",
    "bound":10,"rows":[],"asked":{"key":"k","model":"gpt","provider":"openai","price_version":"7"},"state":"pending","forget_ms":null}"#;
const ENTRY: &str = r#"{"format":1,"request":"r1","day":"1970-01-01","reserved_ms":1,"settled_ms":2,"asked":{"key":"k",
    "model":"gpt","provider":"openai","price_version":"7"},"bound":10,"cost":3,"usage":{},"basis":"measured","attempts":[],"rows":[]}"#;

fn open(root: &Path) -> Arc<dyn SpendStore> {
    let path = root.join(SqliteSpendStore::FILE_NAME);
    Arc::new(SqliteSpendStore::open(&path).unwrap())
}

llmopt_storage::spend_store_conformance!(open);

#[tokio::test]
async fn several_steps_are_done_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reservation = reservation("r1");
    let sent = store.begin_sent(&reservation, &[]).await.unwrap().unwrap();
    sent.lasting.await.unwrap();
    let sent = sent.reservation;
    let entry = entry("r1");
    let closed = store.settle_closed(&sent, &entry, 99).await.unwrap();
    assert_eq!(closed.unwrap().reservation.forget_ms, Some(99));
}

#[tokio::test]
async fn what_is_closed_is_forgotten_in_time_beside_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteSpendStore::FILE_NAME);
    let store = SqliteSpendStore::open_as(&path, Synchronous::Normal).unwrap();
    store.begin(&reservation("open")).await.unwrap();
    for number in 0..20 {
        let name = format!("closed{number}");
        let sent = store.begin_sent(&reservation(&name), &[]).await;
        let sent = sent.unwrap().unwrap().reservation;
        let closed = store.settle_closed(&sent, &entry(&name), 99).await;
        closed.unwrap().unwrap();
    }
    let names = || {
        let select =
            "SELECT group_concat(request) FROM (SELECT request FROM reservations ORDER BY rowid)";
        let work = move |transaction: &Transaction<'_>| {
            Ok(transaction.query_row(select, [], |row| row.get::<_, String>(0))?)
        };
        store.database.read("list", "reservations", work)
    };
    let begun = |number: u32, created_ms| {
        let mut new = reservation(&format!("new{number}"));
        new.created_ms = created_ms;
        let store = &store;
        async move { store.begin(&new).await.unwrap() }
    };
    begun(0, 98).await;
    assert_eq!(names().await.unwrap().split(',').count(), 22);
    for number in 1..=7 {
        begun(number, 99).await;
    }
    assert_eq!(
        names().await.unwrap(),
        "open,new0,new1,new2,new3,new4,new5,new6,new7"
    );
}

/// What SQLite has `synchronous` at since the last write: 1 is `NORMAL`, 2 is `FULL`.
async fn mode(store: &SqliteSpendStore) -> u8 {
    let work = |transaction: &Transaction<'_>| {
        Ok(transaction.pragma_query_value(None, "synchronous", |row| row.get(0))?)
    };
    store.database.read("read", "the mode", work).await.unwrap()
}

fn reservation(request: &str) -> Reservation {
    let json = RESERVATION.replace("r1", request);
    serde_json::from_str(&json).unwrap()
}

fn entry(request: &str) -> LedgerEntry {
    serde_json::from_str(&ENTRY.replace("r1", request)).unwrap()
}

/// Writes in each way; returns how each reached the disk.
async fn modes(lasting: Synchronous) -> Vec<(&'static str, u8)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteSpendStore::FILE_NAME);
    let store = SqliteSpendStore::open_as(&path, lasting).unwrap();
    let mut modes = Vec::new();
    let sent = store.begin_sent(&reservation("r1"), &[]).await;
    let sent = sent.unwrap().unwrap();
    assert_eq!(sent.lasting.is_over(), lasting == Synchronous::Normal);
    modes.push(("reserve at once", mode(&store).await));
    let closed = store
        .settle_closed(&sent.reservation, &entry("r1"), 99)
        .await;
    assert!(closed.unwrap().is_some());
    modes.push(("settle at once", mode(&store).await));
    let pending = reservation("r2");
    assert_eq!(store.begin(&pending).await.unwrap(), None);
    modes.push(("begin", mode(&store).await));
    let entry = Box::new(entry("r2"));
    for (name, step) in [
        ("open", Step::Open { holds: Vec::new() }),
        ("send", Step::Send),
        ("settle", Step::Settle { entry }),
        ("close", Step::Close { forget_ms: 99 }),
    ] {
        store.change(&pending, &step).await.unwrap().unwrap();
        modes.push((name, mode(&store).await));
    }
    modes
}

#[tokio::test]
async fn what_is_about_to_be_sent_is_on_the_disk_and_its_settlement_follows() {
    let expected = [
        // It is waited for beside this.
        ("reserve at once", 1),
        ("settle at once", 1),
        ("begin", 1),
        ("open", 1),
        ("send", 2),
        // What is above its bound is settled so, which no sweep would find again.
        ("settle", 2),
        ("close", 1),
    ];
    assert_eq!(modes(Synchronous::Full).await, expected);
    let all_normal = modes(Synchronous::Normal).await;
    assert!(
        all_normal.iter().all(|(_, mode)| *mode == 1),
        "{all_normal:?}"
    );
}

#[tokio::test]
async fn what_the_disk_is_waited_for_is_beside_what_a_link_leads_to() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join(SqliteSpendStore::FILE_NAME);
    let real = elsewhere.path().join("real.db");
    std::os::unix::fs::symlink(&real, &path).unwrap();
    let store = SqliteSpendStore::open(&path).unwrap();
    let expected = elsewhere.path().canonicalize().unwrap().join("real.db-wal");
    assert_eq!(store.database.written_ahead(), expected);
    let sent = store.begin_sent(&reservation("r1"), &[]).await;
    sent.unwrap().unwrap().lasting.await.unwrap();
}

/// The file would be another if it were removed and made anew, and the disk would be waited for in vain.
#[tokio::test]
async fn what_the_disk_is_waited_for_is_what_is_written_whoever_else_has_the_database() {
    use std::os::unix::fs::MetadataExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteSpendStore::FILE_NAME);
    let store = SqliteSpendStore::open(&path).unwrap();
    let file = || std::fs::metadata(store.database.written_ahead()).unwrap();
    let (before, mut most) = (file().ino(), 0);
    for number in 0..3 {
        let another = SqliteSpendStore::open(&path).unwrap();
        let wanted = reservation(&format!("r{number}"));
        let sent = another.begin_sent(&wanted, &[]).await;
        sent.unwrap().unwrap().lasting.await.unwrap();
        most = most.max(file().len());
        let truncate = |transaction: &Transaction<'_>| {
            let path = transaction.path().unwrap_or_default();
            let connection = rusqlite::Connection::open(path)?;
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            Ok(connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0))?)
        };
        drop(another);
        let is_busy = store.database.read("read", "the file", truncate);
        assert_eq!(is_busy.await.unwrap(), 0);
        assert_eq!((file().ino(), file().len()), (before, 0));
    }
    assert!(most > 0);
}

/// Makes a store whose disk is waited for with `sync`.
fn open_with(
    root: &Path,
    sync: impl FnMut() -> io::Result<()> + Send + 'static,
) -> SqliteSpendStore {
    let path = root.join(SqliteSpendStore::FILE_NAME);
    SqliteSpendStore {
        flusher: Some(Flusher::start_with("spending.db-wal".to_owned(), sync).unwrap()),
        ..SqliteSpendStore::open(&path).unwrap()
    }
}

#[tokio::test]
async fn a_reservation_lasts_when_the_disk_has_it_and_others_share_a_transaction_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, begins) = sync_channel(0);
    let (end, ends) = sync_channel(0);
    let store = open_with(folder.path(), move || {
        begun.send(()).unwrap();
        ends.recv().unwrap();
        Ok(())
    });
    let first = store.begin_sent(&reservation("r1"), &[]).await;
    let mut first = first.unwrap().unwrap().lasting;
    begins.recv().unwrap();
    // It is there for everybody already.
    let there = store.reservation(&reservation("r1").request).await;
    assert!(there.unwrap().is_some());
    let second = store.begin_sent(&reservation("r2"), &[]).await;
    assert!(second.unwrap().unwrap().lasting.is_over());
    assert_eq!(mode(&store).await, 2);
    assert!(
        timeout(Duration::from_millis(20), &mut first)
            .await
            .is_err()
    );
    end.send(()).unwrap();
    first.await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_that_a_disk_may_lose_which_has_lost_something() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), || Err(io::Error::other("EIO")));
    let sent = store.begin_sent(&reservation("r1"), &[]).await;
    let sent = sent.unwrap().unwrap();
    sent.lasting.await.unwrap_err();
    // Which was not sent, then.
    let closed = store
        .settle_closed(&sent.reservation, &entry("r1"), 99)
        .await;
    assert!(closed.unwrap().is_some());
    let refused = store.begin_sent(&reservation("r2"), &[]).await;
    assert!(matches!(refused, Err(StorageError::Internal { .. })));
    let pending = reservation("r3");
    assert_eq!(store.begin(&pending).await.unwrap(), None);
    let holds = Vec::new();
    let opened = store.change(&pending, &Step::Open { holds }).await;
    opened.unwrap().unwrap();
    let refused = store.change(&pending, &Step::Send).await;
    assert!(matches!(refused, Err(StorageError::Internal { .. })));
}

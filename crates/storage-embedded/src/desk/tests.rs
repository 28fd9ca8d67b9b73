use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{channel, sync_channel},
    },
    thread,
    time::Duration,
};

use futures::FutureExt as _;
use llmopt_storage::StorageError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::time::timeout;

use super::{Call, Desk, Done, Job, Kind, put_in_place};
use crate::database::{Database, RATES, SqlFailure, Synchronous};

const WHAT: (&str, &str) = ("note", "a name");

/// What comes later than that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the database has in its place, in bytes.
fn size(folder: &tempfile::TempDir) -> u64 {
    let path = folder.path().join("rates.db");
    std::fs::metadata(path).unwrap().len()
}

fn open(folder: &tempfile::TempDir) -> Database {
    Database::open_as(&folder.path().join("rates.db"), &RATES).unwrap()
}

fn add(transaction: &Transaction<'_>, name: &str) -> Result<(), SqlFailure> {
    let insert = "INSERT INTO rates (id, free_us) VALUES (?1, 0)";
    transaction.execute(insert, [name])?;
    Ok(())
}

fn count(transaction: &Transaction<'_>) -> Result<u64, SqlFailure> {
    let select = "SELECT count(*) FROM rates";
    Ok(transaction.query_row(select, [], |row| row.get(0))?)
}

/// Adds `name`, and returns the name of the thread that did.
async fn thread_of_adding(database: &Database, synchronous: Synchronous, name: &str) -> String {
    let name = name.to_owned();
    let work = move |transaction: &Transaction<'_>| {
        add(transaction, &name)?;
        Ok(thread::current().name().unwrap_or_default().to_owned())
    };
    database.write_as(synchronous, WHAT, work).await.unwrap()
}

async fn thread_of_counting(database: &Database) -> String {
    let work = |transaction: &Transaction<'_>| {
        count(transaction)?;
        Ok(thread::current().name().unwrap_or_default().to_owned())
    };
    database.look_up("count", "rates", work).await.unwrap()
}

#[tokio::test]
async fn what_is_short_and_waits_for_nothing_is_done_by_whoever_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    let here = thread::current().name().unwrap().to_owned();
    assert_eq!(thread_of_counting(&database).await, here);
    let of = |name| thread_of_adding(&database, Synchronous::Normal, name);
    assert_eq!(of("first").await, "sqlite", "it begins the log on the disk");
    assert_eq!(of("second").await, here);
    assert_eq!(of("third").await, here);
    let full = thread_of_adding(&database, Synchronous::Full, "fourth").await;
    assert_eq!(full, "sqlite", "it would hold up all tasks of this thread");
    let counted = database.read("count", "rates", count).await.unwrap();
    assert_eq!(counted, 4);
}

#[tokio::test]
async fn whoever_finds_the_database_in_use_waits_without_holding_up_others() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    thread_of_adding(&database, Synchronous::Normal, "first").await;
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    let holds = database.write("hold", "rates", move |_| {
        begun.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    });
    let mut holds = Box::pin(holds);
    assert!((&mut holds).now_or_never().is_none());
    has_begun.recv().unwrap();
    let mut adds = Box::pin(thread_of_adding(&database, Synchronous::Normal, "second"));
    let mut counts = Box::pin(thread_of_counting(&database));
    assert!((&mut adds).now_or_never().is_none());
    assert!((&mut counts).now_or_never().is_none());
    release.send(()).unwrap();
    holds.await.unwrap();
    assert_eq!(adds.await, "sqlite");
    assert_eq!(counts.await, "sqlite");
}

#[tokio::test]
async fn whoever_finds_another_process_at_it_waits_without_holding_up_others() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    thread_of_adding(&database, Synchronous::Normal, "first").await;
    let mut other = Connection::open(folder.path().join("rates.db")).unwrap();
    let behavior = TransactionBehavior::Immediate;
    let kept = other.transaction_with_behavior(behavior).unwrap();
    let mut adds = Box::pin(thread_of_adding(&database, Synchronous::Normal, "second"));
    assert!((&mut adds).now_or_never().is_none());
    drop(kept);
    assert_eq!(adds.await, "sqlite");
}

#[tokio::test]
async fn what_fails_or_breaks_here_leaves_nothing_and_the_database_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    thread_of_adding(&database, Synchronous::Normal, "first").await;
    let fails = |transaction: &Transaction<'_>| {
        add(transaction, "second")?;
        add(transaction, "first")
    };
    let failed = database.write_as(Synchronous::Normal, WHAT, fails).await;
    assert!(
        matches!(failed, Err(StorageError::Internal { .. })),
        "{failed:?}"
    );
    let breaks = |transaction: &Transaction<'_>| -> Result<(), SqlFailure> {
        add(transaction, "second")?;
        panic!("on purpose");
    };
    let broken = database.write_as(Synchronous::Normal, WHAT, breaks).await;
    assert!(broken.unwrap_err().to_string().contains("`a name`"));
    thread_of_adding(&database, Synchronous::Normal, "second").await;
    let counted = database.look_up("count", "rates", count).await.unwrap();
    assert_eq!(counted, 2);
}

/// What SQLite has `synchronous` at: 1 is `NORMAL`, 2 is `FULL`.
fn mode(transaction: &Transaction<'_>) -> Result<u8, SqlFailure> {
    Ok(transaction.pragma_query_value(None, "synchronous", |row| row.get(0))?)
}

#[tokio::test]
async fn what_is_done_together_is_as_lasting_as_the_most_lasting_of_it_and_what_follows_as_it_asks()
{
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    // The first holds the thread until the others wait for it, and so go together.
    let first = database.write("hold", "rates", move |it| {
        begun.send(()).unwrap();
        released.recv().unwrap();
        mode(it)
    });
    let mut first = Box::pin(first);
    assert!((&mut first).now_or_never().is_none());
    has_begun.recv().unwrap();
    let normal = database.write_as(Synchronous::Normal, WHAT, mode);
    let full = database.write_as(Synchronous::Full, WHAT, mode);
    let release = async { release.send(()).unwrap() };
    let (normal, full, ()) = tokio::join!(normal, full, release);
    let modes = [first.await, normal, full].map(Result::unwrap);
    assert_eq!(modes, [1, 2, 2]);
    let after = database.write_as(Synchronous::Normal, WHAT, mode).await;
    assert_eq!(after.unwrap(), 1);
}

#[tokio::test]
async fn what_was_written_here_is_put_in_its_place_when_there_is_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    let before = size(&folder);
    for nth in 0..500 {
        thread_of_adding(&database, Synchronous::Normal, &format!("name-{nth}")).await;
    }
    let grows = async {
        while size(&folder) == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, grows).await.unwrap();
}

#[tokio::test]
async fn what_is_written_without_a_pause_is_put_in_its_place_too() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    let before = size(&folder);
    // More than is written ahead: each name fills a page.
    let much = |transaction: &Transaction<'_>| {
        let insert =
            "WITH RECURSIVE nth(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM nth WHERE n < 10000)
                      INSERT INTO rates (id, free_us) SELECT n || hex(zeroblob(2000)), 0 FROM nth";
        Ok(transaction.execute(insert, []).map(drop)?)
    };
    database.write("note", "names", much).await.unwrap();
    let grows = async {
        let mut nth = 0;
        while size(&folder) == before {
            thread_of_adding(&database, Synchronous::Normal, &format!("name-{nth}")).await;
            nth += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, grows).await.unwrap();
}

#[test]
fn nobody_waits_while_much_is_put_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.db");
    drop(open(&folder));
    let (tidier, calls) = sync_channel(1);
    let connection = Connection::open(&path).unwrap();
    let desk = Desk::new(connection, Duration::from_secs(1), tidier).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let adding = |name: &'static str| {
        let told = Arc::clone(&told);
        Job {
            kind: Kind::Write(Synchronous::Normal),
            run: Box::new(move |transaction| {
                add(transaction.unwrap(), name).unwrap();
                let tell = move |committed: Result<(), _>| {
                    committed.unwrap();
                    told.fetch_add(1, Ordering::Relaxed);
                };
                Done {
                    is_kept: true,
                    tell: Box::new(tell),
                }
            }),
        }
    };
    desk.announce();
    desk.do_together(adding("first"), iter::empty());
    assert!(matches!(calls.try_recv(), Ok(Call::Look)));
    desk.tidy(|| {
        assert!(desk.do_here(adding("meanwhile")).is_none());
        put_in_place(&Connection::open(&path).unwrap());
    });
    assert_eq!(told.load(Ordering::Relaxed), 2);
    assert!(
        desk.do_here(adding("anew")).is_some(),
        "all is in its place"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_done_twice_where_many_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(open(&folder));
    let tasks = (0..8).map(|task| {
        let database = Arc::clone(&database);
        tokio::spawn(async move {
            for nth in 0..100 {
                let synchronous = match nth % 10 {
                    0 => Synchronous::Full,
                    _ => Synchronous::Normal,
                };
                let name = format!("{task}-{nth}");
                thread_of_adding(&database, synchronous, &name).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let counted = database.look_up("count", "rates", count).await.unwrap();
    assert_eq!(counted, 800);
}

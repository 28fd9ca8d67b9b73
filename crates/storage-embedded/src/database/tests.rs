use std::sync::Barrier;

use super::*;

#[test]
fn a_database_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("llmopt.db");
    drop(Database::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Database::open(&path).unwrap_err();
    assert!(error.to_string().contains("its format is 99"), "{error}");
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("llmopt.db");
    std::fs::write(
        &path,
        "not a database, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("llmopt.db"), "{error}");
}

#[test]
fn a_database_of_an_earlier_version_is_brought_up_to_date_with_what_it_holds() {
    for version in 1..RECORDS.migrations.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("llmopt.db");
        let connection = Connection::open(&path).unwrap();
        for migration in &RECORDS.migrations[..version] {
            connection.execute_batch(migration).unwrap();
        }
        connection
            .execute("INSERT INTO events VALUES ('job/a', 1, '{}')", [])
            .unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        drop(connection);
        drop(Database::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        let count = |table: &str| -> i64 {
            let select = format!("SELECT count(*) FROM {table}");
            connection.query_row(&select, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("events"), 1, "version {version}");
        let gone = "sqlite_schema WHERE name = 'allowances'";
        assert_eq!(count(gone), 0, "version {version}");
    }
}

#[test]
fn what_was_spent_by_an_earlier_version_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spending.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(SPENDING.migrations[0]).unwrap();
    connection
        .execute_batch(
            "INSERT INTO reservations VALUES ('r2', 9, NULL, '{}'), ('r1', 8, 5, '{}');
             INSERT INTO ledger VALUES ('r1', '2026-11-26', 7, '{}')",
        )
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    drop(Database::open_as(&path, &SPENDING).unwrap());
    let connection = Connection::open(&path).unwrap();
    let names =
        |select: &str| -> String { connection.query_row(select, [], |row| row.get(0)).unwrap() };
    let all = "SELECT group_concat(request || coalesce(forget_ms, '')) FROM reservations";
    assert_eq!(names(all), "r15,r2");
    assert_eq!(
        names("SELECT group_concat(request || day) FROM ledger"),
        "r12026-11-26"
    );
}

#[test]
fn any_number_may_open_a_new_database_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rates.db");
        let together = Barrier::new(16);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    together.wait();
                    Database::open_as(&path, &RATES).unwrap();
                });
            }
        });
    }
}

fn add(transaction: &Transaction<'_>, name: &str) -> Result<(), SqlFailure> {
    let insert = "INSERT INTO rates (id, free_us) VALUES (?1, 0)";
    transaction.execute(insert, [name])?;
    Ok(())
}

async fn names(database: &Database) -> Vec<String> {
    let work = |transaction: &Transaction<'_>| {
        let mut select = transaction.prepare("SELECT id FROM rates ORDER BY id")?;
        let names = select.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    database.read("list", "rates", work).await.unwrap()
}

#[tokio::test]
async fn what_fails_or_breaks_takes_nothing_else_of_its_transaction_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_as(&folder.path().join("rates.db"), &RATES).unwrap();
    // The first holds the thread until all others wait for it, and so go together.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let first = database.write("hold", "a", move |transaction| {
        held.recv().unwrap();
        add(transaction, "a")
    });
    let fails = database.write("fail", "b", |transaction| {
        add(transaction, "b")?;
        add(transaction, "a")
    });
    let breaks = database.write("break", "c", |transaction| -> Result<(), SqlFailure> {
        add(transaction, "c")?;
        panic!("on purpose");
    });
    let last = database.write_as(Synchronous::Full, ("add", "d"), |it| add(it, "d"));
    let release = async { release.send(()).unwrap() };
    let (first, fails, breaks, last, ()) = tokio::join!(first, fails, breaks, last, release);
    first.unwrap();
    last.unwrap();
    assert!(
        matches!(fails, Err(StorageError::Internal { .. })),
        "{fails:?}"
    );
    let broken = breaks.unwrap_err().to_string();
    assert!(broken.contains("`c`"), "{broken}");
    assert_eq!(names(&database).await, ["a", "d"]);
}

#[tokio::test]
async fn what_was_written_ahead_is_put_in_its_place_when_there_is_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.db");
    let database = Database::open_as(&path, &RATES).unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    let before = size();
    let work = |transaction: &Transaction<'_>| {
        (0..1_000).try_for_each(|nth| add(transaction, &format!("name-{nth}")))
    };
    database.write("add", "names", work).await.unwrap();
    assert_eq!(size(), before, "it is written ahead");
    while size() == before {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nothing_is_done_while_another_process_keeps_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.db");
    let database = Database::open_as(&path, &RATES).unwrap();
    let mut other = Connection::open(&path).unwrap();
    let behavior = TransactionBehavior::Immediate;
    let kept = other.transaction_with_behavior(behavior).unwrap();
    let added = database.write("add", "a", |it| add(it, "a")).await;
    assert!(
        matches!(added, Err(StorageError::Unavailable { .. })),
        "{added:?}"
    );
    drop(kept);
    database.write("add", "a", |it| add(it, "a")).await.unwrap();
    assert_eq!(names(&database).await, ["a"]);
}

#[test]
fn opening_again_keeps_the_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/llmopt.db");
    let open = || {
        drop(Database::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0));
        rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let first = open();
    assert!(!first.is_empty());
    assert_eq!(open(), first);
}

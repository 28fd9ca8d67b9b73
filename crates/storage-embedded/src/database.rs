use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_storage::StorageError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use thiserror::Error;

use crate::{
    error::{Trouble, io_error},
    worker::{Kind, Worker},
};

/// What a database is to be.
#[derive(Debug)]
pub(crate) struct Form {
    /// What brings an empty one to the present form, one step for each version it ever had.
    migrations: &'static [&'static str],
    /// Whether what is acknowledged survives a loss of power, where nothing else is said.
    synchronous: Synchronous,
    /// How long to wait for other processes: each of them holds the database for milliseconds.
    patience: Duration,
}

const RECORDS: Form = Form {
    migrations: &[
        include_str!("migrations/1.sql"),
        include_str!("migrations/2.sql"),
        include_str!("migrations/3.sql"),
    ],
    synchronous: Synchronous::Full,
    patience: Duration::from_secs(10),
};
pub(crate) const RATES: Form = Form {
    migrations: &[include_str!("migrations/rates/1.sql")],
    synchronous: Synchronous::Normal,
    // Every request waits for it.
    patience: Duration::from_millis(500),
};
pub(crate) const ANSWERS: Form = Form {
    migrations: &[include_str!("migrations/answers/1.sql")],
    // An answer that was given and lost would be worked out twice.
    synchronous: Synchronous::Full,
    patience: Duration::from_secs(10),
};
pub(crate) const SPENDING: Form = Form {
    migrations: &[
        include_str!("migrations/spending/1.sql"),
        include_str!("migrations/spending/2.sql"),
    ],
    // Each step that must not be lost says so.
    synchronous: Synchronous::Normal,
    patience: Duration::from_secs(10),
};
/// SQLite's `synchronous`: when a write reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Synchronous {
    /// Some time after it is acknowledged: a loss of power may take back the last writes, the later before the
    /// earlier; the death of a process takes back none.
    Normal,
    /// Before it is acknowledged, with all that were written before it.
    Full,
}

impl Synchronous {
    pub(crate) fn set(self, connection: &Connection) -> rusqlite::Result<()> {
        let name = match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        };
        connection.pragma_update(None, "synchronous", name)
    }
}

/// The pages that are written ahead at most, of 4 KiB: whoever writes beyond waits until they are in their place, and
/// before that the thread of the database does it when it has nothing to do.
const WRITTEN_AHEAD: u32 = 8_000;

/// How long to wait for other processes that open the same database.
const OPENING: Duration = Duration::from_secs(10);

/// The SQLite database of one data directory, for any number of processes of one machine.
///
/// What a call has acknowledged survives the process and a loss of power.
#[derive(Clone)]
pub struct Database {
    worker: Arc<Worker>,
    path: Arc<PathBuf>,
    synchronous: Synchronous,
}

/// Why work on the database failed, before it is known to what it belongs.
#[derive(Debug)]
pub(crate) enum SqlFailure {
    Sqlite(rusqlite::Error),
    /// The same for all that were to be done together.
    Shared(Arc<rusqlite::Error>),
    /// Nothing failed, and what was written is to be undone.
    Undone,
    Port(StorageError),
}

impl From<rusqlite::Error> for SqlFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StorageError> for SqlFailure {
    fn from(error: StorageError) -> Self {
        Self::Port(error)
    }
}

impl SqlFailure {
    fn at(self, operation: &'static str, subject: &str) -> StorageError {
        match self {
            Self::Sqlite(error) => sqlite_error(operation, subject, Arc::new(error)),
            Self::Shared(error) => sqlite_error(operation, subject, error),
            Self::Undone => Trouble::Internal.during(operation, subject, Panicked),
            Self::Port(error) => error,
        }
    }
}

impl Database {
    /// What the file is called in a data directory.
    pub const FILE_NAME: &str = "llmopt.db";

    /// Opens the database file `path`, which is made if it is not there, and brings it up to date.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if it is no database, or one of a later version of llmopt; else any
    /// that opening a file can give.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_as(path, &RECORDS)
    }

    /// As [`Database::open`], for a database of another form.
    pub(crate) fn open_as(path: &Path, form: &Form) -> Result<Self, StorageError> {
        let subject = path.display().to_string();
        let open = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(io_error("open", &subject))?;
            }
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(OPENING)?;
            write_ahead(&connection)?;
            form.synchronous.set(&connection)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "wal_autocheckpoint", WRITTEN_AHEAD)?;
            migrate(&mut connection, form.migrations, &subject)?;
            connection.busy_timeout(form.patience)?;
            Ok(connection)
        };
        let connection = open().map_err(|failure: SqlFailure| failure.at("open", &subject))?;
        let worker = Worker::start(connection).map_err(io_error("open", &subject))?;
        Ok(Self {
            worker: Arc::new(worker),
            path: Arc::new(path.to_owned()),
            synchronous: form.synchronous,
        })
    }

    /// Runs `work` in a transaction that no other writer comes between, where it does not hold up other tasks:
    /// entirely, or not at all where it fails.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.run(Kind::Write(self.synchronous), (operation, subject), work)
            .await
    }

    /// As [`write`](Self::write), where a loss of power is to take back nothing of it, or may.
    pub(crate) async fn write_as<T: Send + 'static>(
        &self,
        synchronous: Synchronous,
        what: (&'static str, &str),
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.run(Kind::Write(synchronous), what, work).await
    }

    /// As [`write_as`](Self::write_as); where `work` comes to `None`, what it wrote is undone.
    pub(crate) async fn write_or_undo<T: Send + 'static>(
        &self,
        synchronous: Synchronous,
        (operation, subject): (&'static str, &str),
        work: impl FnOnce(&Transaction<'_>) -> Result<Option<T>, SqlFailure> + Send + 'static,
    ) -> Result<Option<T>, StorageError> {
        let work =
            move |transaction: &Transaction<'_>| work(transaction)?.ok_or(SqlFailure::Undone);
        let kind = Kind::Write(synchronous);
        match self.worker.run(kind, work).await {
            Some(Err(SqlFailure::Undone)) => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(failure)) => Err(failure.at(operation, subject)),
            None => Err(Trouble::Internal.during(operation, subject, Panicked)),
        }
    }

    /// Runs `work`, which only reads, on one state of the database.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.run(Kind::Read, (operation, subject), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        (operation, subject): (&'static str, &str),
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        match self.worker.run(kind, work).await {
            Some(result) => result.map_err(|failure| failure.at(operation, subject)),
            None => Err(Trouble::Internal.during(operation, subject, Panicked)),
        }
    }
}

/// The work broke, and nothing of it is kept.
#[derive(Debug, Error)]
#[error("the work broke off, a fault of llmopt's: nothing of it is kept")]
struct Panicked;

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Database").field(&self.path).finish()
    }
}

/// Has `connection` write ahead. SQLite waits for nobody where the mode of the file changes: of several
/// processes that open a new database at once, all but one are told that it is busy, and ask again.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + OPENING;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < until =>
            {
                std::thread::sleep(Duration::from_millis(fastrand::u64(1..10)));
            }
            other => return other,
        }
    }
}

fn migrate(
    connection: &mut Connection,
    migrations: &[&str],
    subject: &str,
) -> Result<(), SqlFailure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = migrations.len();
    if version > known {
        return Err(SqlFailure::Port(StorageError::Corrupt {
            subject: subject.to_owned(),
            reason: format!(
                "its format is {version}, and this llmopt knows formats up to {known}: use a newer llmopt, or another data directory"
            ),
        }));
    }
    for migration in migrations.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    if version < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    Ok(transaction.commit()?)
}

fn sqlite_error(
    operation: &'static str,
    subject: &str,
    error: Arc<rusqlite::Error>,
) -> StorageError {
    let trouble = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return StorageError::Corrupt {
                subject: subject.to_owned(),
                reason: format!("{error}; restore the database file, or remove it to begin anew"),
            };
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Unavailable,
        Some(ErrorCode::DiskFull) => Trouble::NoSpace,
        _ => Trouble::Internal,
    };
    trouble.during(operation, subject, error)
}

#[cfg(test)]
mod tests {
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
        let names = |select: &str| -> String {
            connection.query_row(select, [], |row| row.get(0)).unwrap()
        };
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
}

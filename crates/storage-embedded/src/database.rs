use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_storage::StorageError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use thiserror::Error;

use crate::{
    desk::{Kind, Length},
    error::{Trouble, io_error},
    worker::Worker,
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
    migrations: &[
        include_str!("migrations/rates/1.sql"),
        include_str!("migrations/rates/2.sql"),
    ],
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
        include_str!("migrations/spending/3.sql"),
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
            migrate(&mut connection, form.migrations, &subject)?;
            // As SQLite has it, which puts its other files beside what a link leads to.
            let path = connection
                .path()
                .map_or_else(|| path.to_owned(), PathBuf::from);
            Ok((Worker::start(connection, form.patience, &path)?, path))
        };
        let opened = open().map_err(|failure: SqlFailure| failure.at("open", &subject));
        let (worker, path) = opened?;
        Ok(Self {
            worker: Arc::new(worker),
            path: Arc::new(path),
            synchronous: form.synchronous,
        })
    }

    /// Returns the file that is written ahead, which is there as long as this is.
    pub(crate) fn written_ahead(&self) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push("-wal");
        path.into()
    }

    /// Runs `work` in a transaction that no other writer comes between, where it does not hold up other tasks:
    /// entirely, or not at all where it fails.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        let how = (Kind::Write(self.synchronous), Length::Any);
        self.run(how, (operation, subject), work).await
    }

    /// As [`write`](Self::write), for what looks at a few rows, where a loss of power is to take back nothing of it,
    /// or may.
    pub(crate) async fn write_as<T: Send + 'static>(
        &self,
        synchronous: Synchronous,
        what: (&'static str, &str),
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        let how = (Kind::Write(synchronous), Length::Short);
        self.run(how, what, work).await
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
        let how = (Kind::Write(synchronous), Length::Short);
        match self.worker.run(how, work).await {
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
        let how = (Kind::Read, Length::Any);
        self.run(how, (operation, subject), work).await
    }

    /// As [`read`](Self::read), for what looks at a few rows.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        let how = (Kind::Read, Length::Short);
        self.run(how, (operation, subject), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        how: (Kind, Length),
        (operation, subject): (&'static str, &str),
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        match self.worker.run(how, work).await {
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
mod tests;

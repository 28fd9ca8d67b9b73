use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use llmopt_storage::StorageError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::error::{Trouble, io_error};

/// What a database is to be.
#[derive(Debug)]
pub(crate) struct Form {
    /// What brings an empty one to the present form, one step for each version it ever had.
    migrations: &'static [&'static str],
    /// SQLite's `synchronous`: whether what is acknowledged survives a loss of power.
    synchronous: &'static str,
    /// How long to wait for other processes: each of them holds the database for milliseconds.
    patience: Duration,
}

const RECORDS: Form = Form {
    migrations: &[
        include_str!("migrations/1.sql"),
        include_str!("migrations/2.sql"),
        include_str!("migrations/3.sql"),
    ],
    synchronous: "FULL",
    patience: Duration::from_secs(10),
};
pub(crate) const RATES: Form = Form {
    migrations: &[include_str!("migrations/rates/1.sql")],
    synchronous: "NORMAL",
    // Every request waits for it.
    patience: Duration::from_millis(500),
};
pub(crate) const ANSWERS: Form = Form {
    migrations: &[include_str!("migrations/answers/1.sql")],
    // An answer that was given and lost would be worked out twice.
    synchronous: "FULL",
    patience: Duration::from_secs(10),
};
pub(crate) const SPENDING: Form = Form {
    migrations: &[include_str!("migrations/spending/1.sql")],
    // What was reserved or spent and lost would be spent twice.
    synchronous: "FULL",
    patience: Duration::from_secs(10),
};
/// How long to wait for other processes that open the same database.
const OPENING: Duration = Duration::from_secs(10);

/// The SQLite database of one data directory, for any number of processes of one machine.
///
/// What a call has acknowledged survives the process and a loss of power.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    path: Arc<PathBuf>,
}

/// Why work on the database failed, before it is known to what it belongs.
#[derive(Debug)]
pub(crate) enum SqlFailure {
    Sqlite(rusqlite::Error),
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
            Self::Sqlite(error) => sqlite_error(operation, subject, error),
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
            connection.pragma_update(None, "synchronous", form.synchronous)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            migrate(&mut connection, form.migrations, &subject)?;
            connection.busy_timeout(form.patience)?;
            Ok(connection)
        };
        let connection = open().map_err(|failure: SqlFailure| failure.at("open", &subject))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            path: Arc::new(path.to_owned()),
        })
    }

    /// Runs `work` as one transaction that no other writer comes between, where it does not hold up
    /// other tasks.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.transaction(TransactionBehavior::Immediate, operation, subject, work)
            .await
    }

    /// Runs `work`, which only reads, on one state of the database.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.transaction(TransactionBehavior::Deferred, operation, subject, work)
            .await
    }

    async fn transaction<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Result<T, StorageError> {
        let connection = Arc::clone(&self.connection);
        let run = move || -> Result<T, SqlFailure> {
            // A panic in a transaction rolls it back: the connection is good to go on with.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result.map_err(|failure| failure.at(operation, subject)),
            Err(error) => Err(Trouble::Internal.during(operation, subject, error)),
        }
    }
}

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

fn sqlite_error(operation: &'static str, subject: &str, error: rusqlite::Error) -> StorageError {
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
            let database = Database::open(&path).unwrap();
            let connection = database.connection.lock().unwrap();
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

    #[test]
    fn opening_again_keeps_the_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/llmopt.db");
        let open = || {
            let database = Database::open(&path).unwrap();
            let connection = database.connection.lock().unwrap();
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

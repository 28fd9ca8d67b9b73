use std::path::Path;

use async_trait::async_trait;
use llmopt_storage::{AnswerClaim, AnswerStore, Claimed, KeptAnswer, StorageError};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::database::{ANSWERS, Database};

/// An [`AnswerStore`] in an SQLite database of its own: answers come and go, and are large beside records.
pub struct SqliteAnswerStore {
    database: Database,
}

/// What is there under an id.
struct Known {
    holder: String,
    fingerprint: Option<String>,
    until_ms: u64,
    expires_ms: u64,
    is_finished: bool,
}

impl Known {
    fn in_flight(self) -> Claimed {
        Claimed::InFlight {
            fingerprint: self.fingerprint,
            until_ms: self.until_ms,
        }
    }
}

impl SqliteAnswerStore {
    /// What the file is called in a data directory.
    pub const FILE_NAME: &str = "answers.db";

    /// Keeps answers in the file `path`, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let database = Database::open_as(path, &ANSWERS)?;
        Ok(Self { database })
    }

    /// Changes the claim of a holder, if it is there as `change` wants it.
    async fn change(
        &self,
        operation: &'static str,
        id: &str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<(), StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            if change(transaction)? == 0 {
                let subject = format!("answer `{owned}`");
                return Err(StorageError::Conflict { subject }.into());
            }
            Ok(())
        };
        self.database.write(operation, id, work).await
    }
}

#[async_trait]
impl AnswerStore for SqliteAnswerStore {
    async fn claim(&self, id: &str, claim: &AnswerClaim) -> Result<Claimed, StorageError> {
        let (owned, claim) = (id.to_owned(), claim.clone());
        let work = move |transaction: &Transaction<'_>| {
            let known = known(transaction, &owned)?;
            if let Some(known) = known.filter(|known| known.expires_ms > claim.now_ms) {
                if known.is_finished {
                    return Ok(Claimed::Finished(kept(transaction, &owned, known)?));
                }
                let is_ours = known.holder == claim.holder;
                if !is_ours && !claim.may_follow(known.until_ms, known.fingerprint.as_deref()) {
                    return Ok(known.in_flight());
                }
            }
            forget(transaction, claim.now_ms)?;
            put(transaction, &owned, &claim)?;
            Ok(Claimed::Granted)
        };
        self.database.write("claim", id, work).await
    }

    async fn look(&self, id: &str, now_ms: u64) -> Result<Option<Claimed>, StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let known = known(transaction, &owned)?;
            Ok(match known.filter(|known| known.expires_ms > now_ms) {
                None => None,
                Some(known) if known.is_finished => {
                    Some(Claimed::Finished(kept(transaction, &owned, known)?))
                }
                Some(known) => Some(known.in_flight()),
            })
        };
        self.database.read("look at", id, work).await
    }

    async fn renew(&self, id: &str, holder: &str, until_ms: u64) -> Result<(), StorageError> {
        let (owned, holder) = (id.to_owned(), holder.to_owned());
        let update = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "UPDATE answers SET until_ms = ?3 WHERE id = ?1 AND holder = ?2 AND finished = 0",
                params![owned, holder, until_ms],
            )
        };
        self.change("renew", id, update).await
    }

    async fn finish(
        &self,
        id: &str,
        holder: &str,
        answer: &KeptAnswer,
    ) -> Result<(), StorageError> {
        let (owned, holder, answer) = (id.to_owned(), holder.to_owned(), answer.clone());
        let update = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "UPDATE answers SET finished = 1, fingerprint = ?3, expires_ms = ?4, body = ?5
                 WHERE id = ?1 AND holder = ?2",
                params![
                    owned,
                    holder,
                    answer.fingerprint,
                    answer.expires_ms,
                    answer.body
                ],
            )
        };
        self.change("finish", id, update).await
    }

    async fn release(&self, id: &str, holder: &str) -> Result<(), StorageError> {
        let (owned, holder) = (id.to_owned(), holder.to_owned());
        let work = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "DELETE FROM answers WHERE id = ?1 AND holder = ?2 AND finished = 0",
                params![owned, holder],
            )?;
            Ok(())
        };
        self.database.write("release", id, work).await
    }
}

fn known(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<Known>> {
    let read = |row: &Row<'_>| {
        Ok(Known {
            holder: row.get(0)?,
            fingerprint: row.get(1)?,
            until_ms: row.get(2)?,
            expires_ms: row.get(3)?,
            is_finished: row.get(4)?,
        })
    };
    let mut select = transaction.prepare_cached(
        "SELECT holder, fingerprint, until_ms, expires_ms, finished FROM answers WHERE id = ?1",
    )?;
    select.query_row(params![id], read).optional()
}

fn kept(transaction: &Transaction<'_>, id: &str, known: Known) -> rusqlite::Result<KeptAnswer> {
    let body = "SELECT body FROM answers WHERE id = ?1";
    Ok(KeptAnswer {
        fingerprint: known.fingerprint.unwrap_or_default(),
        body: transaction.query_row(body, params![id], |row| row.get(0))?,
        expires_ms: known.expires_ms,
    })
}

fn put(transaction: &Transaction<'_>, id: &str, claim: &AnswerClaim) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO answers
         (id, holder, fingerprint, until_ms, expires_ms, finished, body)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, NULL)",
    )?;
    let row = params![
        id,
        claim.holder,
        claim.fingerprint,
        claim.until_ms,
        claim.expires_ms
    ];
    upsert.execute(row).map(drop)
}

/// With each that comes two may go: there are never more than are in use, and some.
fn forget(transaction: &Transaction<'_>, now_ms: u64) -> rusqlite::Result<()> {
    let ended = "DELETE FROM answers WHERE id IN
                 (SELECT id FROM answers WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT 2)";
    transaction.execute(ended, params![now_ms]).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use llmopt_storage::conformance::AnswerSubject;

    use super::*;

    fn open(root: &Path) -> Arc<dyn AnswerStore> {
        let path = root.join(SqliteAnswerStore::FILE_NAME);
        Arc::new(SqliteAnswerStore::open(&path).unwrap())
    }

    const SUBJECT: AnswerSubject = AnswerSubject {
        open,
        open_dying: None,
    };

    llmopt_storage::answer_store_conformance!(SUBJECT);

    #[tokio::test]
    async fn what_has_ended_is_removed_and_what_has_not_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteAnswerStore::open(&folder.path().join("answers.db")).unwrap();
        for (number, expires_ms) in
            (0..40).map(|number| (number, if number < 30 { 10 } else { 99 }))
        {
            let claim = AnswerClaim {
                holder: "holder".to_owned(),
                fingerprint: None,
                now_ms: number / 30 * 10,
                until_ms: 5,
                expires_ms,
            };
            let claimed = store.claim(&number.to_string(), &claim).await.unwrap();
            assert_eq!(claimed, Claimed::Granted);
        }
        let work = |transaction: &Transaction<'_>| {
            let count = "SELECT count(*) FROM answers";
            Ok(transaction.query_row(count, [], |row| row.get::<_, u64>(0))?)
        };
        let count = store.database.read("count", "answers", work).await.unwrap();
        assert_eq!(count, 40 - 2 * 10);
    }
}

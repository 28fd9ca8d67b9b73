use std::marker::PhantomData;

use async_trait::async_trait;
use llmopt_storage::{Cursor, Listing, Page, Record, RecordStore, Revision, StorageError, Stored};
use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};

use crate::{
    database::{Database, SqlFailure},
    error::Trouble,
};

/// A [`RecordStore`] in SQLite.
pub struct SqliteRecordStore<R> {
    database: Database,
    records: PhantomData<fn() -> R>,
}

impl<R: Record> SqliteRecordStore<R> {
    /// Keeps records in `database`.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            records: PhantomData,
        }
    }
}

const SELECT: &str = "SELECT id, revision, body FROM records WHERE kind = :kind";

#[async_trait]
impl<R: Record> RecordStore<R> for SqliteRecordStore<R> {
    async fn create(&self, record: &R) -> Result<Stored<R>, StorageError> {
        let subject = subject::<R>(record.id());
        let record = record.clone();
        let work = move |transaction: &Transaction<'_>| {
            let revision = next_revision(transaction)?;
            let inserted = transaction.execute(
                "INSERT INTO records (kind, id, revision, created_ms, grouping, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                params![
                    R::KIND,
                    record.id(),
                    revision.0,
                    record.created_ms(),
                    record.group(),
                    body(&record)?
                ],
            )?;
            if inserted == 0 {
                return Err(SqlFailure::Port(StorageError::RecordExists {
                    kind: R::KIND,
                    id: record.id().to_owned(),
                }));
            }
            Ok(Stored { record, revision })
        };
        self.database.write("create", &subject, work).await
    }

    async fn get(&self, id: &str) -> Result<Stored<R>, StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let query = format!("{SELECT} AND id = :id");
            let found = transaction
                .query_row(&query, named_params! {":kind": R::KIND, ":id": owned}, raw)
                .optional()?;
            let no_record = || StorageError::NoRecord {
                kind: R::KIND,
                id: owned,
            };
            Ok(parse(found.ok_or_else(no_record)?)?)
        };
        let subject = subject::<R>(id);
        self.database.look_up("read", &subject, work).await
    }

    async fn replace(&self, revision: Revision, record: &R) -> Result<Stored<R>, StorageError> {
        let subject = subject::<R>(record.id());
        let record = record.clone();
        let conflict = StorageError::Conflict {
            subject: subject.clone(),
        };
        let work = move |transaction: &Transaction<'_>| {
            let next = next_revision(transaction)?;
            let replaced = transaction.execute(
                "UPDATE records SET revision = ?1, grouping = ?2, body = ?3
                 WHERE kind = ?4 AND id = ?5 AND revision = ?6",
                params![
                    next.0,
                    record.group(),
                    body(&record)?,
                    R::KIND,
                    record.id(),
                    revision.0
                ],
            )?;
            if replaced == 0 {
                return Err(SqlFailure::Port(conflict));
            }
            Ok(Stored {
                record,
                revision: next,
            })
        };
        self.database.write("replace", &subject, work).await
    }

    async fn list(&self, listing: &Listing) -> Result<Page<R>, StorageError> {
        let (listing, is_for_any) = (listing.clone(), listing.limit == 1);
        let work = move |transaction: &Transaction<'_>| {
            // One more than asked for tells whether there is a next part.
            let rows = select(transaction, R::KIND, &listing)?;
            let more = rows.len() > listing.limit as usize;
            let rows = rows.into_iter().take(listing.limit as usize);
            let records = rows.map(parse).collect::<Result<Vec<Stored<R>>, _>>()?;
            let next = records.last().filter(|_| more).map(|last| Cursor {
                created_ms: last.record.created_ms(),
                id: last.record.id().to_owned(),
            });
            Ok(Page { records, next })
        };
        match is_for_any {
            true => self.database.look_up("list", R::KIND, work).await,
            false => self.database.read("list", R::KIND, work).await,
        }
    }

    async fn delete(&self, id: &str) -> Result<(), StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "DELETE FROM records WHERE kind = ?1 AND id = ?2",
                params![R::KIND, owned],
            )?;
            Ok(())
        };
        self.database.write("delete", &subject::<R>(id), work).await
    }
}

/// A row as it is kept.
struct Raw {
    id: String,
    revision: Revision,
    body: String,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get("id")?,
        revision: Revision(row.get("revision")?),
        body: row.get("body")?,
    })
}

fn select(
    transaction: &Transaction<'_>,
    kind: &str,
    listing: &Listing,
) -> rusqlite::Result<Vec<Raw>> {
    // A condition that is left out lets SQLite use the index for the rest.
    let mut query = SELECT.to_owned();
    let (group, after) = (listing.group.as_deref(), listing.after.as_ref());
    let (created, id) = after
        .map(|after| (after.created_ms, after.id.as_str()))
        .unzip();
    let limit = u64::from(listing.limit) + 1;
    let mut values: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":kind", &kind), (":limit", &limit)];
    if group.is_some() {
        query += " AND grouping = :group";
        values.push((":group", &group));
    }
    if after.is_some() {
        query += " AND (created_ms, id) < (:created, :id)";
        values.extend([(":created", &created as &dyn rusqlite::ToSql), (":id", &id)]);
    }
    query += " ORDER BY created_ms DESC, id DESC LIMIT :limit";
    let mut statement = transaction.prepare_cached(&query)?;
    statement.query_map(&values[..], raw)?.collect()
}

fn parse<R: Record>(raw: Raw) -> Result<Stored<R>, StorageError> {
    let record = serde_json::from_str(&raw.body).map_err(|error| StorageError::Corrupt {
        subject: subject::<R>(&raw.id),
        reason: format!("its record cannot be read: {error}"),
    })?;
    Ok(Stored {
        record,
        revision: raw.revision,
    })
}

fn body<R: Record>(record: &R) -> Result<String, StorageError> {
    let failed = |error| Trouble::Internal.during("render", &subject::<R>(record.id()), error);
    let body = serde_json::to_string(record).map_err(failed)?;
    // A number that JSON does not have would make the record, and every list with it, unreadable.
    serde_json::from_str::<R>(&body).map_err(failed)?;
    Ok(body)
}

fn subject<R: Record>(id: &str) -> String {
    format!("{}/{id}", R::KIND)
}

fn next_revision(transaction: &Transaction<'_>) -> rusqlite::Result<Revision> {
    let query = "UPDATE revisions SET last = last + 1 RETURNING last";
    transaction.query_row(query, [], |row| row.get(0).map(Revision))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use llmopt_storage::conformance::Note;

    use super::*;

    fn open(root: &Path) -> Arc<dyn RecordStore<Note>> {
        let database = Database::open(&root.join("llmopt.db")).unwrap();
        Arc::new(SqliteRecordStore::new(database))
    }

    llmopt_storage::record_store_conformance!(open);
}

//! Budgets, reservations and the ledger: what is kept as JSON.

use llmopt_storage::{
    StorageError,
    spend::{After, Budget, BudgetScope, LedgerEntry, Place, RequestId, Reservation, Step},
};
use rusqlite::{OptionalExtension, Params, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::database::SqlFailure;

type Result<T> = std::result::Result<T, SqlFailure>;

pub(super) fn budget(transaction: &Transaction<'_>, scope: &BudgetScope) -> Result<Option<Budget>> {
    let select = "SELECT body FROM budgets WHERE scope = ?1";
    one(transaction, select, params![scope.as_str()])
}

pub(super) fn budgets(transaction: &Transaction<'_>) -> Result<Vec<Budget>> {
    many(transaction, "SELECT body FROM budgets ORDER BY scope", [])
}

pub(super) fn put_budget(transaction: &Transaction<'_>, budget: &Budget) -> Result<()> {
    let known = self::budget(transaction, &budget.scope)?;
    if known.as_ref() == Some(budget) {
        return Ok(());
    }
    if known.map_or(0, |known| known.revision) + 1 != budget.revision {
        let subject = format!("budget `{}`", budget.scope);
        return Err(StorageError::Conflict { subject }.into());
    }
    let row = params![budget.scope.as_str(), budget.revision, body(budget)?];
    transaction.execute(
        "INSERT OR REPLACE INTO budgets (scope, revision, body) VALUES (?1, ?2, ?3)",
        row,
    )?;
    Ok(())
}

pub(super) fn begin(
    transaction: &Transaction<'_>,
    reservation: &Reservation,
) -> Result<Option<Reservation>> {
    let there = forget_and_find(transaction, reservation)?;
    if there.is_none() {
        put(transaction, reservation)?;
    }
    Ok(there)
}

/// Returns the reservation that the request of a new one has. With each that comes those of the first few may go that
/// may be forgotten: what came before the others is closed before most of them, and stays as long after that.
pub(super) fn forget_and_find(
    transaction: &Transaction<'_>,
    reservation: &Reservation,
) -> Result<Option<Reservation>> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM reservations WHERE forget_ms <= ?1
         AND rowid IN (SELECT rowid FROM reservations ORDER BY rowid LIMIT 4)",
    )?;
    delete.execute(params![reservation.created_ms])?;
    self::reservation(transaction, &reservation.request)
}

pub(super) fn reservation(
    transaction: &Transaction<'_>,
    request: &RequestId,
) -> Result<Option<Reservation>> {
    let select = "SELECT body FROM reservations WHERE request = ?1";
    one(transaction, select, params![request.as_str()])
}

pub(super) fn change(
    transaction: &Transaction<'_>,
    request: &RequestId,
    step: &Step,
) -> Result<std::result::Result<Reservation, Reservation>> {
    let Some(there) = reservation(transaction, request)? else {
        let (kind, id) = ("reservation", request.to_string());
        return Err(StorageError::NoRecord { kind, id }.into());
    };
    match there.after(step) {
        After::Changed(after) => {
            put(transaction, &after)?;
            Ok(Ok(*after))
        }
        After::Same => Ok(Ok(there)),
        After::Refused => Ok(Err(there)),
    }
}

pub(super) fn put(transaction: &Transaction<'_>, reservation: &Reservation) -> Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO reservations (request, expires_ms, forget_ms, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (request) DO UPDATE
         SET expires_ms = excluded.expires_ms, forget_ms = excluded.forget_ms, body = excluded.body",
    )?;
    upsert.execute(params![
        reservation.request.as_str(),
        reservation.expires_ms,
        reservation.forget_ms,
        body(reservation)?,
    ])?;
    Ok(())
}

pub(super) fn unfinished(
    transaction: &Transaction<'_>,
    until_ms: u64,
    after: Option<&Place>,
    limit: u32,
) -> Result<Vec<Reservation>> {
    let (at_ms, request) = beginning(after);
    many(
        transaction,
        "SELECT body FROM reservations
         WHERE forget_ms IS NULL AND expires_ms <= ?1 AND (expires_ms, request) > (?2, ?3)
         ORDER BY expires_ms, request LIMIT ?4",
        params![until_ms.min(i64::MAX as u64), at_ms, request, limit],
    )
}

pub(super) fn append(transaction: &Transaction<'_>, entry: &LedgerEntry) -> Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO ledger (request, day, reserved_ms, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?;
    let made = insert.execute(params![
        entry.request.as_str(),
        entry.day,
        entry.reserved_ms,
        body(entry)?
    ])?;
    if made == 0 {
        let select = "SELECT body FROM ledger WHERE request = ?1";
        let there: Option<LedgerEntry> = one(transaction, select, params![entry.request.as_str()])?;
        if there.as_ref() != Some(entry) {
            let (kind, id) = ("ledger entry", entry.request.to_string());
            return Err(StorageError::RecordExists { kind, id }.into());
        }
    }
    Ok(())
}

pub(super) fn ledger(
    transaction: &Transaction<'_>,
    day: &str,
    after: Option<&Place>,
    limit: u32,
) -> Result<Vec<LedgerEntry>> {
    let (at_ms, request) = beginning(after);
    many(
        transaction,
        "SELECT body FROM ledger WHERE day = ?1 AND (reserved_ms, request) > (?2, ?3)
         ORDER BY reserved_ms, request LIMIT ?4",
        params![day, at_ms, request, limit],
    )
}

/// Returns what everything comes after.
fn beginning(after: Option<&Place>) -> (u64, &str) {
    after.map_or((0, ""), |place| (place.at_ms, place.request.as_str()))
}

fn one<T: DeserializeOwned>(
    transaction: &Transaction<'_>,
    select: &str,
    params: impl Params,
) -> Result<Option<T>> {
    let mut select = transaction.prepare_cached(select)?;
    let body = select.query_row(params, |row| row.get::<_, String>(0));
    body.optional()?.as_deref().map(parse).transpose()
}

fn many<T: DeserializeOwned>(
    transaction: &Transaction<'_>,
    select: &str,
    params: impl Params,
) -> Result<Vec<T>> {
    let mut select = transaction.prepare_cached(select)?;
    let mut rows = select.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(&row.get::<_, String>(0)?)?);
    }
    Ok(found)
}

fn body<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| damaged("written", &error))
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|error| damaged("read", &error))
}

fn damaged(verb: &str, error: &serde_json::Error) -> SqlFailure {
    SqlFailure::Port(StorageError::Corrupt {
        subject: "spending".to_owned(),
        reason: format!("an entry cannot be {verb} as JSON: {error}"),
    })
}

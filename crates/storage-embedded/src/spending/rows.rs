//! The rows of budgets, with their holds and alerts.

use llmopt_domain::Picodollars;
use llmopt_storage::spend::{
    BudgetRow, Hold, Limit, RequestId, RowKey, TOLD, Taken, Wanted, signed,
};
use rusqlite::{OptionalExtension, Result, Row, Transaction, params, types::Type};

/// Returns a row with its holds and alerts.
pub(super) fn row(transaction: &Transaction<'_>, key: &RowKey) -> Result<Option<BudgetRow>> {
    let mut select = transaction.prepare_cached(
        "SELECT amount, revision, percents, available, spent FROM budget_rows
         WHERE scope = ?1 AND period = ?2",
    )?;
    let read = |row: &Row<'_>| {
        let percents: String = row.get(2)?;
        let mut known = BudgetRow::new(Limit {
            amount: money(row, 0)?,
            revision: row.get(1)?,
            alert_percent: serde_json::from_str(&percents).map_err(|error| unreadable(2, error))?,
        });
        known.available = row.get(3)?;
        known.spent = money(row, 4)?;
        Ok(known)
    };
    let known = select.query_row(params![key.scope.as_str(), key.window], read);
    let Some(mut known) = known.optional()? else {
        return Ok(None);
    };
    read_holds(transaction, key, &mut known)?;
    read_alerts(transaction, key, &mut known)?;
    Ok(Some(known))
}

fn read_holds(transaction: &Transaction<'_>, key: &RowKey, known: &mut BudgetRow) -> Result<()> {
    let mut select = transaction.prepare_cached(
        "SELECT request, amount, token, taken_ms FROM holds WHERE scope = ?1 AND period = ?2",
    )?;
    let mut rows = select.query(params![key.scope.as_str(), key.window])?;
    while let Some(row) = rows.next()? {
        let request: String = row.get(0)?;
        let request = RequestId::try_from(request).map_err(|error| unreadable(0, error))?;
        let hold = Hold {
            amount: money(row, 1)?,
            token: row.get(2)?,
            taken_ms: row.get(3)?,
        };
        known.holds.insert(request, hold);
    }
    Ok(())
}

fn read_alerts(transaction: &Transaction<'_>, key: &RowKey, known: &mut BudgetRow) -> Result<()> {
    let mut select = transaction
        .prepare_cached("SELECT percent, until_ms FROM alerts WHERE scope = ?1 AND period = ?2")?;
    let mut rows = select.query(params![key.scope.as_str(), key.window])?;
    while let Some(row) = rows.next()? {
        known.alerts.insert(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

pub(super) fn open(transaction: &Transaction<'_>, key: &RowKey, limit: &Limit) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO budget_rows (scope, period, amount, revision, percents, available, spent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?3, 0) ON CONFLICT DO NOTHING",
            params![
                key.scope.as_str(),
                key.window,
                limit.amount.get(),
                limit.revision,
                percents(limit),
            ],
        )
        .map(drop)
}

pub(super) fn set_limit(transaction: &Transaction<'_>, key: &RowKey, limit: &Limit) -> Result<()> {
    transaction
        .execute(
            "UPDATE budget_rows
             SET available = available + (?3 - amount), amount = ?3, revision = ?4, percents = ?5
             WHERE scope = ?1 AND period = ?2 AND revision < ?4",
            params![
                key.scope.as_str(),
                key.window,
                limit.amount.get(),
                limit.revision,
                percents(limit),
            ],
        )
        .map(drop)
}

pub(super) fn take(transaction: &Transaction<'_>, key: &RowKey, wanted: &Wanted) -> Result<Taken> {
    let Some(known) = row(transaction, key)? else {
        return Ok(Taken::Absent);
    };
    if let Some(refusal) = known.refusal(wanted) {
        return Ok(refusal);
    }
    let mut token = transaction.prepare_cached("SELECT random() & 9223372036854775807")?;
    let hold = Hold {
        amount: wanted.amount,
        token: token.query_row([], |row| row.get(0))?,
        taken_ms: wanted.now_ms,
    };
    let mut insert = transaction.prepare_cached(
        "INSERT INTO holds (scope, period, request, amount, token, taken_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    insert.execute(params![
        key.scope.as_str(),
        key.window,
        wanted.request.as_str(),
        hold.amount.get(),
        hold.token,
        hold.taken_ms,
    ])?;
    add(transaction, key, -signed(hold.amount), Picodollars::ZERO)?;
    Ok(Taken::Held(hold))
}

pub(super) fn finish(
    transaction: &Transaction<'_>,
    key: &RowKey,
    request: &RequestId,
    hold: Hold,
    spent: Picodollars,
) -> Result<Option<BudgetRow>> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM holds
         WHERE scope = ?1 AND period = ?2 AND request = ?3 AND token = ?4 AND amount = ?5",
    )?;
    let ended = delete.execute(params![
        key.scope.as_str(),
        key.window,
        request.as_str(),
        hold.token,
        hold.amount.get(),
    ])?;
    if ended == 0 {
        return Ok(None);
    }
    add(transaction, key, signed(hold.amount) - signed(spent), spent)?;
    row(transaction, key)
}

fn add(
    transaction: &Transaction<'_>,
    key: &RowKey,
    available: i64,
    spent: Picodollars,
) -> Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE budget_rows SET available = available + ?3, spent = spent + ?4
         WHERE scope = ?1 AND period = ?2",
    )?;
    let row = params![key.scope.as_str(), key.window, available, spent.get()];
    update.execute(row).map(drop)
}

pub(super) fn claim_alert(
    transaction: &Transaction<'_>,
    key: &RowKey,
    percent: u8,
    now_ms: u64,
    until_ms: u64,
) -> Result<bool> {
    let claimed = transaction.execute(
        "INSERT INTO alerts (scope, period, percent, until_ms)
         SELECT scope, period, ?3, ?5 FROM budget_rows WHERE scope = ?1 AND period = ?2
         ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms WHERE alerts.until_ms <= ?4",
        params![key.scope.as_str(), key.window, percent, now_ms, until_ms],
    )?;
    Ok(claimed > 0)
}

pub(super) fn confirm_alert(
    transaction: &Transaction<'_>,
    key: &RowKey,
    percent: u8,
) -> Result<()> {
    let update =
        "UPDATE alerts SET until_ms = ?4 WHERE scope = ?1 AND period = ?2 AND percent = ?3";
    let row = params![key.scope.as_str(), key.window, percent, TOLD];
    transaction.execute(update, row).map(drop)
}

fn percents(limit: &Limit) -> String {
    let percents: Vec<String> = limit.alert_percent.iter().map(u8::to_string).collect();
    format!("[{}]", percents.join(","))
}

fn money(row: &Row<'_>, column: usize) -> Result<Picodollars> {
    Picodollars::try_from(row.get::<_, u64>(column)?).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

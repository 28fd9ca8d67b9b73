//! Steps that follow one another, as one: the disk is waited for once.

use llmopt_storage::spend::{
    After, Closed, Hold, LedgerEntry, Limit, Reservation, ReservationState, RowKey, Step, Taken,
    Wanted,
};
use rusqlite::Transaction;

use super::{books, rows};
use crate::database::SqlFailure;

type Result<T> = std::result::Result<T, SqlFailure>;

/// Comes to `None` where a step is refused; those before it are to be undone then.
pub(super) fn begin_sent(
    transaction: &Transaction<'_>,
    reservation: &Reservation,
    limits: &[(RowKey, Limit)],
) -> Result<Option<Reservation>> {
    if books::forget_and_find(transaction, reservation)?.is_some() {
        return Ok(None);
    }
    let mut holds = Vec::new();
    for (key, limit) in limits {
        let Some(hold) = take(transaction, reservation, key, limit)? else {
            return Ok(None);
        };
        holds.push(hold);
    }
    let After::Changed(open) = reservation.after(&Step::Open { holds }) else {
        return Ok(None);
    };
    keep(transaction, open.after(&Step::Send))
}

fn keep(transaction: &Transaction<'_>, after: After) -> Result<Option<Reservation>> {
    let After::Changed(reservation) = after else {
        return Ok(None);
    };
    books::put(transaction, &reservation)?;
    Ok(Some(*reservation))
}

fn take(
    transaction: &Transaction<'_>,
    reservation: &Reservation,
    key: &RowKey,
    limit: &Limit,
) -> Result<Option<Hold>> {
    let wanted = Wanted {
        request: reservation.request.clone(),
        amount: reservation.bound,
        revision: limit.revision,
        now_ms: reservation.created_ms,
    };
    let mut taken = rows::take(transaction, key, &wanted)?;
    match taken {
        Taken::Absent => rows::open(transaction, key, limit)?,
        Taken::Outdated => rows::set_limit(transaction, key, limit)?,
        _ => {}
    }
    if matches!(taken, Taken::Absent | Taken::Outdated) {
        taken = rows::take(transaction, key, &wanted)?;
    }
    Ok(match taken {
        Taken::Held(hold) => Some(hold),
        _ => None,
    })
}

/// Comes to `None` where the cost is not settled by this; nothing is done then.
pub(super) fn settle_closed(
    transaction: &Transaction<'_>,
    entry: Box<LedgerEntry>,
    forget_ms: u64,
) -> Result<Option<Closed>> {
    let Some(there) = books::reservation(transaction, &entry.request)? else {
        return Ok(None);
    };
    let step = Step::Settle {
        entry: entry.clone(),
    };
    let After::Changed(settled) = there.after(&step) else {
        return Ok(None);
    };
    let ReservationState::Settled { holds, .. } = &settled.state else {
        return Ok(None);
    };
    books::append(transaction, &entry)?;
    let mut after = Vec::new();
    for (key, hold) in settled.rows.iter().zip(holds) {
        if let Some(row) = rows::finish(transaction, key, &entry.request, *hold, entry.cost)? {
            after.push((key.clone(), row));
        }
    }
    let closed = keep(transaction, settled.after(&Step::Close { forget_ms }))?;
    Ok(closed.map(|reservation| Closed {
        reservation,
        rows: after,
    }))
}

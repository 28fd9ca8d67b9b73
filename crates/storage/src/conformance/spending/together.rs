//! Several steps as one, where a store has that. One that does not does nothing.

use super::*;

fn another() -> RowKey {
    RowKey {
        scope: scope("all"),
        ..key()
    }
}

async fn begin_sent(store: &Store, request: &str, rows: &[(RowKey, Limit)]) -> Option<Reservation> {
    let mut wanted = reservation(request, 1, 100);
    wanted.rows = rows.iter().map(|(key, _)| key.clone()).collect();
    let sent = store.begin_sent(&wanted, rows).await.expect("there");
    let opened = match sent {
        Some(sent) => {
            sent.lasting.await.expect("it lasts");
            Some(sent.reservation)
        }
        None => None,
    };
    let kept = store.reservation(&id(request)).await.expect("there");
    if let Some(opened) = &opened {
        assert_eq!(kept.as_ref(), Some(opened));
    }
    opened
}

async fn is_unknown(store: &Store, request: &str) -> bool {
    let kept = store.reservation(&id(request)).await;
    kept.expect("there").is_none()
}

/// A step that would be refused undoes those before it.
pub async fn what_is_reserved_at_once_is_reserved_as_its_steps_would_or_not_at_all(
    open: OpenSpending,
) {
    let root = root();
    let store = open(root.path());
    let first = begin_sent(&store, "r1", &[(key(), limit(25, 1))]).await;
    let Some(first) = first else {
        assert!(is_unknown(&store, "r1").await);
        assert_eq!(store.row(&key()).await.expect("there"), None);
        return;
    };
    let ReservationState::Open { holds, sent: true } = &first.state else {
        panic!("{first:?}");
    };
    assert_eq!(row(&store).await.holds[&id("r1")], holds[0]);
    assert_eq!((holds.len(), row(&store).await.available), (1, 15));
    let again = begin_sent(&store, "r1", &[(key(), limit(25, 1))]).await;
    assert_eq!((again, row(&store).await.available), (None, 15));
    let lowered = begin_sent(&store, "r2", &[(key(), limit(15, 2))]).await;
    assert_eq!((lowered, row(&store).await.available), (None, 15));
    assert!(is_unknown(&store, "r2").await);
    let short = [(key(), limit(25, 1)), (another(), limit(5, 1))];
    assert_eq!(begin_sent(&store, "r3", &short).await, None);
    assert!(is_unknown(&store, "r3").await);
    assert_eq!(row(&store).await.available, 15);
    assert_eq!(store.row(&another()).await.expect("there"), None);
    let raised = begin_sent(&store, "r4", &[(key(), limit(35, 2))]).await;
    assert!(raised.is_some());
    assert_eq!(row(&store).await.available, 15);
    let without = begin_sent(&store, "r5", &[]).await;
    let state = without.map(|it| it.state);
    let (holds, sent) = (Vec::new(), true);
    assert_eq!(state, Some(ReservationState::Open { holds, sent }));
}

/// It is settled as from whatever was known, and once.
pub async fn what_is_settled_at_once_is_closed_in_the_ledger_and_spent_or_as_it_was(
    open: OpenSpending,
) {
    let root = root();
    let store = opened(root.path(), open, 25).await;
    let hold = held(&store, "r1", 10).await;
    let first = reservation("r1", 1, 100);
    begun(&store, &first).await;
    let step = Step::Open { holds: vec![hold] };
    let opened = done(&store, &first, &step).await;
    let entry = entry("r1", "2026-11-26", 1);
    let settle = async || store.settle_closed(&opened, &entry, 500).await;
    assert_eq!(settle().await.expect("there"), None, "it was not sent");
    let sent = done(&store, &opened, &Step::Send).await;
    let ledger = async || store.ledger("2026-11-26", None, 9).await.expect("there");
    let Some(closed) = settle().await.expect("there") else {
        let kept = store.reservation(&id("r1")).await.expect("there");
        assert_eq!((kept, ledger().await), (Some(sent), Vec::new()));
        return;
    };
    let kept = store.reservation(&id("r1")).await.expect("there");
    assert_eq!(kept.as_ref(), Some(&closed.reservation));
    assert_eq!(closed.reservation.forget_ms, Some(500));
    assert_eq!(closed.rows, [(key(), row(&store).await)]);
    let row = row(&store).await;
    assert_eq!((row.available, row.spent), (18, amount(7)));
    assert_eq!(ledger().await, std::slice::from_ref(&entry));
    assert_eq!(settle().await.expect("there"), None, "it was settled");
    let (unknown, entry) = (
        reservation("r2", 1, 100),
        self::entry("r2", "2026-11-26", 1),
    );
    let settled = store.settle_closed(&unknown, &entry, 500).await;
    assert_eq!(settled.expect("there"), None);
    assert_eq!(ledger().await.len(), 1);
}

//! Reservations that would not survive a loss of power, or not yet.

use std::{sync::Arc, time::Duration};

use llmopt_commercial::CommercialError;
use llmopt_providers::{BreakerSettings, Delivery};
use llmopt_storage_embedded::SqliteSpendStore;
use tokio::time::timeout;

use crate::{
    bench::{Bench, Setup, question},
    between::{Between, Fate, Steps},
};

/// A bench whose reservations last, or not.
async fn bench(lasts: Fate, setup: &Setup) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteSpendStore::open(&folder.path().join("spending.db")).unwrap();
    let fates = Arc::new(move |name| match name {
        "lasts" => lasts,
        _ => Fate::Answered,
    });
    let store = Between::new(Arc::new(store), Steps::Together, fates);
    Bench::over(setup, folder, Arc::new(store)).await
}

/// Checks that no provider has the question, and that it costs nothing.
async fn was_not_asked(bench: &Bench) {
    bench.settled().await;
    assert!(bench.mock.exchanges().is_empty());
    let ledger = bench.ledger().await;
    assert!(
        matches!(&ledger[..], [only] if only.cost.get() == 0),
        "{ledger:?}"
    );
    let row = bench.row().await;
    assert_eq!((row.spent.get(), row.holds.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_provider_has_a_question_before_its_reservation_lasts() {
    for model in ["gpt-test", "claude-test"] {
        let bench = bench(Fate::Never, &Setup::default()).await;
        let asked = bench.commercial.ask(question(model, Delivery::Stream));
        // Whoever goes away meanwhile owes nothing.
        assert!(timeout(Duration::from_millis(100), asked).await.is_err());
        was_not_asked(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_reservation_does_not_last_is_not_asked() {
    for delivery in [Delivery::Stream, Delivery::Whole] {
        let bench = bench(Fate::Lost, &Setup::default()).await;
        // Nor is another model, which would be paid from the same budgets.
        let asked = bench.commercial.ask(question("openai-first", delivery));
        let error = asked.await.unwrap_err();
        assert!(matches!(error, CommercialError::Spending(_)), "{error:?}");
        was_not_asked(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_longer_than_an_answer_may_is_not_the_providers_fault() {
    for delivery in [Delivery::Stream, Delivery::Whole] {
        let mut setup = Setup::default();
        setup.policy.timeouts.first_byte = Duration::from_millis(50);
        setup.policy.timeouts.total = Duration::from_millis(100);
        let bench = bench(Fate::Never, &setup).await;
        for _ in 0..2 * BreakerSettings::default().faults {
            let asked = bench.commercial.ask(question("openai-first", delivery));
            let error = asked.await.unwrap_err();
            assert!(matches!(error, CommercialError::Spending(_)), "{error:?}");
        }
        bench.settled().await;
        assert!(bench.mock.exchanges().is_empty());
        let costs = bench.ledger().await.into_iter().map(|it| it.cost.get());
        assert_eq!(costs.sum::<u64>(), 0);
    }
}

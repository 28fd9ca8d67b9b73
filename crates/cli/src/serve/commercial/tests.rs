use llmopt_config::Settings;
use llmopt_domain::Picodollars;
use llmopt_prices::PriceTable;
use llmopt_spending::{Ask, BudgetLimits};
use llmopt_storage::spend::{Asked, BudgetScope};
use llmopt_storage_embedded::SqliteRateStore;

use super::*;
use crate::output::{Format as OutputFormat, Output};

fn open(folder: &Path) -> CommercialModels {
    let context = Context {
        settings: Settings::from_pairs([("LLMOPT_ENVIRONMENT", "testing")], "").unwrap(),
        data_dir: folder.to_owned(),
        output: Output::stdout(OutputFormat::Json),
        traces: None,
    };
    let rates = SqliteRateStore::open(&folder.join(SqliteRateStore::FILE_NAME)).unwrap();
    CommercialModels::open(&context, Arc::new(rates)).unwrap()
}

/// A table of one model.
fn table(date: &str) -> String {
    format!(
        r#"{{"format": 1, "date": "{date}", "models": [{{"id": "m", "provider": "openai", "apis": ["chat"],
            "periods": [{{"from": "2026-01-01", "source": "https://example.com", "verified": "2026-01-01",
            "price": {{"rates": {{"input": 1000, "output": 9000}}}}}}]}}]}}"#
    )
}

#[tokio::test]
async fn what_a_process_that_is_no_more_had_reserved_is_given_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let models = open(folder.path());
    let spending = models.commercial.spending();
    let all = BudgetScope::try_from("all".to_owned()).unwrap();
    let limits = BudgetLimits {
        total: Picodollars::dollars(1),
        ..BudgetLimits::default()
    };
    spending.set_budget(&all, &limits, now_ms()).await.unwrap();
    let ask = Ask {
        request: "r1".to_owned().try_into().unwrap(),
        bound: Picodollars::dollars(1).unwrap(),
        scopes: vec![all.clone()],
        asked: Asked {
            key: String::new(),
            provider: "openai".to_owned(),
            model: "m".to_owned(),
            price_version: "1".to_owned(),
        },
        now_ms: now_ms() - 2_000,
        expires_ms: now_ms() - 1_000,
    };
    spending.reserve(&ask).await.unwrap();
    let available = || async {
        spending.standing(&all, now_ms()).await.unwrap()[0]
            .row
            .available
    };
    assert_eq!(available().await, 0);

    // Whoever comes after it looks before it serves, and is asked to stop at once.
    let (asked, stop) = watch::channel(false);
    let after = tokio::spawn(open(folder.path()).look_after(stop));
    while available().await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(available().await, 1_000_000_000_000);
    asked.send(true).unwrap();
    after.await.unwrap();
}

#[tokio::test]
async fn a_newer_table_in_the_data_directory_holds_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    std::fs::write(&path, "{").unwrap();
    let models = open(folder.path());
    let built_in = PriceTable::embedded().unwrap().version().clone();
    let version = || models.commercial.prices().current().version().clone();
    assert_eq!(version(), built_in);

    std::fs::write(&path, table("2099-01-01")).unwrap();
    models.prices.look();
    assert_eq!(version().date.to_string(), "2099-01-01");
    assert!(models.price_age_days() < 0);

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    models.prices.look();
    assert!(models.prices.problem.lock().is_some());
    assert_eq!(version().date.to_string(), "2099-01-01");
    // The next process begins with it again.
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, table("2099-01-02")).unwrap();
    let next = open(folder.path());
    let date = next.commercial.prices().current().version().date;
    assert_eq!(date.to_string(), "2099-01-02");
}

//! Two providers that fail as a test wants, a budget, and what is asked with them.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use llmopt_commercial::{
    Asker, Commercial, CommercialParts, ModelLimits, Policy, PriceBook, ProviderSetup, Question,
    WhenLimited,
};
use llmopt_domain::{Conversation, Message, Picodollars, Role};
use llmopt_prices::{Ceiling, PriceTable, Provider as Seller, Region};
use llmopt_provider_mock::{Api, Exchange, Mock};
use llmopt_providers::{
    AnthropicProvider, Delivery, Dialect, EndpointSettings, FixedKey, OpenAiProvider, Provider,
    ProviderKey, RetryPolicy, Timeouts, Transport,
};
use llmopt_spending::{AlertError, AlertSink, BudgetAlert, BudgetLimits, Moment, Spending};
use llmopt_storage::{
    RateStore, SpendStore,
    spend::{BudgetRow, BudgetScope, LedgerEntry, RequestId},
};
use llmopt_storage_embedded::{SqliteRateStore, SqliteSpendStore};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A millionth of a dollar, in picodollars: what a token of a prompt costs here. One of an answer costs four.
pub(crate) const MICRO: u64 = 1_000_000;
pub(crate) const KEY: &str = "k1";
/// What is asked: three words, and the stand-in answers with five.
pub(crate) const PROMPT: &str = "one two three";
/// Longer than anything takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any reservation is good for.
const HOURS_MS: u64 = 10 * 3_600_000;

/// What a test may have another way.
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) limits: ModelLimits,
    /// What the key may spend in a day, in millionths of a dollar.
    pub(crate) budget: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            policy: Policy {
                longest_wait: ms(1_500),
                retry: RetryPolicy {
                    max_attempts: 3,
                    base: ms(2),
                    cap: ms(4),
                    longest_retry_after: ms(3_000),
                },
                retry_percent: 100,
                timeouts: Timeouts {
                    first_byte: ms(5_000),
                    idle: ms(5_000),
                    total: ms(20_000),
                },
                default_max_tokens: 20,
            },
            limits: ModelLimits::default(),
            budget: 1_000_000,
        }
    }
}

pub(crate) struct Bench {
    pub(crate) mock: Mock,
    pub(crate) store: Arc<dyn SpendStore>,
    pub(crate) commercial: Commercial,
    pub(crate) alerts: Arc<Bell>,
    _folder: TempDir,
}

/// Remembers what was told.
#[derive(Default)]
pub(crate) struct Bell(pub(crate) Mutex<Vec<BudgetAlert>>);

#[async_trait]
impl AlertSink for Bell {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        self.0.lock().push(alert.clone());
        Ok(())
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn amount(picodollars: u64) -> Picodollars {
    Picodollars::new(picodollars).unwrap()
}

pub(crate) fn scope(name: &str) -> BudgetScope {
    BudgetScope::try_from(name.to_owned()).unwrap()
}

/// A name for a request that no other has.
pub(crate) fn fresh() -> RequestId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    RequestId::try_from(format!("r{number}")).unwrap()
}

/// The model of a provider's that costs a millionth for a token in, and four for one out.
pub(crate) fn model(api: Api) -> &'static str {
    match api {
        Api::Openai => "gpt-test",
        Api::Anthropic => "claude-test",
    }
}

pub(crate) fn question(model: &str, delivery: Delivery) -> Question {
    Question {
        request: fresh(),
        asker: Asker::of_key(KEY),
        model: model.to_owned(),
        conversation: Conversation::new(vec![Message::new(Role::User, PROMPT)]),
        max_tokens: Some(20),
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        tool_choice: None,
        response_format: None,
        delivery,
        answer_by: None,
        when_limited: WhenLimited::SendBack,
    }
}

impl Bench {
    pub(crate) async fn new(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteSpendStore::open(&folder.path().join("spending.db")).unwrap();
        Self::over(setup, folder, Arc::new(store)).await
    }

    /// Makes one whose budgets are in `store`, through which the budget itself is made, too.
    pub(crate) async fn over(setup: &Setup, folder: TempDir, store: Arc<dyn SpendStore>) -> Self {
        let mock = Mock::start(0).await.unwrap();
        let alerts = Arc::new(Bell::default());
        let spending = Spending::new(Arc::clone(&store), Arc::clone(&alerts) as _);
        let limits = BudgetLimits {
            daily: Some(amount(setup.budget * MICRO)),
            ..BudgetLimits::default()
        };
        for name in [format!("key/{KEY}"), "all".to_owned()] {
            let scope = scope(&name);
            let set = spending.set_budget(&scope, &limits, now_ms());
            set.await.unwrap();
        }
        let commercial = Commercial::new(CommercialParts {
            providers: providers(&mock, setup.limits),
            aliases: aliases(),
            prices: PriceBook::new(prices()),
            spending,
            rates: rates(folder.path()),
            alerts: Arc::clone(&alerts) as _,
            policy: setup.policy,
        });
        Self {
            mock,
            store,
            commercial: commercial.unwrap(),
            alerts,
            _folder: folder,
        }
    }

    /// Waits until nothing is left to do for any request.
    pub(crate) async fn settled(&self) {
        let began = Instant::now();
        loop {
            let until = now_ms() + HOURS_MS;
            let left = self.store.unfinished(until, None, 10).await.unwrap();
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "nobody ends {left:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The requests that cost something, or may have.
    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        let mut entries = Vec::new();
        for day in Moment::new(now_ms()).last_days(2) {
            entries.extend(self.store.ledger(&day, None, 1_000).await.unwrap());
        }
        entries
    }

    /// How the budget of the key stands, which the other budget does like it.
    pub(crate) async fn row(&self) -> BudgetRow {
        let mut rows = Vec::new();
        for name in [format!("key/{KEY}"), "all".to_owned()] {
            let spending = self.commercial.spending();
            let standing = spending.standing(&scope(&name), now_ms()).await.unwrap();
            rows.push(standing.into_iter().next().unwrap().row);
        }
        let row = rows.remove(0);
        assert_eq!(row.available, rows[0].available);
        assert_eq!(row.spent, rows[0].spent);
        row
    }
}

fn prices() -> PriceTable {
    PriceTable::parse(include_bytes!("prices.json")).unwrap()
}

fn rates(folder: &Path) -> Arc<dyn RateStore> {
    Arc::new(SqliteRateStore::open(&folder.join("rates.db")).unwrap())
}

fn aliases() -> BTreeMap<String, Vec<String>> {
    let alias = |name: &str, models: &[&str]| {
        let models = models.iter().map(|&model| model.to_owned()).collect();
        (name.to_owned(), models)
    };
    [
        alias("openai-first", &["gpt-test", "claude-test"]),
        alias("anthropic-first", &["claude-test", "gpt-test"]),
        alias("gone-first", &["gone/any", "spare/any"]),
        alias("cool-first", &["gpt-cool", "gpt-test"]),
        alias("retired-next", &["gpt-test", "gpt-retired"]),
        alias("three", &["gpt-test", "spare/any", "claude-test"]),
    ]
    .into()
}

/// OpenAI and Anthropic, `eu` and `us`, which are regions of theirs, `spare` with a ceiling that is their price, `free` with a ceiling of nothing, `unpriced`
/// without one, and `gone`, where nobody listens.
fn providers(mock: &Mock, limits: ModelLimits) -> Vec<ProviderSetup> {
    let (openai, spare) = (mock.openai_url(), mock.openai_url());
    let ceiling = |input: u64, output: u64| Ceiling {
        input: amount(input * MICRO),
        output: amount(output * MICRO),
    };
    let setup = |name: &str, seller, client, ceiling| ProviderSetup {
        name: name.to_owned(),
        seller,
        region: Region::Global,
        client,
        ceiling,
        limits,
        models: BTreeMap::new(),
    };
    let of_region = |setup| ProviderSetup {
        region: Region::Regional,
        ..setup
    };
    vec![
        setup("openai", Some(Seller::Openai), speaks_openai(openai), None),
        of_region(setup(
            "eu",
            Some(Seller::Openai),
            speaks_openai(mock.openai_url()),
            None,
        )),
        setup(
            "anthropic",
            Some(Seller::Anthropic),
            speaks_anthropic(mock.url()),
            None,
        ),
        of_region(setup(
            "us",
            Some(Seller::Anthropic),
            speaks_anthropic(mock.url()),
            None,
        )),
        setup("spare", None, speaks_openai(spare), Some(ceiling(1, 4))),
        setup(
            "free",
            None,
            speaks_openai(mock.openai_url()),
            Some(ceiling(0, 0)),
        ),
        setup("unpriced", None, speaks_openai(mock.openai_url()), None),
        setup("gone", None, speaks_openai(nowhere()), Some(ceiling(1, 4))),
    ]
}

/// An address that refuses connections.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

fn settings(base_url: String) -> (Transport, EndpointSettings) {
    let key = ProviderKey::new("sk-test").unwrap();
    let settings = EndpointSettings {
        base_url,
        headers: Vec::new(),
        query: Vec::new(),
        keys: Arc::new(FixedKey(Some(key))),
    };
    (Transport::new(PATIENCE).unwrap(), settings)
}

fn speaks_openai(base_url: String) -> Arc<dyn Provider> {
    let (transport, settings) = settings(base_url);
    Arc::new(OpenAiProvider::new(transport, settings, Dialect::OPENAI).unwrap())
}

fn speaks_anthropic(base_url: String) -> Arc<dyn Provider> {
    let (transport, settings) = settings(base_url);
    Arc::new(AnthropicProvider::new(transport, settings).unwrap())
}

/// What the provider bills for what it was asked, in millionths of a dollar, rounded up.
pub(crate) fn owed(exchanges: &[Exchange]) -> u64 {
    let each = exchanges.iter().filter_map(|it| it.billed).map(|tokens| {
        // A write for a short time is a quarter dearer than input; OpenAI's are input.
        let quarters = 4 * tokens.input
            + 2 * tokens.cache_read
            + 5 * tokens.cache_write
            + 8 * tokens.cache_write_long
            + 16 * tokens.output;
        quarters.div_ceil(4)
    });
    each.sum()
}

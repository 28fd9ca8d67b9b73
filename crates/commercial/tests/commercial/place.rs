use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_commercial::{
    Answer, AnswerEvent, Asker, Commercial, CommercialError, CommercialParts, ModelLimits, Policy,
    PriceBook, ProviderSetup, Question, Receipt, WhenLimited,
};
use llmopt_domain::{Conversation, Message, Picodollars, Role};
use llmopt_prices::{Ceiling, PriceTable, Provider as Seller, Region};
use llmopt_provider_mock::Mock;
use llmopt_providers::{
    AnthropicProvider, Delivery, Dialect, EndpointSettings, FixedKey, OpenAiProvider, ProviderKey,
    RetryPolicy, Timeouts, Transport,
};
use llmopt_spending::{BudgetLimits, LogAlerts, Moment, Spending};
use llmopt_storage::{
    SpendStore,
    spend::{BudgetScope, LedgerEntry},
};
use llmopt_storage_embedded::{SqliteRateStore, SqliteSpendStore};

/// A model of OpenAI's that does not think, one of Anthropic's that may, and one that nobody has a price for.
pub(crate) const OPENAI: &str = "gpt-4o-mini";
pub(crate) const ANTHROPIC: &str = "claude-haiku-4-5";
pub(crate) const OWN: &str = "own/model-x";

/// Commercial models whose providers are one mock, on stores in a folder of its own.
pub(crate) struct Place {
    pub(crate) mock: Mock,
    pub(crate) commercial: Commercial,
    pub(crate) store: Arc<dyn SpendStore>,
    _folder: tempfile::TempDir,
}

/// What differs from one test to another.
pub(crate) struct Setup {
    pub(crate) limits: ModelLimits,
    pub(crate) aliases: BTreeMap<String, Vec<String>>,
    pub(crate) policy: Policy,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: ModelLimits::default(),
            aliases: BTreeMap::new(),
            policy: quick(),
        }
    }
}

/// Waits for milliseconds where others wait for seconds.
pub(crate) fn quick() -> Policy {
    Policy {
        longest_wait: Duration::from_millis(200),
        retry: RetryPolicy {
            base: Duration::from_millis(2),
            cap: Duration::from_millis(10),
            ..RetryPolicy::default()
        },
        timeouts: Timeouts {
            first_byte: Duration::from_millis(300),
            idle: Duration::from_millis(300),
            total: Duration::from_secs(10),
        },
        ..Policy::default()
    }
}

pub(crate) fn per_minute(requests: u32) -> ModelLimits {
    ModelLimits {
        requests_per_minute: NonZeroU32::new(requests),
        tokens_per_minute: None,
    }
}

impl Place {
    pub(crate) async fn new(setup: Setup) -> Self {
        let mock = Mock::start(0).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn SpendStore> =
            Arc::new(SqliteSpendStore::open(&folder.path().join("spending.db")).unwrap());
        let rates = SqliteRateStore::open(&folder.path().join("rates.db")).unwrap();
        let transport = Transport::new(Duration::from_secs(2)).unwrap();
        let settings = |base_url: String| EndpointSettings {
            base_url,
            headers: Vec::new(),
            query: Vec::new(),
            keys: Arc::new(FixedKey(Some(ProviderKey::new("sk-canary").unwrap()))),
        };
        let openai = |dialect| {
            OpenAiProvider::new(transport.clone(), settings(mock.openai_url()), dialect).unwrap()
        };
        let anthropic = AnthropicProvider::new(transport.clone(), settings(mock.url())).unwrap();
        let provider = |name: &str, seller| ProviderSetup {
            name: name.to_owned(),
            seller,
            region: Region::Global,
            client: match seller {
                Some(Seller::Anthropic) => Arc::new(anthropic.clone()),
                Some(Seller::Openai) => Arc::new(openai(Dialect::OPENAI)),
                None => Arc::new(openai(Dialect::VLLM)),
            },
            ceiling: seller.is_none().then_some(Ceiling {
                input: Picodollars::new(1_000_000).unwrap(),
                output: Picodollars::new(1_000_000).unwrap(),
            }),
            limits: setup.limits,
            models: BTreeMap::new(),
        };
        let spending = Spending::new(Arc::clone(&store), Arc::new(LogAlerts));
        let commercial = Commercial::new(CommercialParts {
            providers: vec![
                provider("openai", Some(Seller::Openai)),
                provider("anthropic", Some(Seller::Anthropic)),
                provider("own", None),
            ],
            aliases: setup.aliases,
            prices: PriceBook::new(PriceTable::embedded().unwrap()),
            spending,
            rates: Arc::new(rates),
            alerts: Arc::new(LogAlerts),
            policy: setup.policy,
        });
        Self {
            mock,
            commercial: commercial.unwrap(),
            store,
            _folder: folder,
        }
    }

    /// Returns what the ledger has of today, in order.
    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        let day = Moment::new(now_ms()).day;
        self.store.ledger(&day, None, 1_000).await.unwrap()
    }

    /// Lets everybody together spend so much.
    pub(crate) async fn budget(&self, picodollars: u64) {
        let limits = BudgetLimits {
            total: Picodollars::new(picodollars),
            ..BudgetLimits::default()
        };
        let spending = self.commercial.spending();
        spending
            .set_budget(&all(), &limits, now_ms())
            .await
            .unwrap();
    }

    /// Returns what is spent and what is held of the budget of everybody.
    pub(crate) async fn spent_and_held(&self) -> (u64, usize) {
        let spending = self.commercial.spending();
        let standing = spending.standing(&all(), now_ms()).await.unwrap();
        let row = &standing.last().unwrap().row;
        (row.spent.get(), row.holds.len())
    }
}

pub(crate) fn all() -> BudgetScope {
    BudgetScope::try_from("all".to_owned()).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn question(name: &str, model: &str) -> Question {
    Question {
        request: name.to_owned().try_into().unwrap(),
        asker: Asker::of_key("key-1"),
        model: model.to_owned(),
        conversation: Conversation {
            messages: vec![Message::new(Role::User, "one two three")],
            tools: Vec::new(),
        },
        max_tokens: Some(10),
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        tool_choice: None,
        response_format: None,
        delivery: Delivery::Stream,
        answer_by: None,
        when_limited: WhenLimited::SendBack,
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(mut answer: Answer) -> Result<(String, Receipt), CommercialError> {
    let mut text = String::new();
    loop {
        match answer.events.recv().await.unwrap()? {
            AnswerEvent::Text(part) => text.push_str(&part),
            AnswerEvent::ToolCall(_) => {}
            AnswerEvent::Finished(receipt) => return Ok((text, *receipt)),
        }
    }
}

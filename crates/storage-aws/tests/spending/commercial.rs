//! The same with questions to a commercial model: however many processes ask at once, hang up and are killed, a
//! budget is never overspent, and every answer that was begun is billed.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_commercial::{
    AnswerEvent, Asker, Commercial, CommercialError, CommercialParts, ModelLimits, Policy,
    PriceBook, ProviderSetup, Question, Quote, WhenLimited,
};
use llmopt_domain::{Conversation, Message, Role};
use llmopt_prices::{Ceiling, PriceTable, Region};
use llmopt_provider_mock::{Behaviour, Mock, Tokens};
use llmopt_providers::{
    Delivery, Dialect, EndpointSettings, FixedKey, OpenAiProvider, ProviderKey, Transport,
};
use llmopt_spending::{BudgetLimits, LogAlerts, Moment, Spending, Swept};
use llmopt_storage::{
    SpendStore,
    spend::{Basis, BudgetRow, BudgetScope, LedgerEntry, RequestId},
};
use llmopt_storage_aws::{Aws, DynamoSpendStore};
use llmopt_storage_embedded::{SqliteRateStore, SqliteSpendStore};
use tokio::{task::JoinSet, time::sleep};

use super::{DATABASE, HOUR_MS, NAME, Process, REQUESTS, Sqlite, TABLE, amount, now_ms, start};

/// Where the provider is.
const PROVIDER: &str = "SPENDER_PROVIDER";
/// Set, every third caller goes away after some words of its answer.
const HANG_UPS: &str = "SPENDER_HANG_UPS";
/// Questions that the budget has money for.
const FUNDED: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(60);
const MICRO: u64 = 1_000_000;

fn all() -> BudgetScope {
    BudgetScope::try_from("all".to_owned()).unwrap()
}

/// One server of one's own, a token of which costs a millionth of a dollar in and four out, without limits.
fn commercial(store: Arc<dyn SpendStore>, provider: &str, folder: &Path) -> Commercial {
    let key = ProviderKey::new("sk-test").unwrap();
    let settings = EndpointSettings {
        base_url: provider.to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        keys: Arc::new(FixedKey(Some(key))),
    };
    let transport = Transport::new(PATIENCE).unwrap();
    let client = OpenAiProvider::new(transport, settings, Dialect::OPENAI).unwrap();
    let own = ProviderSetup {
        name: "own".to_owned(),
        seller: None,
        region: Region::Global,
        client: Arc::new(client),
        ceiling: Some(Ceiling {
            input: amount(MICRO),
            output: amount(4 * MICRO),
        }),
        limits: ModelLimits::default(),
        models: BTreeMap::new(),
    };
    let rates = SqliteRateStore::open(&folder.join(SqliteRateStore::FILE_NAME)).unwrap();
    let parts = CommercialParts {
        providers: vec![own],
        aliases: BTreeMap::new(),
        prices: PriceBook::new(PriceTable::embedded().unwrap()),
        spending: Spending::new(store, Arc::new(LogAlerts)),
        rates: Arc::new(rates),
        alerts: Arc::new(LogAlerts),
        policy: Policy::default(),
    };
    Commercial::new(parts).unwrap()
}

/// A question that is as long as every other.
fn question(name: &str, number: usize) -> Question {
    Question {
        request: RequestId::try_from(format!("{name}-{number:03}")).unwrap(),
        asker: Asker::of_key("key"),
        model: "own/any".to_owned(),
        conversation: Conversation::new(vec![Message::new(Role::User, "one two three")]),
        max_tokens: Some(9),
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

/// Returns whether it was answered to its end; a budget that has less is the only other thing that may be.
async fn is_answered(commercial: &Commercial, question: Question, parts: Option<usize>) -> bool {
    let mut answer = match commercial.ask(question).await {
        Ok(answer) => answer,
        Err(error) => {
            let is_refused = matches!(error, CommercialError::Budget { .. });
            assert!(is_refused, "{error:?}");
            return false;
        }
    };
    for _ in 0..parts.unwrap_or(usize::MAX) {
        if let AnswerEvent::Finished(_) = answer.events.recv().await.unwrap().unwrap() {
            return true;
        }
    }
    false
}

/// Asks all its questions at once, and says how many were answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below"]
async fn asker() {
    let store: Arc<dyn SpendStore> = match env::var(DATABASE) {
        Ok(path) => Arc::new(SqliteSpendStore::open(Path::new(&path)).unwrap()),
        Err(_) => {
            let table = env::var(TABLE).unwrap();
            Arc::new(DynamoSpendStore::new(&Aws::connect().await, &table))
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let provider = env::var(PROVIDER).unwrap();
    let (commercial, name) = (
        commercial(store, &provider, folder.path()),
        env::var(NAME).unwrap(),
    );
    let mut questions = JoinSet::new();
    for number in 0..REQUESTS {
        let hangs_up = env::var_os(HANG_UPS).is_some() && number % 3 == 0;
        let parts = hangs_up.then_some(number % 4);
        let (commercial, question) = (commercial.clone(), question(&name, number));
        questions.spawn(async move { is_answered(&commercial, question, parts).await });
    }
    let answered = questions.join_all().await;
    let answered = answered.iter().filter(|is_answered| **is_answered).count();
    // What settles after its caller went away.
    sleep(Duration::from_millis(500)).await;
    println!("answered {answered}.");
}

/// A budget for [`FUNDED`] questions, and a provider that bills for each as much as is reserved for it.
struct Bench {
    mock: Mock,
    store: Arc<dyn SpendStore>,
    commercial: Commercial,
    quote: Quote,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new(store: Arc<dyn SpendStore>) -> Self {
        let mock = Mock::start(0).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let commercial = commercial(Arc::clone(&store), &mock.openai_url(), folder.path());
        let quote = commercial.quote(&question("first0", 0)).unwrap();
        let limits = BudgetLimits {
            total: Some(amount(FUNDED * quote.bound.get())),
            ..BudgetLimits::default()
        };
        let spending = commercial.spending();
        spending
            .set_budget(&all(), &limits, now_ms())
            .await
            .unwrap();
        let bench = Self {
            mock,
            store,
            commercial,
            quote,
            _folder: folder,
        };
        bench.answer(Behaviour::default());
        bench
    }

    /// Has every question answered like this, at its bound.
    fn answer(&self, behaviour: Behaviour) {
        let tokens = Tokens {
            input: self.quote.most_prompt_tokens,
            output: self.quote.most_output_tokens,
            ..Tokens::default()
        };
        self.mock.for_model(
            "any",
            Behaviour {
                tokens: Some(tokens),
                text: Some("word ".repeat(9)),
                ..behaviour
            },
        );
    }

    fn environment<'a>(
        &self,
        url: &'a str,
        more: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        more.iter().copied().chain([(PROVIDER, url)]).collect()
    }

    /// Has 200 questions of four processes asked at once and returns how many were answered.
    fn answered(&self, prefix: &str, more: &[(&str, &str)]) -> u64 {
        let url = self.mock.openai_url();
        let environment = self.environment(&url, more);
        let mut processes = start("commercial::asker", prefix, &environment);
        let answered = processes.iter_mut().map(|it| it.numbers("answered ")[0]);
        let answered = answered.sum();
        processes.into_iter().for_each(Process::end);
        answered
    }

    /// Returns the budget's row, which is not overspent, and the ledger, whose costs it has spent.
    async fn books(&self) -> (BudgetRow, Vec<LedgerEntry>) {
        let spending = self.commercial.spending();
        let standing = spending.standing(&all(), now_ms()).await.unwrap();
        let row = standing[0].row.clone();
        assert!(row.available >= 0, "{row:?}");
        let limit = FUNDED * self.quote.bound.get();
        let taken = row.spent.get() + row.reserved().get();
        assert_eq!(u64::try_from(row.available).unwrap() + taken, limit);
        let mut ledger = Vec::new();
        for day in Moment::new(now_ms()).last_days(2) {
            ledger.extend(self.store.ledger(&day, None, 1_000).await.unwrap());
        }
        (row, ledger)
    }

    async fn sweep(&self) -> Swept {
        let spending = self.commercial.spending();
        let swept = spending.sweep(now_ms() + 10 * HOUR_MS).await.unwrap();
        assert_eq!(swept.failed, 0, "{swept:?}");
        swept
    }

    /// Waits until the provider was asked so often.
    async fn is_asked(&self, times: usize) {
        let began = Instant::now();
        while self.mock.exchanges().len() < times {
            assert!(began.elapsed() < PATIENCE, "nobody asks");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until so much of the budget is taken, if that takes no longer than a process lives.
    async fn is_taken(&self, questions: u64) {
        for _ in 0..300 {
            let (row, _) = self.books().await;
            let taken = row.spent.get() + row.reserved().get();
            if taken >= questions * self.quote.bound.get() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Checks that what the provider bills is in the ledger.
    async fn covers_what_is_owed(&self) {
        let (_, ledger) = self.books().await;
        let billed = self.mock.exchanges().into_iter().filter_map(|it| it.billed);
        let owed: u64 = billed.map(|it| (it.input + 4 * it.output) * MICRO).sum();
        let costs: u64 = ledger.iter().map(|entry| entry.cost.get()).sum();
        assert!(costs >= owed, "{costs} is billed, and {owed} is owed");
    }
}

pub(super) async fn exactly_fifty_are_answered(
    store: Arc<dyn SpendStore>,
    environment: &[(&str, &str)],
) {
    let bench = Bench::new(store).await;
    assert_eq!(bench.answered("first", environment), FUNDED);
    assert_eq!(bench.mock.exchanges().len() as u64, FUNDED);
    let (row, ledger) = bench.books().await;
    assert_eq!((row.available, row.holds.len()), (0, 0));
    assert_eq!(ledger.len() as u64, FUNDED);
    let bound = bench.quote.bound;
    assert!(
        ledger
            .iter()
            .all(|it| it.cost == bound && it.basis == Basis::Measured)
    );
    assert_eq!(bench.sweep().await, Swept::default());
}

pub(super) async fn killed_processes_are_billed_what_they_may_have_used(
    store: Arc<dyn SpendStore>,
    environment: &[(&str, &str)],
) {
    let bench = Bench::new(store).await;
    // No answer comes before they are killed.
    bench.answer(Behaviour {
        head_ms: 3_600_000,
        ..Behaviour::default()
    });
    let url = bench.mock.openai_url();
    let processes = start(
        "commercial::asker",
        "held",
        &bench.environment(&url, environment),
    );
    bench.is_asked(usize::try_from(FUNDED).unwrap()).await;
    processes.into_iter().for_each(Process::kill);
    let (row, ledger) = bench.books().await;
    assert_eq!((row.available, row.spent.get(), ledger.len()), (0, 0, 0));
    assert_eq!(bench.sweep().await.settled, FUNDED);
    let (row, ledger) = bench.books().await;
    assert_eq!((row.available, row.holds.len()), (0, 0));
    assert!(ledger.iter().all(|it| it.basis == Basis::Assumed));
    bench.answer(Behaviour::default());
    assert_eq!(bench.answered("later", environment), 0);
}

pub(super) async fn kills_and_hang_ups_leave_a_budget_that_adds_up(
    store: Arc<dyn SpendStore>,
    environment: &[(&str, &str)],
) {
    let bench = Bench::new(store).await;
    let url = bench.mock.openai_url();
    bench.answer(Behaviour {
        event_ms: 10,
        ..Behaviour::default()
    });
    let mut with_hang_ups = bench.environment(&url, environment);
    with_hang_ups.push((HANG_UPS, "1"));
    let mut taken = 0;
    for round in 0..2 {
        for process in start(
            "commercial::asker",
            &format!("round{round}-"),
            &with_hang_ups,
        ) {
            taken += 4;
            bench.is_taken(taken).await;
            process.kill();
        }
    }
    // What a killed process had sent to the store may arrive a moment later.
    sleep(Duration::from_secs(1)).await;
    bench.sweep().await;
    bench.sweep().await;
    bench.covers_what_is_owed().await;
    let (row, before) = bench.books().await;
    assert_eq!(row.holds.len(), 0);
    // Otherwise nobody was killed in the middle.
    assert!(before.iter().any(|entry| entry.basis == Basis::Assumed));
    let left = u64::try_from(row.available).unwrap() / bench.quote.bound.get();
    bench.answer(Behaviour::default());
    assert_eq!(bench.answered("last", environment), left);
    let (row, after) = bench.books().await;
    assert_eq!(row.holds.len(), 0);
    assert_eq!(after.len() as u64, before.len() as u64 + left);
    bench.covers_what_is_owed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_questions_in_four_processes_exactly_fifty_are_answered_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    exactly_fifty_are_answered(sqlite.store(), &[(DATABASE, &path)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_of_killed_processes_are_billed_what_they_may_have_used_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    let environment = [(DATABASE, path.as_str())];
    killed_processes_are_billed_what_they_may_have_used(sqlite.store(), &environment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_hang_ups_leave_a_budget_that_adds_up_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    let environment = [(DATABASE, path.as_str())];
    kills_and_hang_ups_leave_a_budget_that_adds_up(sqlite.store(), &environment).await;
}

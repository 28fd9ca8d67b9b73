//! Several processes that ask for money at once are granted exactly what a budget has, and what they held when
//! they were killed is billed if it may have been sent, and else given back, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "a process that spends is told by the environment where"
)]

mod commercial;
mod dynamodb;

use std::{
    env,
    future::pending,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_spending::{
    Ask, BudgetLimits, LogAlerts, Moment, Outcome, Settlement, Spending, Swept, Truth,
};
use llmopt_storage::{
    SpendStore,
    spend::{Asked, BudgetRow, BudgetScope, RequestId, Reservation},
};
use llmopt_storage_aws::{Aws, DynamoSpendStore};
use llmopt_storage_embedded::SqliteSpendStore;
use tokio::{task::JoinSet, time::sleep};

const DATABASE: &str = "SPENDER_DATABASE";
const TABLE: &str = "SPENDER_TABLE";
/// Names a process, and its requests after it.
const NAME: &str = "SPENDER_NAME";
const PROCESSES: usize = 4;
/// Requests of each process.
const REQUESTS: usize = 50;
const BOUND: u64 = 10;
/// For 50 requests.
const LIMIT: u64 = 50 * BOUND;
const HOUR_MS: u64 = 3_600_000;

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn amount(picodollars: u64) -> Picodollars {
    Picodollars::new(picodollars).unwrap()
}

fn team() -> BudgetScope {
    BudgetScope::try_from("team".to_owned()).unwrap()
}

fn spending(store: Arc<dyn SpendStore>) -> Spending {
    Spending::new(store, Arc::new(LogAlerts))
}

fn ask(name: &str, number: usize) -> Ask {
    let now_ms = now_ms();
    Ask {
        request: RequestId::try_from(format!("{name}-{number}")).unwrap(),
        bound: amount(BOUND),
        scopes: vec![team()],
        asked: Asked {
            key: "key".to_owned(),
            model: "gpt".to_owned(),
            provider: "openai".to_owned(),
            price_version: "1".to_owned(),
        },
        now_ms,
        expires_ms: now_ms + 60_000,
    }
}

/// The store that the tests below name, and the process's own name.
async fn told() -> (Spending, String) {
    let store: Arc<dyn SpendStore> = match env::var(DATABASE) {
        Ok(path) => Arc::new(SqliteSpendStore::open(Path::new(&path)).unwrap()),
        Err(_) => {
            let table = env::var(TABLE).unwrap();
            Arc::new(DynamoSpendStore::new(&Aws::connect().await, &table))
        }
    };
    (spending(store), env::var(NAME).unwrap())
}

async fn reserve(spending: &Spending, name: &str, number: usize) -> Option<Reservation> {
    let outcome = spending.reserve(&ask(name, number)).await.unwrap();
    assert!(!matches!(outcome, Outcome::Replay(_)), "{outcome:?}");
    match outcome {
        Outcome::Reserved(reservation) => Some(reservation),
        Outcome::Refused(_) | Outcome::Replay(_) => None,
    }
}

/// Asks for all its requests at once, sends and settles what it is granted, and says how many that were.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below"]
async fn settler() {
    let (spending, name) = told().await;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (spending, name) = (spending.clone(), name.clone());
        requests.spawn(async move {
            let Some(reserved) = reserve(&spending, &name, number).await else {
                return 0;
            };
            let sent = spending.mark_sent(&reserved).await.unwrap();
            let truth = Truth {
                usage: TokenUsage::default(),
                cost: amount(BOUND),
                asked: sent.asked.clone(),
                attempts: Vec::new(),
                is_assumed: false,
                overrun: None,
                now_ms: now_ms(),
            };
            let settled = spending.settle(&sent, &truth).await.unwrap();
            assert!(matches!(settled, Settlement::Settled(_)), "{settled:?}");
            1
        });
    }
    let granted: usize = requests.join_all().await.into_iter().sum();
    println!("granted {granted}.");
}

/// Asks for all its requests at once, sends every other one that it is granted, says how many it holds and sent,
/// and never comes back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below, which kill it"]
async fn holder() {
    let (spending, name) = told().await;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (spending, name) = (spending.clone(), name.clone());
        requests.spawn(async move {
            let reserved = reserve(&spending, &name, number).await?;
            if number % 2 == 1 {
                return Some(false);
            }
            spending.mark_sent(&reserved).await.unwrap();
            Some(true)
        });
    }
    let held: Vec<bool> = requests.join_all().await.into_iter().flatten().collect();
    let sent = held.iter().filter(|is_sent| **is_sent).count();
    writeln!(std::io::stdout(), "holds {} {sent}", held.len()).unwrap();
    pending::<()>().await;
}

/// A process of one of the tests above.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where its temporary folders are: one that is killed leaves them.
    _temporary: tempfile::TempDir,
}

impl Process {
    fn start(what: &str, name: &str, environment: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", what, "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .env(NAME, name)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            _temporary: temporary,
        }
    }

    /// Waits for the line that begins with `word` and returns its numbers.
    fn numbers(&mut self, word: &str) -> Vec<u64> {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        // The harness may have begun the line.
        let said = lines.find_map(|line| Some(line.split_once(word)?.1.to_owned()));
        let said = said.unwrap();
        let numbers = said.split(|c: char| !c.is_ascii_digit());
        let numbers = numbers.filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        let rest: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        assert!(self.child.wait().unwrap().success(), "{rest:#?}");
    }
}

fn start(what: &str, prefix: &str, environment: &[(&str, &str)]) -> Vec<Process> {
    let names = (0..PROCESSES).map(|number| format!("{prefix}{number}"));
    names
        .map(|name| Process::start(what, &name, environment))
        .collect()
}

/// Has 200 requests of four processes settled at once and returns how many were granted.
fn granted(prefix: &str, environment: &[(&str, &str)]) -> u64 {
    let mut processes = start("settler", prefix, environment);
    let granted = processes.iter_mut().map(|it| it.numbers("granted ")[0]);
    let granted = granted.sum();
    processes.into_iter().for_each(Process::end);
    granted
}

struct Budget {
    store: Arc<dyn SpendStore>,
    spending: Spending,
}

impl Budget {
    async fn make(store: Arc<dyn SpendStore>) -> Self {
        let spending = spending(Arc::clone(&store));
        let limits = BudgetLimits {
            total: Some(amount(LIMIT)),
            ..BudgetLimits::default()
        };
        spending
            .set_budget(&team(), &limits, now_ms())
            .await
            .unwrap();
        Self { store, spending }
    }

    /// Returns the budget's row, which adds up, and the costs in the ledger, which it has spent.
    async fn row(&self) -> (BudgetRow, Vec<u64>) {
        let standing = self.spending.standing(&team(), now_ms()).await.unwrap();
        let row = standing[0].row.clone();
        let taken = row.spent.get() + row.reserved().get();
        assert_eq!(
            row.available,
            i64::try_from(LIMIT).unwrap() - i64::try_from(taken).unwrap()
        );
        assert!(row.available >= 0, "{row:?}");
        let mut costs = Vec::new();
        for day in Moment::new(now_ms()).last_days(2) {
            let entries = self.store.ledger(&day, None, 1_000).await.unwrap();
            costs.extend(entries.iter().map(|entry| entry.cost.get()));
        }
        (row, costs)
    }

    /// Waits until so many requests have a part of the budget, if that takes no longer than a process lives.
    async fn wait_for(&self, requests: u64) {
        for _ in 0..300 {
            let (row, _) = self.row().await;
            if row.spent.get() + row.reserved().get() >= requests * BOUND {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn sweep(&self) -> Swept {
        let swept = self.spending.sweep(now_ms() + HOUR_MS).await.unwrap();
        assert_eq!(swept.failed, 0, "{swept:?}");
        swept
    }
}

async fn exactly_fifty_are_granted(store: Arc<dyn SpendStore>, environment: &[(&str, &str)]) {
    let budget = Budget::make(store).await;
    assert_eq!(granted("first", environment), 50);
    let (row, costs) = budget.row().await;
    assert_eq!(
        (row.available, row.spent.get(), row.holds.len()),
        (0, LIMIT, 0)
    );
    assert_eq!(costs, [BOUND; 50]);
    assert_eq!(budget.sweep().await, Swept::default());
}

async fn killed_processes_bill_what_they_sent(
    store: Arc<dyn SpendStore>,
    environment: &[(&str, &str)],
) {
    let budget = Budget::make(store).await;
    let mut processes = start("holder", "held", environment);
    let (mut held, mut sent) = (0, 0);
    for process in &mut processes {
        let numbers = process.numbers("holds ");
        held += numbers[0];
        sent += numbers[1];
    }
    assert_eq!(held, 50);
    processes.into_iter().for_each(Process::kill);
    let (row, costs) = budget.row().await;
    assert_eq!(
        (row.available, row.reserved().get(), costs.len()),
        (0, LIMIT, 0)
    );
    let swept = budget.sweep().await;
    assert_eq!((swept.settled, swept.released), (sent, held - sent));
    let (row, costs) = budget.row().await;
    assert_eq!((row.spent.get(), row.holds.len()), (sent * BOUND, 0));
    assert_eq!(costs, vec![BOUND; usize::try_from(sent).unwrap()]);
    // Others have what is left, and no more.
    assert_eq!(granted("later", environment), held - sent);
    assert_eq!(budget.row().await.0.available, 0);
}

async fn processes_killed_at_any_moment_leave_a_budget_that_adds_up(
    store: Arc<dyn SpendStore>,
    environment: &[(&str, &str)],
) {
    let budget = Budget::make(store).await;
    let mut requests = 0;
    for round in 0..3 {
        for process in start("settler", &format!("round{round}-"), environment) {
            requests += 3;
            budget.wait_for(requests).await;
            process.kill();
        }
    }
    // What a killed process had sent to the store may arrive a moment later.
    sleep(Duration::from_secs(1)).await;
    budget.sweep().await;
    budget.sweep().await;
    let (row, costs) = budget.row().await;
    assert_eq!(row.holds.len(), 0);
    assert_eq!(row.spent.get(), costs.iter().sum::<u64>());
    assert!(costs.iter().all(|cost| *cost == BOUND));
    let left = u64::try_from(row.available).unwrap() / BOUND;
    assert_eq!(granted("last", environment), left);
    assert_eq!(budget.row().await.1.len(), 50);
}

struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> String {
        let path = self.folder.path().join(SqliteSpendStore::FILE_NAME);
        path.to_str().unwrap().to_owned()
    }

    fn store(&self) -> Arc<dyn SpendStore> {
        Arc::new(SqliteSpendStore::open(Path::new(&self.path())).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_requests_in_four_processes_exactly_fifty_are_granted_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    exactly_fifty_are_granted(sqlite.store(), &[(DATABASE, &path)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_bill_what_they_sent_and_nothing_else_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    killed_processes_bill_what_they_sent(sqlite.store(), &[(DATABASE, &path)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_any_moment_leave_a_budget_that_adds_up_in_sqlite() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    processes_killed_at_any_moment_leave_a_budget_that_adds_up(
        sqlite.store(),
        &[(DATABASE, &path)],
    )
    .await;
}

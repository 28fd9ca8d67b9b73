//! Any requests, budgets and sweeps at once, whose processes die and whose calls are lost, late and in any order.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore,
    spend::{RequestId, TOLD, signed},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    memory::{Bug, Fate, MemoryStore},
    process::{Bell, PATIENCE_MS, Plan, Process, Shared, amount, request, scope},
};
use crate::{BudgetLimits, Spending, Swept};

/// 2026-11-26T23:58:00Z: a day may end in between.
const BEGIN_MS: u64 = 1_795_737_480_000;
const HOUR_MS: u64 = 3_600_000;
/// Turns that a case has at most, before it is taken to go round in circles.
const MOST_TURNS: u32 = 50_000;

/// What happens, and in which order: when it is used up, everybody goes on in turn and nothing goes wrong.
#[derive(Clone, Default)]
struct Choices {
    left: Arc<Mutex<std::vec::IntoIter<u8>>>,
    /// Whether nothing goes wrong anyway.
    is_calm: bool,
}

impl Choices {
    fn next(&self) -> Option<u8> {
        self.left.lock().unwrap().next()
    }

    fn fate(&self) -> Fate {
        if self.is_calm {
            return Fate::Answered;
        }
        match self.next().map(|choice| choice % 24) {
            Some(0) => Fate::Lost,
            Some(1) => Fate::Unanswered,
            Some(2) => Fate::Late,
            _ => Fate::Answered,
        }
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case: what is wanted, and what happens.
#[derive(Clone, Debug)]
struct Case {
    plans: Vec<Plan>,
    /// What a budget is changed to while requests are open.
    limits: Vec<u64>,
    choices: Vec<u8>,
    /// Whether nothing is lost, late or killed, and no time passes.
    is_calm: bool,
    /// Whether the store does several steps at once.
    is_quick: bool,
}

struct Run {
    store: Arc<MemoryStore>,
    spending: Spending,
    world: Shared,
    choices: Choices,
}

impl Run {
    fn new(case: &Case, bug: Option<Bug>) -> Self {
        let choices = Choices {
            is_calm: case.is_calm,
            ..Choices::default()
        };
        let fates = choices.clone();
        let store = Arc::new(MemoryStore::new(Box::new(move || fates.fate()), bug));
        store.memory().is_quick = case.is_quick;
        let world = Shared::default();
        world.lock().unwrap().now_ms = BEGIN_MS;
        let port: Arc<dyn SpendStore> = Arc::clone(&store) as _;
        let spending = Spending::new(port, Arc::new(Bell(Arc::clone(&world))));
        let run = Self {
            store,
            spending,
            world,
            choices,
        };
        run.make_budgets();
        *run.choices.left.lock().unwrap() = case.choices.clone().into_iter();
        run
    }

    fn make_budgets(&self) {
        let limits = [
            ("key/a", Some(25), None),
            ("team", None, Some(40)),
            ("all", Some(60), None),
        ];
        for (name, daily, total) in limits {
            let wanted = BudgetLimits {
                daily: daily.map(amount),
                total: total.map(amount),
                alert_percent: vec![50, 100],
                monthly: None,
            };
            let spending = self.spending.clone();
            let task =
                async move { drop(spending.set_budget(&scope(name), &wanted, BEGIN_MS).await) };
            finish(Box::pin(task));
        }
    }

    fn tasks(&self, case: &Case) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        for (number, plan) in case.plans.iter().enumerate() {
            for _ in 0..1 + u8::from(plan.asks_twice) {
                let process = Process {
                    spending: self.spending.clone(),
                    world: Arc::clone(&self.world),
                    request: request(number),
                    plan: *plan,
                };
                tasks.push(Box::pin(process.run()));
            }
        }
        let limits = case.limits.clone();
        let (spending, world) = (self.spending.clone(), Arc::clone(&self.world));
        tasks.push(Box::pin(async move {
            for limit in limits {
                let wanted = BudgetLimits {
                    total: Some(amount(limit)),
                    alert_percent: vec![50, 100],
                    ..BudgetLimits::default()
                };
                let now_ms = world.lock().unwrap().now_ms;
                drop(spending.set_budget(&scope("team"), &wanted, now_ms).await);
            }
        }));
        for _ in 0..2 {
            tasks.push(self.sweeper(2));
        }
        tasks
    }

    fn sweeper(&self, sweeps: u32) -> Task {
        let (spending, world) = (self.spending.clone(), Arc::clone(&self.world));
        Box::pin(async move {
            for _ in 0..sweeps {
                let now_ms = world.lock().unwrap().now_ms;
                if let Ok(swept) = spending.sweep(now_ms).await {
                    world.lock().unwrap().swept.push(swept);
                }
            }
        })
    }

    /// Lets the tasks go on until all have ended or died.
    fn turn(&mut self, mut tasks: Vec<Task>) -> Result<(), String> {
        for _ in 0..MOST_TURNS {
            if tasks.is_empty() {
                return Ok(());
            }
            let at = usize::from(self.choices.next().unwrap_or_default()) % tasks.len();
            let event = self.choices.next().map(|choice| choice % 32);
            match event.filter(|_| !self.choices.is_calm) {
                Some(0) => drop(tasks.swap_remove(at)),
                Some(1) => self.world.lock().unwrap().now_ms += PATIENCE_MS / 2 + 1,
                Some(2 | 3) => drop(self.store.arrive(self.choices.next().unwrap_or_default())),
                _ => {
                    if poll(&mut tasks[at]) {
                        drop(tasks.swap_remove(at));
                    }
                }
            }
            if let Some(broken) = self.store.memory().broken.take() {
                return Err(broken);
            }
        }
        Err("it goes round in circles".to_owned())
    }

    /// Lets everything arrive that is late, and sweeps until nothing is left.
    fn settle_down(&mut self) -> Result<(), String> {
        while self.store.arrive(0) {}
        *self.choices.left.lock().unwrap() = Vec::new().into_iter();
        for _ in 0..3 {
            self.world.lock().unwrap().now_ms += HOUR_MS / 3;
            let sweeper = self.sweeper(1);
            self.turn(vec![sweeper])?;
        }
        Ok(())
    }

    fn check(&self, case: &Case) -> Result<(), String> {
        let memory = self.store.memory();
        for (key, row) in &memory.rows {
            let spent: Picodollars = memory
                .ledger
                .values()
                .filter(|entry| entry.rows.contains(key))
                .map(|entry| entry.cost)
                .sum();
            let is_even = row.available == signed(row.limit.amount) - signed(spent);
            if !row.holds.is_empty() || row.spent != spent || !is_even {
                return Err(format!("`{key}` should have {spent} spent: {row:?}"));
            }
            let alerts = &self.world.lock().unwrap().alerts;
            // One whose teller died is told by a sweep, unless the limit was raised meanwhile.
            let due = row.due_alerts(TOLD - 1);
            let told = row.alerts.iter().filter(|(_, until_ms)| **until_ms == TOLD);
            for percent in due.iter().chain(told.map(|(percent, _)| percent)) {
                let name = format!("{key}#{percent}");
                let told = alerts.iter().filter(|it| it.id() == name).count() as u64;
                if told == 0 || (told > 1 && case.is_calm) {
                    return Err(format!("alert `{name}` was told {told} times"));
                }
            }
        }
        for reservation in memory.reservations.values() {
            if reservation.forget_ms.is_none() {
                return Err(format!("it is not closed: {reservation:?}"));
            }
        }
        drop(memory);
        for (number, plan) in case.plans.iter().enumerate() {
            self.check_request(&request(number), *plan, case.is_calm)?;
        }
        Ok(())
    }

    /// A request is billed once: at what it cost or, where nobody came back, at its bound.
    fn check_request(&self, request: &RequestId, plan: Plan, is_calm: bool) -> Result<(), String> {
        let memory = self.store.memory();
        let world = self.world.lock().unwrap();
        let billed = memory.ledger.get(request);
        let cost = billed.map(|entry| entry.cost.get());
        let sent = world.sent.get(request).copied().unwrap_or_default();
        let wrong = |what: &str| Err(format!("`{request}` {what}: {plan:?}, billed {billed:?}"));
        if sent > 1 {
            return wrong("was sent twice");
        }
        if sent == 1 && world.refused.contains(request) {
            return wrong("was refused and sent");
        }
        if let Some(told) = world.told.get(request)
            && billed != Some(told)
        {
            return wrong("was told another cost");
        }
        match cost {
            None if sent == 1 => wrong("was sent for nothing"),
            Some(_) if !world.marking.contains(request) => wrong("was not sent and is billed"),
            Some(cost) if sent == 1 && ![plan.cost, plan.bound].contains(&cost) => {
                wrong("is billed something else")
            }
            Some(cost) if is_calm && cost != plan.cost => wrong("is billed another cost"),
            Some(cost) if sent == 0 && ![0, plan.bound].contains(&cost) => {
                wrong("is billed what it never cost")
            }
            _ => Ok(()),
        }
    }
}

fn poll(task: &mut Task) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(task.as_mut().poll(&mut context), Poll::Ready(()))
}

fn finish(mut task: Task) {
    while !poll(&mut task) {}
}

fn run(case: &Case, bug: Option<Bug>) -> Result<(), String> {
    let mut run = Run::new(case, bug);
    let tasks = run.tasks(case);
    run.turn(tasks)?;
    run.settle_down()?;
    run.check(case)
}

fn plans() -> impl Strategy<Value = Plan> {
    let parts = (1..=12_u64, 0..=13_u64, 0..6_u8, any::<bool>(), 0..4_u8);
    parts.prop_map(|(bound, cost, gives_up, is_prompt, twice)| Plan {
        bound,
        cost,
        gives_up: gives_up == 0,
        is_prompt,
        asks_twice: twice == 0,
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let choices = vec(any::<u8>(), 0..600);
    let limits = vec(1..60_u64, 0..4);
    let parts = (vec(plans(), 1..8), limits, choices, 0..8_u8, any::<bool>());
    parts.prop_map(|(plans, limits, choices, calm, is_quick)| Case {
        plans,
        limits,
        choices,
        is_calm: calm == 0,
        is_quick,
    })
}

proptest! {
    #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_request_is_billed_once_and_no_budget_is_overdrawn_whatever_goes_wrong(case in cases()) {
        if let Err(wrong) = run(&case, None) {
            return Err(TestCaseError::fail(wrong));
        }
    }
}

/// Returns so many cases, always the same.
fn same_cases(count: usize) -> impl Iterator<Item = Case> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(move |_| cases().new_tree(&mut runner).unwrap().current())
}

/// Returns what is wrong in the first of many cases where something is.
fn caught(bug: Bug) -> Option<String> {
    same_cases(4_000).find_map(|case| run(&case, Some(bug)).err())
}

#[test]
fn the_cases_reach_what_they_are_for() {
    let mut all = Swept::default();
    let (mut sent, mut refused, mut told, mut overrun, mut alerts) = (0, 0, 0, 0, 0);
    for case in same_cases(1_500) {
        let mut run = Run::new(&case, None);
        let tasks = run.tasks(&case);
        run.turn(tasks).unwrap();
        run.settle_down().unwrap();
        let world = run.world.lock().unwrap();
        sent += world.sent.len();
        refused += world.refused.len();
        told += world.told.len();
        alerts += world.alerts.len();
        let entries = run.store.memory().ledger.clone();
        overrun += entries.values().filter(|it| it.cost > it.bound).count();
        for swept in &world.swept {
            all.settled += swept.settled;
            all.released += swept.released;
            all.finished += swept.finished;
            all.orphans += swept.orphans;
            all.failed += swept.failed;
        }
    }
    println!(
        "{all:?}, {sent} sent, {refused} refused, {told} told, {overrun} overrun, {alerts} alerts"
    );
    let reached = [
        all.settled,
        all.released,
        all.finished,
        all.orphans,
        all.failed,
    ];
    assert!(reached.iter().all(|count| *count > 20), "{all:?}");
    let reached = [sent, refused, told, overrun, alerts];
    assert!(reached.iter().all(|count| *count > 50), "{reached:?}");
}

#[test]
fn stores_that_break_a_promise_are_caught() {
    for bug in [
        Bug::TakesTwice,
        Bug::FinishesTwice,
        Bug::OneToken,
        Bug::ForgetsSent,
        Bug::LimitsTwice,
        Bug::SettlesTwice,
        Bug::Lends,
    ] {
        let caught = caught(bug);
        println!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not found");
    }
}

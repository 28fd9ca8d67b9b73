//! Any questions at once, whose providers fail, whose callers go away, and whose calls of the store are lost,
//! unanswered and late between any two steps.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use llmopt_commercial::{Commercial, CommercialError, Question, Receipt};
use llmopt_provider_mock::{Behaviour, Exchange, Fault};
use llmopt_providers::Delivery;
use llmopt_storage::{
    SpendStore,
    spend::{Basis, LedgerEntry, RequestId},
};
use llmopt_storage_embedded::SqliteSpendStore;
use parking_lot::Mutex;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    bench::{Bench, MICRO, Setup, now_ms, owed, question},
    between::{Between, Fate, LATE, Steps},
    seen::kind,
};

const CASES: usize = 60;
const HOURS_MS: u64 = 10 * 3_600_000;
/// For some of the questions of a case at once, in millionths of a dollar.
const BUDGET: u64 = 900;
const MODELS: [&str; 5] = [
    "gpt-test",
    "claude-test",
    "openai-first",
    "anthropic-first",
    "gone-first",
];

/// When a caller goes away.
#[derive(Clone, Copy, Debug)]
enum Patience {
    ToTheEnd,
    /// After so many milliseconds without a word.
    Without(u64),
    /// After so many parts of the answer.
    After(usize),
}

#[derive(Clone, Debug)]
struct Plan {
    model: &'static str,
    delivery: Delivery,
    patience: Patience,
}

#[derive(Clone, Debug)]
struct Case {
    plans: Vec<Plan>,
    /// How the providers answer, in the order of the calls; well, once it is used up.
    behaviours: Vec<Behaviour>,
    /// What happens to calls of the store: nothing, once it is used up.
    fates: Vec<Fate>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let delivery = prop_oneof![3 => Just(Delivery::Stream), 1 => Just(Delivery::Whole)];
    let patience = prop_oneof![
        4 => Just(Patience::ToTheEnd),
        1 => (0..30_u64).prop_map(Patience::Without),
        2 => (0..5_usize).prop_map(Patience::After),
    ];
    let model = prop::sample::select(MODELS.to_vec());
    (model, delivery, patience).prop_map(|(model, delivery, patience)| Plan {
        model,
        delivery,
        patience,
    })
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let events = || 0..9_usize;
    let status = prop::sample::select(vec![400_u16, 401, 404, 408, 429, 500, 503, 529]);
    let limited = Fault::RateLimited {
        retry_after: Some("0".to_owned()),
    };
    let fault = prop_oneof![
        6 => Just(None),
        3 => status.prop_map(|status| Some(Fault::Status { status })),
        1 => Just(Some(limited)),
        1 => Just(Some(Fault::QuotaExhausted)),
        1 => Just(Some(Fault::NoUsage)),
        2 => (0..1_500_usize).prop_map(|bytes| Some(Fault::CutAfter { bytes })),
        1 => events().prop_map(|events| Some(Fault::EndAfter { events })),
        1 => events().prop_map(|events| Some(Fault::ErrorAfter { events })),
        1 => events().prop_map(|events| Some(Fault::StallAfter { events })),
        1 => events().prop_map(|events| Some(Fault::MalformedAfter { events })),
    ];
    (fault, 0..3_u64, 0..4_u64).prop_map(|(fault, head, event)| Behaviour {
        fault,
        head_ms: head * 10,
        event_ms: event * 3,
        ..Behaviour::default()
    })
}

fn case() -> impl Strategy<Value = Case> {
    let fate = prop_oneof![
        14 => Just(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered),
        1 => Just(Fate::Late),
    ];
    (
        vec(plan(), 1..8),
        vec(behaviour(), 0..12),
        vec(fate, 0..120),
    )
        .prop_map(|(plans, behaviours, fates)| Case {
            plans,
            behaviours,
            fates,
        })
}

/// What a caller knows in the end.
#[derive(Debug)]
enum Told {
    Answered(Box<Receipt>),
    Failed(CommercialError),
    WentAway,
}

async fn ask(commercial: Commercial, question: Question, patience: Patience) -> Told {
    let asked = commercial.ask(question);
    let answer = match patience {
        Patience::Without(ms) => match timeout(Duration::from_millis(ms), asked).await {
            Ok(answer) => answer,
            Err(_) => return Told::WentAway,
        },
        _ => asked.await,
    };
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Told::Failed(error),
    };
    let mut parts = 0;
    loop {
        if matches!(patience, Patience::After(most) if parts >= most) {
            return Told::WentAway;
        }
        match answer.events.recv().await {
            Some(Ok(llmopt_commercial::AnswerEvent::Finished(receipt))) => {
                return Told::Answered(receipt);
            }
            Some(Ok(_)) => parts += 1,
            Some(Err(error)) => return Told::Failed(error),
            None => panic!("an answer ends without an end"),
        }
    }
}

/// What came of all cases together: that each thing happened at all.
#[derive(Debug, Default)]
struct Reach(BTreeMap<String, u32>);

impl Reach {
    fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }
}

struct Run {
    bench: Bench,
    told: BTreeMap<RequestId, (usize, Told)>,
}

/// Runs a case to its end: everybody has gone, and what was left is swept.
async fn run(case: &Case, steps: Steps) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteSpendStore::open(&folder.path().join("spending.db")).unwrap();
    let fates = Arc::new(Mutex::new(Vec::new().into_iter()));
    let next = Arc::clone(&fates);
    let fate = Arc::new(move |_| next.lock().next().unwrap_or(Fate::Answered));
    let store: Arc<dyn SpendStore> = Arc::new(Between::new(Arc::new(store), steps, fate));
    let mut setup = Setup {
        budget: BUDGET,
        ..Setup::default()
    };
    setup.policy.timeouts.first_byte = Duration::from_millis(100);
    setup.policy.timeouts.idle = Duration::from_millis(60);
    let bench = Bench::over(&setup, folder, store).await;
    for behaviour in &case.behaviours {
        bench.mock.next(behaviour.clone());
    }
    *fates.lock() = case.fates.clone().into_iter();
    let mut callers = JoinSet::new();
    for (number, plan) in case.plans.iter().enumerate() {
        let mut asked = question(plan.model, plan.delivery);
        asked.conversation.messages[0].content = format!("{} two three", mark(number));
        let (commercial, patience) = (bench.commercial.clone(), plan.patience);
        callers.spawn(async move {
            let request = asked.request.clone();
            (request, (number, ask(commercial, asked, patience).await))
        });
    }
    let told = callers.join_all().await.into_iter().collect();
    *fates.lock() = Vec::new().into_iter();
    sleep(3 * LATE).await;
    let run = Run { bench, told };
    run.sweep().await;
    run
}

/// What stands in the prompt of a question, and in no other.
fn mark(number: usize) -> String {
    format!("q{number}q")
}

impl Run {
    /// Sweeps until nothing is left, which may take one more where a call came late.
    async fn sweep(&self) {
        for _ in 0..200 {
            let spending = self.bench.commercial.spending();
            let swept = spending.sweep(now_ms() + HOURS_MS).await.unwrap();
            assert_eq!(swept.failed, 0, "{swept:?}");
            let left = self.bench.store.unfinished(now_ms() + HOURS_MS, None, 1);
            if left.await.unwrap().is_empty() && self.bench.row().await.holds.is_empty() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("something is never swept");
    }

    fn exchanges(&self, number: usize) -> Vec<Exchange> {
        let mut exchanges = self.bench.mock.exchanges();
        exchanges.retain(|it| it.body.to_string().contains(&mark(number)));
        exchanges
    }

    /// Says what is wrong with it.
    async fn check(&self, reach: &mut Reach) -> Result<(), String> {
        let row = self.bench.row().await;
        let spent = row.spent.get();
        if spent > BUDGET * MICRO || row.available < 0 {
            return Err(format!("{spent} is spent: {row:?}"));
        }
        let ledger = self.bench.ledger().await;
        let costs: u64 = ledger.iter().map(|entry| entry.cost.get()).sum();
        if costs != spent {
            return Err(format!("{spent} is spent, and {costs} is in the ledger"));
        }
        let mut parts: BTreeMap<&str, Vec<&LedgerEntry>> = BTreeMap::new();
        for entry in &ledger {
            // Calls that may be billed have entries of their own: `r7`, `r7.1` and so on.
            let name = entry.request.as_str();
            let whole = name.split_once('.').map_or(name, |(whole, _)| whole);
            parts.entry(whole).or_default().push(entry);
        }
        for (request, (number, told)) in &self.told {
            let entries = parts.remove(request.as_str()).unwrap_or_default();
            let exchanges = self.exchanges(*number);
            check_one(&entries, &exchanges, told)
                .map_err(|wrong| format!("{wrong}: {entries:#?} {exchanges:#?} {told:#?}"))?;
            count(reach, &entries, told);
        }
        if !parts.is_empty() {
            return Err(format!("nobody asked for {parts:#?}"));
        }
        Ok(())
    }
}

fn check_one(entries: &[&LedgerEntry], exchanges: &[Exchange], told: &Told) -> Result<(), String> {
    let owed = owed(exchanges) * MICRO;
    let cost: u64 = entries.iter().map(|entry| entry.cost.get()).sum();
    if cost < owed {
        return Err(format!("{cost} is billed, and the provider bills {owed}"));
    }
    if entries.iter().any(|entry| entry.cost > entry.bound) {
        return Err("more than the bound is billed".to_owned());
    }
    let calls: usize = entries.iter().map(|entry| entry.attempts.len()).sum();
    let is_assumed = entries.iter().any(|entry| entry.basis == Basis::Assumed);
    let Told::Answered(receipt) = told else {
        return Ok(());
    };
    // Where the store did not say that it is settled, a sweep did it.
    let is_told = is_assumed || receipt.cost.get() == cost && receipt.attempts.len() == calls;
    match is_told {
        true => Ok(()),
        false => Err("the receipt says something else".to_owned()),
    }
}

fn count(reach: &mut Reach, entries: &[&LedgerEntry], told: &Told) {
    reach.add(match told {
        Told::Answered(_) => "told: answer".to_owned(),
        Told::WentAway => "told: nothing, went away".to_owned(),
        Told::Failed(error) => format!("told: {}", kind(error)),
    });
    if entries.is_empty() {
        reach.add("billed: nothing");
    }
    for entry in entries {
        reach.add(match entry.basis {
            Basis::Measured => "billed: what was used",
            Basis::Assumed => "billed: the most that it can have been",
            Basis::Overrun { .. } => "billed: more than the bound",
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_nothing_is_overspent_nothing_held_and_nothing_billed_twice_or_too_low() {
    let config = Config::default();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut reach = Reach::default();
    for number in 0..CASES {
        let case = case().new_tree(&mut runner).unwrap().current();
        let steps = [Steps::OneByOne, Steps::Together][number % 2];
        let checked = run(&case, steps).await.check(&mut reach).await;
        assert!(
            checked.is_ok(),
            "case {number}: {}\n{case:#?}",
            checked.unwrap_err()
        );
    }
    println!("{reach:#?}");
    let of = |what: &str| reach.0.get(what).copied().unwrap_or_default();
    for what in [
        "told: answer",
        "told: nothing, went away",
        "told: Budget",
        "told: Spending",
        "billed: nothing",
        "billed: what was used",
        "billed: the most that it can have been",
    ] {
        assert!(of(what) >= 10, "{what}: {reach:#?}");
    }
}

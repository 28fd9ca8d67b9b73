//! A row of the table, and how it is tried.

use std::fmt;

use llmopt_commercial::Question;
use llmopt_provider_mock::{Api, Behaviour, Fault};
use llmopt_providers::Delivery;
use llmopt_storage::spend::{Basis, LedgerEntry};

use crate::{
    bench::{Bench, MICRO, Setup, model, owed, question},
    seen::ask,
};

/// What an entry of the ledger bills. Amounts are in millionths of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// What the provider said was used, at this; nothing, where it refused.
    Measured(u64),
    /// The same, and it is more than the bound.
    Overrun(u64),
    /// The most that it can have been, as far as the provider had said.
    Most(u64),
    /// The bound: nobody can say what was used.
    Bound,
}

type Upstream = Box<dyn Fn(Api) -> Behaviour + Send + Sync>;

/// What happens, and what has to come of it.
pub(crate) struct Case {
    name: &'static str,
    apis: &'static [Api],
    deliveries: &'static [Delivery],
    setup: fn(&mut Setup),
    /// What is asked before, once for each.
    before: fn(Api) -> Vec<&'static str>,
    ask: fn(&mut Question),
    upstream: Vec<Upstream>,
    sees: &'static str,
    calls: usize,
    bills: &'static [Bill],
    /// What Anthropic's has otherwise.
    anthropic: Option<&'static [Bill]>,
}

pub(crate) const BOTH: &[Api] = &[Api::Openai, Api::Anthropic];
pub(crate) const OPENAI: &[Api] = &[Api::Openai];
pub(crate) const ANTHROPIC: &[Api] = &[Api::Anthropic];
pub(crate) const EITHER: &[Delivery] = &[Delivery::Stream, Delivery::Whole];
pub(crate) const STREAM: &[Delivery] = &[Delivery::Stream];
pub(crate) const WHOLE: &[Delivery] = &[Delivery::Whole];
/// What the stand-in answers.
pub(crate) const ANSWER: &str = "\"You said: one two three\"";
/// What that costs: three tokens in, and five out.
pub(crate) const COST: Bill = Bill::Measured(3 + 5 * 4);
/// A call that the provider refused, or did not get.
pub(crate) const FREE: Bill = Bill::Measured(0);

/// Begins a row: the question is answered at once, unless more is said.
pub(crate) fn row(
    name: &'static str,
    apis: &'static [Api],
    deliveries: &'static [Delivery],
) -> Case {
    Case {
        name,
        apis,
        deliveries,
        setup: |_| {},
        before: |_| Vec::new(),
        ask: |_| {},
        upstream: Vec::new(),
        sees: ANSWER,
        calls: 1,
        bills: &[COST],
        anthropic: None,
    }
}

impl Case {
    pub(crate) fn setup(self, setup: fn(&mut Setup)) -> Self {
        Self { setup, ..self }
    }

    /// What is asked otherwise than usual.
    pub(crate) fn ask(self, ask: fn(&mut Question)) -> Self {
        Self { ask, ..self }
    }

    /// Adds how the provider answers next.
    pub(crate) fn then(mut self, how: impl Fn(Api) -> Behaviour + Send + Sync + 'static) -> Self {
        self.upstream.push(Box::new(how));
        self
    }

    /// Adds what goes wrong next.
    pub(crate) fn fault(self, fault: Fault) -> Self {
        self.then(move |_| Behaviour::failing(fault.clone()))
    }

    /// Adds that each of the next `times` requests is refused with this status.
    pub(crate) fn status(self, status: u16, times: usize) -> Self {
        (0..times).fold(self, |row, _| row.fault(Fault::Status { status }))
    }

    /// Says what comes of it.
    pub(crate) fn is(self, sees: &'static str, calls: usize, bills: &'static [Bill]) -> Self {
        Self {
            sees,
            calls,
            bills,
            ..self
        }
    }

    /// Says what is billed with Anthropic's, which tells the tokens of the prompt before it answers.
    pub(crate) fn anthropic(self, bills: &'static [Bill]) -> Self {
        Self {
            anthropic: Some(bills),
            ..self
        }
    }

    fn bills(&self, api: Api) -> &'static [Bill] {
        match (api, self.anthropic) {
            (Api::Anthropic, Some(bills)) => bills,
            _ => self.bills,
        }
    }

    /// Tries it with every API and delivery that it names, and returns what is wrong.
    pub(crate) async fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for &api in self.apis {
            for &delivery in self.deliveries {
                if let Err(found) = self.run(api, delivery).await {
                    wrong.push(format!("{} ({api:?}, {delivery:?}): {found}", self.name));
                }
            }
        }
        wrong
    }

    /// How many ways it is tried in.
    pub(crate) fn ways(&self) -> usize {
        self.apis.len() * self.deliveries.len()
    }

    async fn run(&self, api: Api, delivery: Delivery) -> Result<(), String> {
        let mut setup = Setup::default();
        (self.setup)(&mut setup);
        let bench = Bench::new(&setup).await;
        for model in (self.before)(api) {
            drop(ask(&bench.commercial, question(model, delivery)).await);
        }
        for how in &self.upstream {
            bench.mock.next(how(api));
        }
        let mut question = question(model(api), delivery);
        (self.ask)(&mut question);
        let question_is_free = question.model.starts_with("free/");
        let seen = ask(&bench.commercial, question).await;
        bench.settled().await;
        let exchanges = bench.mock.exchanges();
        expect("is seen", seen.words(), self.sees.to_owned())?;
        expect("calls", exchanges.len(), self.calls)?;
        let ledger = bench.ledger().await;
        let bills: Vec<Bill> = ledger.iter().map(Bill::of).collect();
        expect("is billed", &bills[..], self.bills(api))?;
        let cost: u64 = ledger.iter().map(|entry| entry.cost.get()).sum();
        let owed = match question_is_free {
            true => 0,
            false => owed(&exchanges) * MICRO,
        };
        if cost < owed {
            return Err(format!("{cost} is billed, and the provider bills {owed}"));
        }
        let row = bench.row().await;
        expect("is spent", row.spent.get(), cost)?;
        expect("holds", row.holds.len(), 0)?;
        if let Some(receipt) = &seen.receipt {
            expect("the receipt says", receipt.cost.get(), cost)?;
        }
        Ok(())
    }
}

fn expect<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, found {found:?}")),
    }
}

impl Bill {
    fn of(entry: &LedgerEntry) -> Self {
        let micro = entry.cost.get() / MICRO;
        match entry.basis {
            Basis::Measured => Self::Measured(micro),
            Basis::Overrun { .. } => Self::Overrun(micro),
            Basis::Assumed if entry.cost == entry.bound => Self::Bound,
            Basis::Assumed => Self::Most(micro),
        }
    }
}

/// Writes what is billed for each call that may cost something.
fn written(bills: &[Bill]) -> String {
    match bills {
        [] => "nothing".to_owned(),
        bills => {
            let bills: Vec<String> = bills.iter().map(Bill::to_string).collect();
            bills.join(" + ")
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apis = match self.apis {
            [Api::Openai] => "OpenAI",
            [Api::Anthropic] => "Anthropic",
            _ => "both",
        };
        let deliveries = match self.deliveries {
            [Delivery::Stream] => "stream",
            [Delivery::Whole] => "whole",
            _ => "either",
        };
        let (name, calls) = (self.name, self.calls);
        let sees = match self.sees {
            ANSWER => "the answer",
            "" => "an answer without text",
            sees => sees,
        };
        let mut bills = written(self.bills);
        if let Some(anthropic) = self.anthropic {
            bills = format!("{bills}; Anthropic {}", written(anthropic));
        }
        write!(
            formatter,
            "| {name} | {apis} | {deliveries} | {sees} | {calls} | {bills} |"
        )
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(micro) => write!(formatter, "{micro}"),
            Self::Overrun(micro) => write!(formatter, "{micro}, above the bound"),
            Self::Most(micro) => write!(formatter, "{micro} at most"),
            Self::Bound => formatter.write_str("the bound"),
        }
    }
}

use llmopt_domain::{Format, Picodollars};
use serde::{Deserialize, Serialize};

use super::{Asked, BudgetRow, Hold, LedgerEntry, Place, RequestId, RowKey};

/// What one request may cost at most, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The version of this format.
    pub format: Format<1>,
    /// The request.
    pub request: RequestId,
    /// Counts its steps.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// From when on it is taken for abandoned, in milliseconds since 1970.
    pub expires_ms: u64,
    /// The day that it is counted in, `2026-11-26`, in UTC.
    pub day: String,
    /// The most that it may cost.
    pub bound: Picodollars,
    /// The budgets that the bound is taken from, narrowest first.
    pub rows: Vec<RowKey>,
    /// Who asks for what.
    pub asked: Asked,
    /// How far it is.
    pub state: ReservationState,
    /// From when on it may be forgotten, in milliseconds since 1970: nothing is left to do for it.
    pub forget_ms: Option<u64>,
}

/// How far a reservation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// Its bound is being taken from its budgets.
    Pending,
    /// It holds its bound of each.
    Open {
        /// What it holds, in the order of its budgets.
        holds: Vec<Hold>,
        /// Whether the provider may have been called.
        sent: bool,
    },
    /// It cost something; its holds are being spent.
    Settled {
        /// What it held.
        holds: Vec<Hold>,
        /// What it cost.
        entry: Box<LedgerEntry>,
    },
    /// It cost nothing: what it holds is being given back.
    Released,
}

/// A step of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It holds its bound of each budget.
    Open {
        /// What it holds, in the order of its budgets.
        holds: Vec<Hold>,
    },
    /// The provider is about to be called.
    Send,
    /// Its cost is known.
    Settle {
        /// The cost.
        entry: Box<LedgerEntry>,
    },
    /// It is given up, and nothing was sent.
    Release,
    /// Its holds are gone, and its cost is in the ledger.
    Close {
        /// From when on it may be forgotten, in milliseconds since 1970.
        forget_ms: u64,
    },
}

/// A reservation that was settled and closed in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The reservation.
    pub reservation: Reservation,
    /// The rows that its cost was spent from, as they are after.
    pub rows: Vec<(RowKey, BudgetRow)>,
}

/// What a step makes of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It is this now.
    Changed(Box<Reservation>),
    /// The step was done before.
    Same,
    /// The step does not follow on what was done: another's came first.
    Refused,
}

impl Reservation {
    /// Returns what `step` makes of it. No state has two ways to be left for good: whatever processes try, one
    /// of them settles or releases it, once.
    pub fn after(&self, step: &Step) -> After {
        use ReservationState::{Open, Pending, Released, Settled};
        match (&self.state, step) {
            (Pending, Step::Open { holds }) => self.to(Open {
                holds: holds.clone(),
                sent: false,
            }),
            (Open { holds, .. }, Step::Open { holds: ours }) if holds == ours => After::Same,
            (Open { holds, sent: false }, Step::Send) => self.to(Open {
                holds: holds.clone(),
                sent: true,
            }),
            (Open { sent: true, .. }, Step::Send) => After::Same,
            (Open { holds, sent: true }, Step::Settle { entry }) => self.to(Settled {
                holds: holds.clone(),
                entry: entry.clone(),
            }),
            (Settled { entry, .. }, Step::Settle { entry: ours }) if entry == ours => After::Same,
            (Pending | Open { sent: false, .. }, Step::Release) => self.to(Released),
            (Released, Step::Release) => After::Same,
            (Settled { .. } | Released, Step::Close { forget_ms }) => self.closed(*forget_ms),
            _ => After::Refused,
        }
    }

    /// Returns its place among those that are not closed.
    pub fn place(&self) -> Place {
        Place {
            at_ms: self.expires_ms,
            request: self.request.clone(),
        }
    }

    fn to(&self, state: ReservationState) -> After {
        After::Changed(Box::new(Self {
            version: self.version + 1,
            state,
            ..self.clone()
        }))
    }

    fn closed(&self, forget_ms: u64) -> After {
        match self.forget_ms {
            Some(_) => After::Same,
            None => After::Changed(Box::new(Self {
                version: self.version + 1,
                forget_ms: Some(forget_ms),
                ..self.clone()
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENDING: &str = r#"{"format":1,"request":"r1","version":1,"created_ms":1,"expires_ms":9,"day":"1970-01-01","bound":10,"rows":[{"scope":"all","window":"total"}],"asked":{"key":"k","model":"gpt","provider":"openai","price_version":"7"},"state":"pending","forget_ms":null}"#;

    fn pending() -> Reservation {
        serde_json::from_str(PENDING).unwrap()
    }

    fn hold() -> Hold {
        Hold {
            amount: Picodollars::new(10).unwrap(),
            token: 4,
            taken_ms: 2,
        }
    }

    fn changed(reservation: &Reservation, step: &Step) -> Reservation {
        match reservation.after(step) {
            After::Changed(after) => *after,
            other => panic!("{step:?} gave {other:?}"),
        }
    }

    fn entry(cost: u64) -> Step {
        let json = format!(
            r#"{{"format":1,"request":"r1","day":"1970-01-01","reserved_ms":1,"settled_ms":2,"asked":{{"key":"k","model":"gpt","provider":"openai","price_version":"7"}},"bound":10,"cost":{cost},"usage":{{}},"basis":"measured","attempts":[],"rows":[]}}"#
        );
        Step::Settle {
            entry: serde_json::from_str(&json).unwrap(),
        }
    }

    #[test]
    fn a_reservation_is_written_as_it_always_was() {
        let pending = pending();
        assert_eq!(serde_json::to_string(&pending).unwrap(), PENDING);
        let open = changed(
            &pending,
            &Step::Open {
                holds: vec![hold()],
            },
        );
        let state = serde_json::to_string(&open.state).unwrap();
        let expected = r#"{"open":{"holds":[{"amount":10,"token":4,"taken_ms":2}],"sent":false}}"#;
        assert_eq!(state, expected);
        let released = changed(&open, &Step::Release);
        let state = serde_json::to_string(&released.state).unwrap();
        assert_eq!(state, r#""released""#);
        let settled = changed(&changed(&open, &Step::Send), &entry(3));
        let state = serde_json::to_string(&settled.state).unwrap();
        assert!(
            state.starts_with(r#"{"settled":{"holds":[{"amount":10,"#),
            "{state}"
        );
        let read: ReservationState = serde_json::from_str(&state).unwrap();
        assert_eq!(read, settled.state);
    }

    #[test]
    fn a_step_that_is_repeated_changes_nothing_and_one_that_comes_late_is_refused() {
        let hold_one = Step::Open {
            holds: vec![hold()],
        };
        let close = Step::Close { forget_ms: 99 };
        let pending = pending();
        let open = changed(&pending, &hold_one);
        let sent = changed(&open, &Step::Send);
        let settled = changed(&sent, &entry(3));
        let released = changed(&open, &Step::Release);
        for (reservation, same) in [
            (&open, &hold_one),
            (&sent, &Step::Send),
            (&settled, &entry(3)),
            (&released, &Step::Release),
            (&changed(&settled, &close), &close),
            (&changed(&released, &close), &close),
        ] {
            assert_eq!(reservation.after(same), After::Same);
        }
        let another = Step::Open { holds: Vec::new() };
        for (reservation, late) in [
            (&pending, &Step::Send),
            (&pending, &entry(3)),
            (&pending, &close),
            (&open, &another),
            (&open, &entry(3)),
            (&open, &close),
            (&sent, &Step::Release),
            (&sent, &close),
            (&settled, &Step::Release),
            (&settled, &entry(4)),
            (&settled, &Step::Send),
            (&settled, &hold_one),
            (&released, &Step::Send),
            (&released, &entry(3)),
            (&released, &hold_one),
        ] {
            assert_eq!(reservation.after(late), After::Refused, "{late:?}");
        }
    }
}

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Behaviour, Ended, Exchange, Tokens};

/// What the server remembers and is to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct State(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    exchanges: Vec<Exchange>,
    next: VecDeque<Behaviour>,
    by_model: BTreeMap<String, Behaviour>,
}

impl State {
    /// Has the next request that nobody has claimed answered like this.
    pub(crate) fn push(&self, behaviour: Behaviour) {
        self.0.lock().next.push_back(behaviour);
    }

    pub(crate) fn set_model(&self, model: String, behaviour: Behaviour) {
        self.0.lock().by_model.insert(model, behaviour);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().exchanges.clone()
    }

    /// Returns how a request is answered: as the next is to be, or as all for its model.
    pub(crate) fn behaviour(&self, model: Option<&str>) -> Behaviour {
        let mut inner = self.0.lock();
        let next = inner.next.pop_front();
        let of_model = || inner.by_model.get(model?).cloned();
        next.or_else(of_model).unwrap_or_default()
    }

    /// Remembers a request.
    pub(crate) fn record(&self, exchange: Exchange) -> Record {
        let mut inner = self.0.lock();
        inner.exchanges.push(exchange);
        Record {
            state: self.clone(),
            index: inner.exchanges.len() - 1,
        }
    }
}

/// A request that is being answered. Where it is dropped before its end, who asked went away.
#[derive(Debug)]
pub(crate) struct Record {
    state: State,
    index: usize,
}

impl Record {
    fn change(&self, change: impl FnOnce(&mut Exchange)) {
        let mut inner = self.state.0.lock();
        if let Some(exchange) = inner.exchanges.get_mut(self.index) {
            change(exchange);
        }
    }

    pub(crate) fn answered(&self, status: u16, billed: Option<Tokens>) {
        self.change(|exchange| {
            exchange.status = status;
            exchange.billed = billed;
        });
    }

    /// Bills more output.
    pub(crate) fn add_output(&self, tokens: u64) {
        self.change(|exchange| {
            if let Some(billed) = &mut exchange.billed {
                billed.output += tokens;
            }
        });
    }

    pub(crate) fn end(&self, ended: Ended) {
        self.change(|exchange| exchange.ended = ended);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.change(|exchange| {
            if exchange.ended == Ended::Open {
                exchange.ended = Ended::Abandoned;
            }
        });
    }
}

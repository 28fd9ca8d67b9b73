//! Letting go of values that are nested in one another, however deep.
//!
//! Rust drops what is nested from within, which takes a part of the stack for each value. Here what a value has is put
//! aside while another one is dropped, and dropped after it.

use std::cell::{Cell, RefCell};

use crate::{dict::Dict, iteration::Next, value::Value};

/// What a value that is dropped has in it.
#[expect(dead_code, reason = "what is in them is only dropped")]
pub(crate) enum Parts {
    Values(Vec<Value>),
    Dict(Dict),
    Next(Box<Next>),
}

thread_local! {
    static WAITING: RefCell<Vec<Parts>> = const { RefCell::new(Vec::new()) };
    static IS_DROPPING: Cell<bool> = const { Cell::new(false) };
}

/// Drops the parts of a value, now or after those that are being dropped.
pub(crate) fn dispose(parts: Parts) {
    // A thread that ends has neither any more; what it drops then is dropped at once.
    match IS_DROPPING.try_with(|it| it.replace(true)) {
        Ok(true) => wait(parts),
        Ok(false) => {
            let mut next = Some(parts);
            while let Some(parts) = next {
                drop(parts);
                next = WAITING.try_with(|it| it.borrow_mut().pop()).ok().flatten();
            }
            let _ = IS_DROPPING.try_with(|it| it.set(false));
        }
        Err(_) => drop(parts),
    }
}

fn wait(parts: Parts) {
    let mut parts = Some(parts);
    let _ = WAITING.try_with(|it| it.borrow_mut().extend(parts.take()));
}

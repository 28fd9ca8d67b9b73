//! What a rendering may still cost, in time and memory and on the stack.

use std::cell::Cell;

use crate::error::{Result, too_large};

/// As much as fits on a thread's stack is nested in one another: in the template, through its macros, and in the
/// values that are looked through.
const MOST_NESTED: u32 = 220;

/// What a rendering may still cost. Whatever goes through a value takes what it costs on its way.
#[derive(Debug)]
pub(crate) struct Fuel {
    units: Cell<u64>,
    depth: Cell<u32>,
}

impl Fuel {
    pub(crate) fn new(units: u64) -> Self {
        Self {
            units: Cell::new(units),
            depth: Cell::new(0),
        }
    }

    /// Takes some of it.
    pub(crate) fn take(&self, units: u64) -> Result<()> {
        match self.units.get().checked_sub(units) {
            Some(left) => {
                self.units.set(left);
                Ok(())
            }
            None => {
                self.units.set(0);
                too_large("the template takes too long or makes too much: it ran out of fuel")
            }
        }
    }

    /// Takes what a text of so many bytes costs to make or to look through, before that is done.
    pub(crate) fn take_bytes(&self, bytes: usize) -> Result<()> {
        match bytes / 64 {
            0 => Ok(()),
            units => self.take_items(units),
        }
    }

    /// Takes what so many values cost to make or to look through, before that is done.
    pub(crate) fn take_items(&self, items: usize) -> Result<()> {
        self.take(u64::try_from(items).unwrap_or(u64::MAX))
    }

    /// Does what is nested, unless it is nested too deep.
    pub(crate) fn nested<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let depth = self.depth.get() + 1;
        if depth > MOST_NESTED {
            return too_large(
                "the template or a value is nested too deep, or macros call one another without end",
            );
        }
        self.depth.set(depth);
        let result = work();
        self.depth.set(depth - 1);
        result
    }
}

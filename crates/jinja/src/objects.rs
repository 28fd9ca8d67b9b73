//! Values that have a state of their own and are of no other kind.

use std::{cell::Cell, rc::Rc};

use crate::{
    disposal::{Parts, dispose},
    value::{Items, Value},
};

#[derive(Debug)]
pub(crate) enum Object {
    /// Gives one value after the other, and begins anew after the last.
    Cycler { items: Rc<Items>, at: Cell<usize> },
    /// Gives nothing the first time, and then always the same.
    Joiner { between: Value, used: Cell<bool> },
    /// The template's own blocks, by name: what `self` stands for.
    Blocks,
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Self::Joiner { between, .. } = self {
            let between = std::mem::replace(between, Value::None);
            dispose(Parts::Values(vec![between]));
        }
    }
}

impl Object {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Cycler { .. } => "Cycler",
            Self::Joiner { .. } => "Joiner",
            Self::Blocks => "TemplateReference",
        }
    }

    /// Returns how many values are nested in it.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Cycler { items, .. } => 1 + items.depth(),
            Self::Joiner { between, .. } => 1 + between.depth(),
            Self::Blocks => 0,
        }
    }
}

use std::sync::Arc;

use llmopt_prices::PriceTable;
use parking_lot::RwLock;

/// The table of prices that holds now: a newer one may take its place at any time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PriceBook(Arc<RwLock<Arc<PriceTable>>>);

impl PriceBook {
    /// Begins with `table`.
    pub fn new(table: PriceTable) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(table))))
    }

    /// Returns the table that holds now.
    pub fn current(&self) -> Arc<PriceTable> {
        Arc::clone(&self.0.read())
    }

    /// Has `table` hold from now on, unless the present one is newer. Returns whether it does.
    pub fn replace(&self, table: PriceTable) -> bool {
        let mut current = self.0.write();
        if table.version().date < current.version().date {
            return false;
        }
        *current = Arc::new(table);
        true
    }
}

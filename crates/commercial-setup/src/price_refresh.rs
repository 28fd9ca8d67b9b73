use llmopt_commercial::PriceBook;
use llmopt_domain::{Digest, error_chain};
use llmopt_prices::PriceTable;
use parking_lot::Mutex;

/// Has newer tables of prices take the place of the present one.
#[derive(Debug)]
pub struct PriceRefresh {
    book: PriceBook,
    /// The table that was looked at last, whatever came of it.
    last: Mutex<Option<Digest>>,
}

/// What became of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refreshed {
    /// It holds from now on.
    Newer,
    /// It was looked at before, or is the one that holds.
    Same,
    /// The one that holds is of a later day.
    Older,
    /// It is none: the present one holds on.
    Broken,
}

impl PriceRefresh {
    /// Puts newer tables into `book`.
    pub fn new(book: PriceBook) -> Self {
        let last = Mutex::new(None);
        Self { book, last }
    }

    /// Looks at the bytes of a table, which holds from now on if it is newer. What is wrong with it is in the log, once
    /// for each table, however often it is offered.
    pub fn offer(&self, bytes: &[u8]) -> Refreshed {
        let digest = Digest::of_bytes(bytes);
        let mut last = self.last.lock();
        if last.as_ref() == Some(&digest) || self.book.current().version().digest == digest {
            return Refreshed::Same;
        }
        *last = Some(digest);
        let table = match PriceTable::parse(bytes) {
            Ok(table) => table,
            Err(error) => {
                let (error, prices) = (error_chain(&error), self.version());
                tracing::error!(
                    error,
                    prices,
                    "a table of prices is not used: the present one holds on"
                );
                return Refreshed::Broken;
            }
        };
        let offered = table.version().to_string();
        if self.book.replace(table) {
            tracing::info!(
                prices = offered,
                "a newer table of prices holds from now on"
            );
            return Refreshed::Newer;
        }
        let prices = self.version();
        tracing::warn!(
            offered,
            prices,
            "a table of prices is not used: it is older than the present one"
        );
        Refreshed::Older
    }

    fn version(&self) -> String {
        self.book.current().version().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one model, of a day.
    fn table(date: &str, input: u32) -> Vec<u8> {
        let text = format!(
            r#"{{"format": 1, "date": "{date}", "models": [{{"id": "m", "provider": "openai", "apis": ["chat"],
                "periods": [{{"from": "2026-01-01", "source": "https://example.com", "verified": "2026-01-01",
                "price": {{"rates": {{"input": {input}000, "output": 9000}}}}}}]}}]}}"#
        );
        text.into_bytes()
    }

    #[test]
    fn a_newer_table_holds_and_what_is_broken_or_older_changes_nothing() {
        let book = PriceBook::new(PriceTable::parse(&table("2026-02-01", 1)).unwrap());
        let refresh = PriceRefresh::new(book.clone());
        let holds = || book.current().version().date.to_string();
        assert_eq!(refresh.offer(&table("2026-02-01", 1)), Refreshed::Same);
        assert_eq!(refresh.offer(b"{"), Refreshed::Broken);
        assert_eq!(refresh.offer(b"{"), Refreshed::Same);
        assert_eq!(refresh.offer(&table("2026-01-31", 1)), Refreshed::Older);
        assert_eq!(holds(), "2026-02-01");
        assert_eq!(refresh.offer(&table("2026-02-02", 1)), Refreshed::Newer);
        assert_eq!(holds(), "2026-02-02");
        assert_eq!(refresh.offer(&table("2026-02-02", 2)), Refreshed::Newer);
        assert!(book.current().model("m").is_some());
    }
}

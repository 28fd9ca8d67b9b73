use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, Put, TransactWriteItem, Update, builders::UpdateBuilder},
};
use llmopt_storage::StorageError;

use crate::{
    item::{number, text, unique},
    table::Item,
};

/// The number of the item that says where a log ends.
pub(crate) const HEAD: u64 = 0;
/// Bytes of entries in one item: an item has 400 KB at most.
const CHUNK_BYTES: usize = 300_000;
/// Bytes of one entry, which an item of its own still holds.
const ENTRY_BYTES: usize = 390_000;
/// Bytes of entries in one append: a transaction has 4 MB at most. These make about 24 chunks; a
/// transaction has 100 items.
const APPEND_BYTES: usize = 3_500_000;
/// What an entry takes beside its text.
const OVERHEAD_BYTES: usize = 4;

/// Entries on their way into a log.
pub(crate) struct Append<'a> {
    pub(crate) log: &'a str,
    pub(crate) last: u64,
    pub(crate) bodies: &'a [String],
    /// What tells its items from those of every other append.
    pub(crate) token: String,
}

impl<'a> Append<'a> {
    pub(crate) fn new(log: &'a str, last: u64, bodies: &'a [String]) -> Result<Self, StorageError> {
        Ok(Self {
            log,
            last,
            bodies,
            token: format!("{:016x}", unique()?),
        })
    }

    /// Returns the number of its last entry.
    pub(crate) fn end(&self) -> u64 {
        self.last + self.bodies.len() as u64
    }

    /// Returns what to write: where the log ends, and the entries in parts that fit into one item each.
    pub(crate) fn items(&self, table: &str) -> Result<Vec<TransactWriteItem>, StorageError> {
        self.check_size()?;
        let head = self.head(table).build();
        let head = head.map_err(|error| self.unfit(error))?;
        let mut items = vec![TransactWriteItem::builder().update(head).build()];
        let mut last = self.last;
        for chunk in chunks(self.bodies) {
            last += chunk.len() as u64;
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(self.chunk(last, chunk)))
                .build();
            let put = put.map_err(|error| self.unfit(error))?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        Ok(items)
    }

    fn check_size(&self) -> Result<(), StorageError> {
        let longest = self.bodies.iter().map(String::len).max().unwrap_or(0);
        let total: usize = self.bodies.iter().map(|body| size(body)).sum();
        if longest > ENTRY_BYTES {
            let reason =
                format!("an entry of {longest} bytes is too large: append at most {ENTRY_BYTES}");
            Err(self.failed(reason.into()))
        } else if total > APPEND_BYTES {
            let reason =
                format!("{total} bytes at once are too many: append at most {APPEND_BYTES}");
            Err(self.failed(reason.into()))
        } else {
            Ok(())
        }
    }

    fn head(&self, table: &str) -> UpdateBuilder {
        let head = Update::builder()
            .table_name(table)
            .set_key(Some(key(self.log, HEAD)))
            .update_expression("SET #last = :end")
            .expression_attribute_names("#last", "last")
            .expression_attribute_values(":end", number(self.end()));
        if self.last == 0 {
            head.condition_expression("attribute_not_exists(#last)")
        } else {
            head.condition_expression("#last = :last AND attribute_not_exists(deletion)")
                .expression_attribute_values(":last", number(self.last))
        }
    }

    fn chunk(&self, last: u64, bodies: &[String]) -> Item {
        let mut item = key(self.log, last);
        let bodies = bodies.iter().map(text).collect();
        item.insert("bodies".to_owned(), AttributeValue::L(bodies));
        item.insert("token".to_owned(), text(&self.token));
        item
    }

    fn unfit(&self, error: BuildError) -> StorageError {
        self.failed(Box::new(error))
    }

    fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> StorageError {
        StorageError::Internal {
            operation: "append to",
            subject: self.log.to_owned(),
            source,
        }
    }
}

pub(crate) fn key(log: &str, sequence: u64) -> Item {
    Item::from([
        ("log".to_owned(), text(log)),
        ("sequence".to_owned(), number(sequence)),
    ])
}

/// Cuts entries into parts that fit into one item each.
fn chunks(bodies: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = bodies;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|body| {
            bytes += size(body);
            bytes <= CHUNK_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, later) = rest.split_at(count);
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn size(body: &str) -> usize {
    body.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bodies: &[String]) -> Vec<usize> {
        chunks(bodies).map(<[String]>::len).collect()
    }

    #[test]
    fn entries_are_cut_into_as_few_items_as_hold_them() {
        let body = |length| "a".repeat(length);
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[body(ENTRY_BYTES)]), [1]);
        let bodies = [body(100_000), body(150_000), body(100_000), body(1)];
        assert_eq!(sizes(&bodies), [2, 2]);
        // Empty entries take room too.
        assert_eq!(sizes(&vec![String::new(); 100_000]), [75_000, 25_000]);
    }

    #[test]
    fn the_largest_append_has_fewer_items_than_a_transaction() {
        let pair = [CHUNK_BYTES / 2 - 3, CHUNK_BYTES / 2 - 3];
        let bodies: Vec<String> = pair.iter().map(|length| "a".repeat(*length)).collect();
        let count = APPEND_BYTES / (CHUNK_BYTES / 2 + 1);
        let bodies: Vec<String> = bodies.into_iter().cycle().take(count).collect();
        let items = Append::new("log", 0, &bodies)
            .unwrap()
            .items("table")
            .unwrap();
        assert_eq!(items.len(), count + 1);
        assert!(items.len() <= 100);
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        for (bodies, size) in [
            (vec!["a".repeat(ENTRY_BYTES + 1)], "390001"),
            (vec!["a".repeat(CHUNK_BYTES); 12], "3600048"),
        ] {
            let error = Append::new("job", 0, &bodies)
                .unwrap()
                .items("table")
                .unwrap_err();
            let text = llmopt_domain::error_chain(&error);
            assert!(text.contains("job") && text.contains(size), "{text}");
        }
    }
}

use std::marker::PhantomData;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use llmopt_storage::{Cursor, Listing, Page, Record, RecordStore, Revision, StorageError, Stored};

use crate::{
    Aws,
    error::fault,
    item::{number, number_of, text, text_of, unique},
    table::{Item, Table},
};

const BY_KIND: &str = "by-kind";
const BY_GROUP: &str = "by-group";
/// Bytes that a key may have.
const LONGEST_KEY: usize = 2_048;

/// A [`RecordStore`] in a DynamoDB table.
///
/// The table's key is `id` (a text: the kind and the record's id); the indices `by-kind` (`kind`,
/// `place`) and `by-group` (`group`, `place`) hold whole items. Lists lag as such indices do.
///
/// Every write carries a revision of its own, drawn at random. A write that was repeated because its
/// answer was lost finds that revision there and knows itself.
pub struct DynamoRecordStore<R> {
    table: Table,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> DynamoRecordStore<R> {
    /// Keeps records in the table called `table`.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self {
            table: Table::new(aws, table),
            record: PhantomData,
        }
    }

    /// Checks that the table can be read.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the table.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.table.get(key::<R>("")).await.map(drop)
    }

    /// Writes the record if `condition` holds; `None` where it does not.
    async fn put(
        &self,
        operation: &'static str,
        record: &R,
        condition: &str,
        present: Option<Revision>,
    ) -> Result<Option<Stored<R>>, StorageError> {
        let subject = subject::<R>(record.id());
        let revision = Revision(unique()?);
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item(record, revision, &subject)?))
            .condition_expression(condition)
            .set_expression_attribute_values(
                present.map(|present| Item::from([(":present".to_owned(), number(present.0))])),
            )
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let stored = Stored {
            record: record.clone(),
            revision,
        };
        match put {
            Ok(_) => Ok(Some(stored)),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    // An endpoint that does not say what is there is asked.
                    let kept = match &failed.item {
                        Some(item) => Some(item.clone()),
                        None => self.table.get(key::<R>(record.id())).await?,
                    };
                    let kept = kept.map(|item| number_of(&item, "revision", &subject));
                    let ours = matches!(kept, Some(Ok(kept)) if kept == revision.0);
                    Ok(ours.then_some(stored))
                }
                _ => Err(fault!(error).during(operation, &subject)),
            },
        }
    }

    fn parse(&self, item: &Item) -> Result<Stored<R>, StorageError> {
        let subject = text_of(item, "id", &self.table.name)?;
        let body = text_of(item, "body", subject)?;
        let record = serde_json::from_str(body).map_err(|error| StorageError::Corrupt {
            subject: subject.to_owned(),
            reason: format!("it cannot be read as a {}: {error}", R::KIND),
        })?;
        Ok(Stored {
            record,
            revision: Revision(number_of(item, "revision", subject)?),
        })
    }
}

#[async_trait]
impl<R: Record> RecordStore<R> for DynamoRecordStore<R> {
    async fn create(&self, record: &R) -> Result<Stored<R>, StorageError> {
        let created = self.put("create", record, "attribute_not_exists(id)", None);
        created.await?.ok_or_else(|| StorageError::RecordExists {
            kind: R::KIND,
            id: record.id().to_owned(),
        })
    }

    async fn get(&self, id: &str) -> Result<Stored<R>, StorageError> {
        if subject::<R>(id).len() > LONGEST_KEY {
            // Nothing has it, and DynamoDB would not be asked.
            let (kind, id) = (R::KIND, id.to_owned());
            return Err(StorageError::NoRecord { kind, id });
        }
        match self.table.get(key::<R>(id)).await? {
            Some(item) => self.parse(&item),
            None => Err(StorageError::NoRecord {
                kind: R::KIND,
                id: id.to_owned(),
            }),
        }
    }

    async fn replace(&self, revision: Revision, record: &R) -> Result<Stored<R>, StorageError> {
        let replaced = self.put("replace", record, "revision = :present", Some(revision));
        replaced.await?.ok_or_else(|| StorageError::Conflict {
            subject: subject::<R>(record.id()),
        })
    }

    async fn list(&self, listing: &Listing) -> Result<Page<R>, StorageError> {
        let (index, attribute, value) = match &listing.group {
            None => (BY_KIND, "kind", R::KIND.to_owned()),
            Some(group) => (BY_GROUP, "group", group_of::<R>(group)),
        };
        let mut values = Item::from([(":value".to_owned(), text(value))]);
        let mut condition = "#attribute = :value".to_owned();
        if let Some(after) = &listing.after {
            condition.push_str(" AND place < :place");
            values.insert(
                ":place".to_owned(),
                text(place(after.created_ms, &after.id)),
            );
        }
        let limit = listing.limit as usize;
        // One more tells whether there is a next part.
        let wanted = if limit == 0 { 0 } else { limit + 1 };
        let mut records = Vec::new();
        let mut start: Option<Item> = None;
        while records.len() < wanted {
            let left = i32::try_from(wanted - records.len()).unwrap_or(i32::MAX);
            let queried = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .index_name(index)
                .key_condition_expression(&condition)
                .expression_attribute_names("#attribute", attribute)
                .set_expression_attribute_values(Some(values.clone()))
                .scan_index_forward(false)
                .limit(left)
                .set_exclusive_start_key(start.take())
                .send()
                .await;
            let queried =
                queried.map_err(|error| fault!(error).during("list", &self.table.name))?;
            for item in queried.items() {
                records.push(self.parse(item)?);
            }
            start = queried.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let has_more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().filter(|_| has_more);
        let next = last.map(|stored| Cursor {
            created_ms: stored.record.created_ms(),
            id: stored.record.id().to_owned(),
        });
        Ok(Page { records, next })
    }

    async fn delete(&self, id: &str) -> Result<(), StorageError> {
        let deleted = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(key::<R>(id)))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("delete", &subject::<R>(id))),
        }
    }
}

fn subject<R: Record>(id: &str) -> String {
    format!("{}#{id}", R::KIND)
}

fn key<R: Record>(id: &str) -> Item {
    Item::from([("id".to_owned(), text(subject::<R>(id)))])
}

fn group_of<R: Record>(group: &str) -> String {
    format!("{}#{group}", R::KIND)
}

/// Renders where a record stands in a list: texts are compared byte by byte.
fn place(created_ms: u64, id: &str) -> String {
    format!("{created_ms:020}#{id}")
}

fn item<R: Record>(record: &R, revision: Revision, subject: &str) -> Result<Item, StorageError> {
    let body = serde_json::to_string(record).map_err(|error| StorageError::Corrupt {
        subject: subject.to_owned(),
        reason: format!("it cannot be written as JSON: {error}"),
    })?;
    let attributes: [(&str, AttributeValue); 6] = [
        ("id", text(subject)),
        ("body", text(body)),
        ("revision", number(revision.0)),
        ("kind", text(R::KIND)),
        ("group", text(group_of::<R>(record.group()))),
        ("place", text(place(record.created_ms(), record.id()))),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Ok(Item::from(attributes))
}

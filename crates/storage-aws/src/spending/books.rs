//! Budgets, reservations and the ledger: items with a body of JSON.

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::ReturnValuesOnConditionCheckFailure,
};
use futures::future::try_join_all;
use llmopt_domain::Digest;
use llmopt_storage::{
    StorageError,
    spend::{After, Budget, LedgerEntry, Place, RequestId, Reservation, Step},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{DynamoSpendStore, TRIES};
use crate::{
    error::fault,
    item::{number, text, text_of, unique},
    table::Item,
};

const BY_GROUP: &str = "by-group";
const BUDGETS: &str = "budgets";
/// The groups of reservations that are not closed: one partition of an index takes a thousand writes a second.
const GROUPS: &str = "0123456789abcdef";

/// A range of places in a group: after one, up to another.
struct Range {
    after: String,
    end: String,
}

impl DynamoSpendStore {
    pub(super) async fn put_budget_item(&self, budget: &Budget) -> Result<(), StorageError> {
        let id = budget.scope.as_str();
        let mut item = item("budget", id, budget)?;
        item.insert("revision".to_owned(), number(budget.revision));
        list(&mut item, BUDGETS.to_owned(), id.to_owned());
        let previous = budget.revision.saturating_sub(1);
        let (condition, values) = match previous {
            0 => ("attribute_not_exists(id)", None),
            _ => {
                let values = Item::from([(":previous".to_owned(), number(previous))]);
                ("revision = :previous", Some(values))
            }
        };
        if self.put("change", id, item, (condition, values)).await? {
            return Ok(());
        }
        let there: Option<Budget> = self.get_body("budget", id).await?;
        if there.as_ref() == Some(budget) {
            return Ok(());
        }
        let subject = format!("budget `{id}`");
        Err(StorageError::Conflict { subject })
    }

    pub(super) async fn list_budgets(&self) -> Result<Vec<Budget>, StorageError> {
        let items = self.query(BUDGETS, &Range::all(), usize::MAX).await?;
        items.iter().map(parse).collect()
    }

    pub(super) async fn put_reservation(
        &self,
        reservation: &Reservation,
    ) -> Result<Option<Reservation>, StorageError> {
        let id = reservation.request.as_str();
        let beginning = number(unique()?);
        let mut item = item("reservation", id, reservation)?;
        item.insert("revision".to_owned(), number(reservation.version));
        item.insert("beginning".to_owned(), beginning.clone());
        let group = group_of(&reservation.request);
        list(&mut item, group, place(&reservation.place()));
        let condition = ("attribute_not_exists(id)", None);
        if self.put("reserve for", id, item, condition).await? {
            return Ok(None);
        }
        match self.table.get(key("reservation", id)).await? {
            // It may be our own try that nobody answered.
            Some(there) if there.get("beginning") != Some(&beginning) => parse(&there).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) async fn change_reservation(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError> {
        let mut there = known.clone();
        for tried in 0..TRIES {
            let after = there.after(step);
            let found = if let After::Changed(after) = after {
                match self.write_step(&there, &after).await? {
                    Ok(()) => return Ok(Ok(*after)),
                    Err(found) => found,
                }
            } else if tried == 0 {
                // The caller may not know how it is now.
                None
            } else {
                let is_done = matches!(after, After::Same);
                return Ok(if is_done { Ok(there) } else { Err(there) });
            };
            there = match found {
                Some(item) => parse(&item)?,
                None => self.present(&known.request).await?,
            };
        }
        Err(StorageError::Conflict {
            subject: format!("reservation `{}`", known.request),
        })
    }

    async fn present(&self, request: &RequestId) -> Result<Reservation, StorageError> {
        let there = self.get_body("reservation", request.as_str()).await?;
        there.ok_or_else(|| StorageError::NoRecord {
            kind: "reservation",
            id: request.to_string(),
        })
    }

    /// Replaces a reservation that is still as it was, or says what is there, if the endpoint does.
    async fn write_step(
        &self,
        before: &Reservation,
        after: &Reservation,
    ) -> Result<Result<(), Option<Item>>, StorageError> {
        let id = after.request.as_str();
        let mut expression = "SET body = :body, revision = :revision".to_owned();
        let mut update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key("reservation", id)));
        if let Some(forget_ms) = after.forget_ms {
            expression.push_str(", expires = :expires REMOVE #group, place");
            update = update
                .expression_attribute_names("#group", "group")
                .expression_attribute_values(":expires", number(forget_ms.div_ceil(1_000)));
        }
        let updated = update
            .update_expression(expression)
            .condition_expression("revision = :present")
            .expression_attribute_values(":body", text(json(id, after)?))
            .expression_attribute_values(":revision", number(after.version))
            .expression_attribute_values(":present", number(before.version))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = updated else {
            return Ok(Ok(()));
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Err(failed.item.clone()))
            }
            _ => Err(fault!(error).during("change", id)),
        }
    }

    pub(super) async fn list_unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError> {
        let range = Range::new(after, format!("{until_ms:020}$"));
        let limit = limit as usize;
        let groups = GROUPS.chars().map(|digit| {
            let range = &range;
            async move { self.query(&group(digit), range, limit).await }
        });
        let items = try_join_all(groups).await?;
        let found: Result<Vec<Reservation>, _> = items.iter().flatten().map(parse).collect();
        let mut found = found?;
        found.sort_by_cached_key(Reservation::place);
        found.truncate(limit);
        Ok(found)
    }

    pub(super) async fn put_entry(&self, entry: &LedgerEntry) -> Result<(), StorageError> {
        let id = entry.request.as_str();
        let mut item = item("ledger", id, entry)?;
        list(&mut item, day_group(&entry.day), place(&entry.place()));
        let condition = ("attribute_not_exists(id)", None);
        if self.put("enter", id, item, condition).await? {
            return Ok(());
        }
        let there: Option<LedgerEntry> = self.get_body("ledger", id).await?;
        if there.as_ref() == Some(entry) {
            return Ok(());
        }
        let (kind, id) = ("ledger entry", id.to_owned());
        Err(StorageError::RecordExists { kind, id })
    }

    pub(super) async fn list_day(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError> {
        let range = Range::new(after, "~".to_owned());
        let items = self.query(&day_group(day), &range, limit as usize).await?;
        items.iter().map(parse).collect()
    }

    pub(super) async fn get_body<T: DeserializeOwned>(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<Option<T>, StorageError> {
        let item = self.table.get(key(kind, id)).await?;
        item.as_ref().map(parse).transpose()
    }

    /// Writes an item if a condition holds of what is there, and returns whether it did.
    async fn put(
        &self,
        operation: &'static str,
        subject: &str,
        item: Item,
        (condition, values): (&str, Option<Item>),
    ) -> Result<bool, StorageError> {
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(true);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(fault!(error).during(operation, subject)),
        }
    }

    /// Returns at most `limit` items of a group, by their places.
    async fn query(
        &self,
        group: &str,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        let (mut found, mut start) = (Vec::new(), None);
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let queried = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .index_name(BY_GROUP)
                .key_condition_expression("#group = :group AND place BETWEEN :after AND :end")
                .expression_attribute_names("#group", "group")
                .expression_attribute_values(":group", text(group))
                .expression_attribute_values(":after", text(&range.after))
                .expression_attribute_values(":end", text(&range.end))
                .limit(left)
                .set_exclusive_start_key(start.take())
                .send()
                .await;
            let queried = queried.map_err(|error| fault!(error).during("list", group))?;
            found.extend(queried.items.unwrap_or_default());
            start = queried.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

impl Range {
    fn all() -> Self {
        Self::new(None, "~".to_owned())
    }

    /// Begins right after a place: no name has a character as early as `!`.
    fn new(after: Option<&Place>, end: String) -> Self {
        let after = after.map_or("!".to_owned(), |after| format!("{}!", place(after)));
        Self { after, end }
    }
}

fn key(kind: &str, id: &str) -> Item {
    Item::from([("id".to_owned(), text(format!("{kind}#{id}")))])
}

fn item<T: Serialize>(kind: &str, id: &str, value: &T) -> Result<Item, StorageError> {
    let mut item = key(kind, id);
    item.insert("body".to_owned(), text(json(id, value)?));
    Ok(item)
}

/// Puts an item into a list.
fn list(item: &mut Item, group: String, place: String) {
    item.insert("group".to_owned(), text(group));
    item.insert("place".to_owned(), text(place));
}

/// Renders a place: texts are compared byte by byte.
fn place(place: &Place) -> String {
    format!("{:020}#{}", place.at_ms, place.request)
}

fn group(digit: char) -> String {
    format!("reservations#{digit}")
}

fn group_of(request: &RequestId) -> String {
    let digest = Digest::of_bytes(request.as_str().as_bytes());
    group(digest.short().chars().next().unwrap_or('0'))
}

fn day_group(day: &str) -> String {
    format!("ledger#{day}")
}

fn json<T: Serialize>(id: &str, value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Corrupt {
        subject: id.to_owned(),
        reason: format!("it cannot be written as JSON: {error}"),
    })
}

fn parse<T: DeserializeOwned>(item: &Item) -> Result<T, StorageError> {
    let id = text_of(item, "id", "spending")?;
    serde_json::from_str(text_of(item, "body", id)?).map_err(|error| StorageError::Corrupt {
        subject: id.to_owned(),
        reason: format!("it cannot be read: {error}"),
    })
}

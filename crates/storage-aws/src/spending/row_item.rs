//! How the row of a budget lies in an item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use llmopt_domain::Picodollars;
use llmopt_storage::{
    StorageError,
    spend::{BudgetRow, Hold, Limit, RequestId, RowKey, signed},
};

use crate::{
    item::{damaged, number, number_of, text, text_of},
    table::Item,
};

pub(super) fn key(key: &RowKey) -> Item {
    Item::from([("id".to_owned(), text(format!("budget-row#{key}")))])
}

/// Returns the item of a row of which nothing is spent.
pub(super) fn item(row: &RowKey, limit: &Limit) -> Item {
    let nothing = || AttributeValue::M(HashMap::new());
    let mut item = key(row);
    let attributes = [
        ("amount", number(limit.amount.get())),
        ("revision", number(limit.revision)),
        ("percents", percents(limit)),
        ("available", number(limit.amount.get())),
        ("spent", number(0)),
        ("holds", nothing()),
        ("alerts", nothing()),
    ];
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

pub(super) fn parse(key: &RowKey, item: &Item) -> Result<BudgetRow, StorageError> {
    let subject = key.to_string();
    let money = |name| {
        let amount = Picodollars::new(number_of(item, name, &subject)?);
        amount.ok_or_else(|| damaged(name, &subject))
    };
    let mut row = BudgetRow::new(Limit {
        amount: money("amount")?,
        revision: number_of(item, "revision", &subject)?,
        alert_percent: parse_percents(text_of(item, "percents", &subject)?)
            .ok_or_else(|| damaged("percents", &subject))?,
    });
    row.available = available(item).ok_or_else(|| damaged("available", &subject))?;
    row.spent = money("spent")?;
    for (name, value) in map(item, "holds", &subject)? {
        let hold = parse_hold(name, value).ok_or_else(|| damaged("holds", &subject))?;
        row.holds.insert(hold.0, hold.1);
    }
    for (name, value) in map(item, "alerts", &subject)? {
        let alert = parse_alert(name, value).ok_or_else(|| damaged("alerts", &subject))?;
        row.alerts.insert(alert.0, alert.1);
    }
    Ok(row)
}

fn map<'a>(
    item: &'a Item,
    name: &str,
    subject: &str,
) -> Result<&'a HashMap<String, AttributeValue>, StorageError> {
    let value = item.get(name).and_then(|value| value.as_m().ok());
    value.ok_or_else(|| damaged(name, subject))
}

fn available(item: &Item) -> Option<i64> {
    item.get("available")?.as_n().ok()?.parse().ok()
}

pub(super) fn percents(limit: &Limit) -> AttributeValue {
    let percents: Vec<String> = limit.alert_percent.iter().map(u8::to_string).collect();
    text(percents.join(","))
}

fn parse_percents(percents: &str) -> Option<Vec<u8>> {
    let percents = percents.split(',').filter(|percent| !percent.is_empty());
    percents.map(|percent| percent.parse().ok()).collect()
}

/// Renders a hold as one value, which is compared as a whole.
pub(super) fn hold(hold: &Hold) -> AttributeValue {
    let Hold {
        amount,
        token,
        taken_ms,
    } = hold;
    text(format!("{}/{token}/{taken_ms}", amount.get()))
}

fn parse_hold(name: &str, value: &AttributeValue) -> Option<(RequestId, Hold)> {
    let mut parts = value.as_s().ok()?.split('/').map(str::parse::<u64>);
    let mut part = || parts.next()?.ok();
    let hold = Hold {
        amount: Picodollars::new(part()?)?,
        token: part()?,
        taken_ms: part()?,
    };
    Some((RequestId::try_from(name.to_owned()).ok()?, hold))
}

fn parse_alert(name: &str, value: &AttributeValue) -> Option<(u8, u64)> {
    Some((name.parse().ok()?, value.as_n().ok()?.parse().ok()?))
}

/// Renders an amount that is added, and may be below nothing.
pub(super) fn difference(more: Picodollars, less: Picodollars) -> AttributeValue {
    AttributeValue::N((signed(more) - signed(less)).to_string())
}

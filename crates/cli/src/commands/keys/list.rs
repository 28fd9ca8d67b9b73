use clap::Args;
use llmopt_domain::ApiKey;
use llmopt_http::timestamp;
use llmopt_storage::Listing;
use serde_json::{Value, json};

use super::scopes;
use crate::{context::Context, failure::Failure};

/// Lists the keys, revoked ones too; never their secrets.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt keys list
  llmopt keys list --json")]
pub(crate) struct ListArguments {}

const HEADER: [&str; 6] = ["id", "name", "scopes", "created", "last used", "ends"];
/// Keys that are read at once.
const PART: u32 = 100;

pub(super) async fn run(context: &mut Context) -> Result<(), Failure> {
    let keys = context.keys().await?;
    let mut listing = Listing {
        limit: PART,
        ..Listing::default()
    };
    let mut found: Vec<Used> = Vec::new();
    loop {
        let page = keys.list(&listing).await?;
        for stored in page.records {
            let used_ms = keys.last_used(&stored.record.id).await?;
            found.push((stored.record, used_ms));
        }
        match page.next {
            None => break,
            next => listing.after = next,
        }
    }
    if context.output.is_json() {
        let shown: Vec<Value> = found.iter().map(json_of).collect();
        return context.output.json(&shown);
    }
    if found.is_empty() {
        return context
            .output
            .line("no keys yet; make one with `llmopt keys create --name NAME --scope generate`");
    }
    context
        .output
        .table(&HEADER, found.iter().map(row).collect())
}

/// A key, and when it was used last.
type Used = (ApiKey, Option<u64>);

fn json_of((key, used_ms): &Used) -> Value {
    json!({
        "id": key.id, "name": key.name, "scopes": key.scopes,
        "requests_per_minute": key.limits.requests_per_minute, "burst": key.limits.burst,
        "tokens_per_minute": key.limits.tokens_per_minute,
        "created_at": timestamp(key.created_ms), "expires_at": key.expires_ms.map(timestamp),
        "revoked_at": key.revoked_ms.map(timestamp),
        "last_used_at": used_ms.map(timestamp),
    })
}

fn row((key, used_ms): &Used) -> Vec<String> {
    let day = |ms: u64| timestamp(ms).chars().take(10).collect::<String>();
    let end = match (key.revoked_ms, key.expires_ms) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) => day(end),
        (None, None) => "never".to_owned(),
    };
    vec![
        key.id.clone(),
        key.name.clone(),
        scopes(key),
        day(key.created_ms),
        used_ms.map_or_else(|| "never".to_owned(), day),
        end,
    ]
}

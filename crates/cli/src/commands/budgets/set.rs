use axum::http::Method;
use clap::{ArgGroup, Args};
use llmopt_domain::Picodollars;
use serde_json::json;

use super::show;
use crate::{context::Context, failure::Failure, platform_client::ServerFlags};

/// Sets what a scope may spend: all of its limits, so that those that are left out are none.
///
/// What was spent and reserved counts on. A limit that is lower than that lets nothing through until its window ends.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("limits").required(true).multiple(true),
    after_help = "\
Examples:
  llmopt budgets set all --daily 5 --monthly 100
  llmopt budgets set provider/openai --monthly 80 --alert-percent 50,90
  llmopt budgets set key/AbCdEfGhIjKl --total 0.25
  llmopt budgets set all --daily 20 --url https://llmopt.example.com --key-file admin.key"
)]
pub(crate) struct SetArguments {
    /// Whose: `all`, `key/KEYID` or `provider/NAME`
    scope: String,
    /// Dollars in a day of UTC
    #[arg(long, value_name = "DOLLARS", group = "limits")]
    daily: Option<Picodollars>,
    /// Dollars in a calendar month of UTC
    #[arg(long, value_name = "DOLLARS", group = "limits")]
    monthly: Option<Picodollars>,
    /// Dollars ever
    #[arg(long, value_name = "DOLLARS", group = "limits")]
    total: Option<Picodollars>,
    /// Parts of each limit, in per cent, to be told of when they are spent [default: 80,100]
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=100))]
    alert_percent: Option<Vec<u8>>,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(context: &mut Context, arguments: &SetArguments) -> Result<(), Failure> {
    let client = arguments.server.client(context).await?;
    let amount = |limit: Option<Picodollars>| limit.map(Picodollars::to_decimal);
    let body = json!({
        "scope": arguments.scope,
        "daily_usd": amount(arguments.daily),
        "monthly_usd": amount(arguments.monthly),
        "total_usd": amount(arguments.total),
        "alert_percent": arguments.alert_percent,
    });
    let reply = client.send(Method::PUT, "/commercial/budgets", Some(&body));
    let budget = reply.await?.succeeded().await?.json().await?;
    if context.output.is_json() {
        return context.output.json(&budget);
    }
    show(&mut context.output, &[budget])
}

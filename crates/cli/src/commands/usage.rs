use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    context::Context,
    failure::Failure,
    output::{Output, count_text},
    platform_client::ServerFlags,
};

/// Says what commercial models were used for and what that cost, to the picodollar.
///
/// Days are those of UTC. What is called assumed is the most that requests may have cost whose answer nobody saw, such
/// as those of a process that was killed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt usage
  llmopt usage --by day --from 2026-11-01
  llmopt usage --by key --from 2026-11-01 --to 2026-11-30 --csv > november.csv
  llmopt usage --url https://llmopt.example.com --key-file my.key --json")]
pub(crate) struct UsageArguments {
    /// The first day, such as 2026-11-01 [default: the one that makes it 30 days]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// What is added up together
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
    /// Only what the key with this id asked for
    #[arg(long, value_name = "KEYID")]
    key: Option<String>,
    /// Write comma-separated values, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The model that answered
    Model,
    /// The provider that answered
    Provider,
    /// The key that asked
    Key,
    /// The day
    Day,
}

pub(super) async fn run(context: &mut Context, arguments: UsageArguments) -> Result<(), Failure> {
    let client = arguments.server.client(context).await?;
    let reply = client.get(&arguments.path()).await?;
    let mut reply = reply.succeeded().await?;
    let output = &mut context.output;
    if arguments.csv {
        let table = reply.bytes().await?;
        // Its lines end as RFC 4180 has them.
        return match std::io::stdout().write_all(&table) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(
                format!("failed to write the output: {error}"),
            )),
            _ => Ok(()),
        };
    }
    let usage = reply.json().await?;
    if output.is_json() {
        return output.json(&usage);
    }
    show(output, &usage)
}

impl UsageArguments {
    fn path(&self) -> String {
        let by = match self.by {
            By::Model => "model",
            By::Provider => "provider",
            By::Key => "key",
            By::Day => "day",
        };
        let format = if self.csv { "csv" } else { "json" };
        let mut path = format!("/commercial/usage?group_by={by}&format={format}");
        let named = [("from", &self.from), ("to", &self.to), ("key", &self.key)];
        for (name, value) in named {
            if let Some(value) = value {
                path += &format!("&{name}={}", encoded(value));
            }
        }
        path
    }
}

/// Renders a text as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let render = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(render).collect()
}

/// Renders an amount of an answer.
pub(super) fn dollars(value: &Value) -> String {
    value.as_str().map_or_else(String::new, |text| {
        text.strip_prefix('-')
            .map_or_else(|| format!("${text}"), |debt| format!("-${debt}"))
    })
}

/// Renders a count of an answer.
pub(super) fn count(value: &Value) -> String {
    value.as_u64().map_or_else(String::new, count_text)
}

fn show(output: &mut Output, usage: &Value) -> Result<(), Failure> {
    let by = usage["group_by"].as_str().unwrap_or_default();
    let groups = usage["groups"].as_array().map_or(&[][..], Vec::as_slice);
    let days = format!("{} to {}", text(&usage["from"]), text(&usage["to"]));
    if groups.is_empty() {
        return output.line(format!("nothing was asked of commercial models, {days}"));
    }
    let header = [
        by, "requests", "input", "cached", "written", "output", "cost", "assumed",
    ];
    output.table(&header, groups.iter().map(row).collect())?;
    let total = &usage["total"];
    let (cost, assumed) = (dollars(&total["cost_usd"]), dollars(&total["assumed_usd"]));
    let assumed = match assumed.as_str() {
        "$0.00" => String::new(),
        assumed => format!(", {assumed} of it assumed"),
    };
    output.line(format!(
        "{} requests for {cost}{assumed}, {days}",
        count(&total["requests"])
    ))
}

fn row(group: &Value) -> Vec<String> {
    let tokens = &group["tokens"];
    let sum = |names: [&str; 2]| {
        let counts = names.map(|name| tokens[name].as_u64().unwrap_or_default());
        count_text(counts.into_iter().sum())
    };
    vec![
        match text(&group["group"]) {
            "" => "(no key)".to_owned(),
            named => named.to_owned(),
        },
        count(&group["requests"]),
        count(&tokens["input"]),
        count(&tokens["cache_read"]),
        sum(["cache_write", "cache_write_long"]),
        count(&tokens["output"]),
        dollars(&group["cost_usd"]),
        dollars(&group["assumed_usd"]),
    ]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_in_the_query_as_it_is() {
        let arguments = UsageArguments {
            from: Some("2026-11-01".to_owned()),
            to: None,
            by: By::Key,
            key: Some("a&b/ä".to_owned()),
            csv: true,
            server: ServerFlags::default(),
        };
        assert_eq!(
            arguments.path(),
            "/commercial/usage?group_by=key&format=csv&from=2026-11-01&key=a%26b%2F%C3%A4"
        );
    }

    #[test]
    fn debts_have_their_sign_before_the_dollar() {
        assert_eq!(dollars(&json!("12.50")), "$12.50");
        assert_eq!(dollars(&json!("-0.01")), "-$0.01");
        assert_eq!(dollars(&Value::Null), "");
    }
}

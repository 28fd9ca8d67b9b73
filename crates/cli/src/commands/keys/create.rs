use std::{num::NonZeroU32, time::SystemTime};

use clap::{Args, ValueEnum};
use llmopt_domain::{KeyLimits, Scope};
use llmopt_service::NewKey;

use super::{hours, show};
use crate::{context::Context, failure::Failure};

/// Makes a key and writes it, once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt keys create --name notebooks --scope generate
  llmopt keys create --name ci --scope train --requests-per-minute 60 --expires-days 90
  LLMOPT_STORE=aws llmopt keys create --name me --scope admin")]
pub(crate) struct CreateArguments {
    /// What to call it
    #[arg(long)]
    name: String,
    /// What it may be used for; each may do what the ones before it may
    #[arg(long, value_enum)]
    scope: ScopeArgument,
    /// Requests in each minute on average [default: LLMOPT_KEY_REQUESTS_PER_MINUTE]
    #[arg(long, value_name = "COUNT")]
    requests_per_minute: Option<NonZeroU32>,
    /// Requests at once [default: those of a minute]
    #[arg(long, value_name = "COUNT", requires = "requests_per_minute")]
    burst: Option<NonZeroU32>,
    /// Tokens of commercial models in each minute on average [default: no limit]
    #[arg(long, value_name = "COUNT")]
    tokens_per_minute: Option<NonZeroU32>,
    /// Days after which it is no longer taken [default: it does not end]
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeArgument {
    /// To see models and have answers generated
    Generate,
    /// To keep datasets, train on them and delete models
    Train,
    /// Everything, keys included
    Admin,
}

pub(super) async fn run(context: &mut Context, arguments: CreateArguments) -> Result<(), Failure> {
    let scope = match arguments.scope {
        ScopeArgument::Generate => Scope::Generate,
        ScopeArgument::Train => Scope::Train,
        ScopeArgument::Admin => Scope::Admin,
    };
    let request = NewKey {
        name: arguments.name,
        scopes: [scope].into(),
        limits: KeyLimits {
            requests_per_minute: arguments.requests_per_minute,
            burst: arguments.burst,
            tokens_per_minute: arguments.tokens_per_minute,
        },
        expires_ms: arguments.expires_days.map(in_days),
    };
    let issued = context.keys().await?.create(request).await?;
    show(context, &issued)
}

fn in_days(days: u16) -> u64 {
    let end = SystemTime::now() + hours(u32::from(days) * 24);
    let since = end.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
}

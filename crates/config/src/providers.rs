mod listed;
mod unique;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::settings::{Reader, parse_endpoint, parse_path, parse_resource, parse_token};
use crate::source::Problem;
use crate::variables::{self, Variable};
use crate::{ConfigError, Secret};

use listed::without_values;
use unique::Unique;

/// The API that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderApi {
    /// OpenAI's chat completions.
    Openai,
    /// Anthropic's messages.
    Anthropic,
}

/// How a server that speaks OpenAI's API calls the most tokens of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, as most servers do.
    MaxTokens,
    /// `max_completion_tokens`, as OpenAI itself does.
    MaxCompletionTokens,
}

/// Where a provider answers, which its prices depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderRegion {
    /// Anywhere.
    Global,
    /// Only in a region that was chosen.
    Regional,
}

/// Where a provider's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySettings {
    /// Nowhere: the server wants none.
    None,
    /// Here.
    Text(Secret),
    /// In this file, which may change.
    File(PathBuf),
    /// In the secret of AWS Secrets Manager with this name or ARN.
    Secret(String),
}

/// How often models may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Requests in a minute; `None` is no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens in a minute; `None` is no limit.
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// What models are charged at that have no price, in picodollars per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CeilingSettings {
    /// Any input.
    pub input_picodollars: u64,
    /// Output.
    pub output_picodollars: u64,
}

/// A provider of commercial models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// What it is called: `openai` and `anthropic` are themselves, whatever their address.
    pub name: String,
    /// The API that it speaks.
    pub api: ProviderApi,
    /// Whether the prices of that API's owner hold for it.
    pub is_owner: bool,
    /// Its address, if it is not the owner's own.
    pub base_url: Option<String>,
    /// What is added to every address, by name.
    pub query: BTreeMap<String, Secret>,
    /// Where it answers.
    pub region: ProviderRegion,
    /// Its key.
    pub key: KeySettings,
    /// Headers for every request.
    pub headers: BTreeMap<String, Secret>,
    /// How it calls the most tokens of an answer, where it speaks OpenAI's API.
    pub max_tokens_field: MaxTokensField,
    /// Whether it may be asked to count the tokens of a stream, where it speaks OpenAI's API.
    pub counts_streams: bool,
    /// How often it may be asked, all models together.
    pub limits: LimitSettings,
    /// How often single models may be asked, by their ids.
    pub models: BTreeMap<String, LimitSettings>,
    /// What its models are charged at that have no price; `None` refuses them.
    pub ceiling: Option<CeilingSettings>,
}

/// The variables of an API's owner.
struct Owner {
    name: &'static str,
    api: ProviderApi,
    key: &'static Variable,
    key_file: &'static Variable,
    key_secret: &'static Variable,
    base_url: &'static Variable,
    region: &'static Variable,
    requests: &'static Variable,
    tokens: &'static Variable,
}

const OWNERS: [Owner; 2] = [
    Owner {
        name: "openai",
        api: ProviderApi::Openai,
        key: &variables::OPENAI_API_KEY,
        key_file: &variables::OPENAI_API_KEY_FILE,
        key_secret: &variables::OPENAI_KEY_SECRET,
        base_url: &variables::OPENAI_BASE_URL,
        region: &variables::OPENAI_REGION,
        requests: &variables::OPENAI_REQUESTS_PER_MINUTE,
        tokens: &variables::OPENAI_TOKENS_PER_MINUTE,
    },
    Owner {
        name: "anthropic",
        api: ProviderApi::Anthropic,
        key: &variables::ANTHROPIC_API_KEY,
        key_file: &variables::ANTHROPIC_API_KEY_FILE,
        key_secret: &variables::ANTHROPIC_KEY_SECRET,
        base_url: &variables::ANTHROPIC_BASE_URL,
        region: &variables::ANTHROPIC_REGION,
        requests: &variables::ANTHROPIC_REQUESTS_PER_MINUTE,
        tokens: &variables::ANTHROPIC_TOKENS_PER_MINUTE,
    },
];

impl Reader<'_> {
    /// Returns the providers that are configured: the owners of the APIs, then the others in their order.
    pub(crate) fn providers(&self) -> Result<Vec<ProviderSettings>, ConfigError> {
        let mut providers = Vec::new();
        for owner in &OWNERS {
            providers.extend(self.owner(owner)?);
        }
        let others = self.checked(&variables::PROVIDERS, |value| {
            listed::parse(value, self.source)
        })?;
        providers.extend(others.unwrap_or_default());
        Ok(providers)
    }

    fn owner(&self, owner: &Owner) -> Result<Option<ProviderSettings>, ConfigError> {
        let key = self.owners_key(owner)?;
        let base_url = self.optional(owner.base_url, parse_base_url)?;
        let region = self.optional(owner.region, parse_region)?;
        let limits = LimitSettings {
            requests_per_minute: self
                .required(owner.requests, |value| value.parse().ok())
                .map(NonZeroU32::new)?,
            tokens_per_minute: self.optional(owner.tokens, |value| value.parse().ok())?,
        };
        if key == KeySettings::None && base_url.is_none() {
            return Ok(None);
        }
        Ok(Some(ProviderSettings {
            name: owner.name.to_owned(),
            api: owner.api,
            is_owner: true,
            query: BTreeMap::new(),
            region: region.unwrap_or_else(|| region_of(base_url.as_deref())),
            base_url,
            key,
            headers: BTreeMap::new(),
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            counts_streams: true,
            limits,
            models: BTreeMap::new(),
            ceiling: None,
        }))
    }

    /// Returns where the key is. Whoever sets two places may mean either, and one of them may be someone else's to
    /// pay for.
    fn owners_key(&self, owner: &Owner) -> Result<KeySettings, ConfigError> {
        let text = self.optional(owner.key, parse_token)?;
        let file = self.optional(owner.key_file, parse_path)?;
        let secret = self.optional(owner.key_secret, parse_resource)?;
        let places = [
            text.map(|key| (owner.key, KeySettings::Text(key))),
            file.map(|path| (owner.key_file, KeySettings::File(path))),
            secret.map(|name| (owner.key_secret, KeySettings::Secret(name))),
        ];
        let mut places = places.into_iter().flatten();
        let Some((variable, key)) = places.next() else {
            return Ok(KeySettings::None);
        };
        let Some((other, _)) = places.next() else {
            return Ok(key);
        };
        let second = self.checked(variable, |_| {
            Err(Problem {
                expected: format!("one place for the key of `{}`", owner.name),
                found: format!("`{}` set too", other.name),
                fix: "unset one of the two",
            })
        });
        second.map(|_: Option<KeySettings>| key)
    }
}

fn parse_region(value: &str) -> Option<ProviderRegion> {
    match value {
        "global" => Some(ProviderRegion::Global),
        "regional" => Some(ProviderRegion::Regional),
        _ => None,
    }
}

/// Says where an address answers: OpenAI has one for each region, `https://eu.api.openai.com/v1`.
fn region_of(base_url: Option<&str>) -> ProviderRegion {
    let host = base_url.and_then(|url| url.split_once("://")?.1.split(['/', ':']).next());
    match host.is_some_and(|host| host.to_ascii_lowercase().ends_with(".api.openai.com")) {
        true => ProviderRegion::Regional,
        false => ProviderRegion::Global,
    }
}

fn parse_base_url(value: &str) -> Option<String> {
    // Whoever logs an address must not log a password with it.
    let is_plain = !value.contains(['@', '?', '#']);
    parse_endpoint(value).filter(|_| is_plain)
}

/// Reads the limits of single models.
pub(crate) fn parse_model_limits(value: &str) -> Result<BTreeMap<String, LimitSettings>, Problem> {
    let wrong = |found: String| {
        Problem {
        expected: "a JSON object of ids of models, each with limits, such as `{\"gpt-6-luna\":{\"requests_per_minute\":500}}`"
            .to_owned(),
        found,
        fix: "correct it",
    }
    };
    let limits: Unique<LimitSettings> = read_json(value).map_err(wrong)?;
    match limits.0.keys().find(|model| !is_model(model)) {
        Some(model) => Err(wrong(format!(
            "`{}`, which is no id of a model",
            model.escape_debug()
        ))),
        None => Ok(limits.0),
    }
}

/// The most models that one name may stand for.
const CHAIN: usize = 8;

pub(crate) fn parse_aliases(value: &str) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let wrong = |found: String| {
        Problem {
        expected: "a JSON object of names, each with a list of models' ids, such as `{\"smart\":[\"claude-opus-5\"]}`"
            .to_owned(),
        found,
        fix: "correct it",
    }
    };
    let aliases: Unique<Vec<String>> = read_json(value).map_err(wrong)?;
    for (alias, models) in &aliases.0 {
        if !is_alias(alias) {
            let expected = "a name of 1 to 64 letters, digits, `-`, `_` and `.`";
            return Err(wrong(format!("`{alias}`, which is not {expected}")));
        }
        if models.is_empty() || models.len() > CHAIN {
            let count = models.len();
            return Err(wrong(format!(
                "{count} models for `{alias}`, which takes 1 to {CHAIN}"
            )));
        }
        if let Some(model) = models.iter().find(|model| !is_model(model)) {
            return Err(wrong(format!(
                "`{}` for `{alias}`, which is no id of a model",
                model.escape_debug()
            )));
        }
    }
    Ok(aliases.0)
}

/// Returns whether no id of a model of ours, nor one with its provider, can be the same.
fn is_alias(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_letter)
}

fn is_model(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(crate) fn parse_wait(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|seconds| *seconds <= 60)?;
    Some(Duration::from_secs(seconds))
}

pub(crate) fn parse_topic(value: &str) -> Option<String> {
    parse_resource(value).filter(|topic| topic.starts_with("arn:") && topic.contains(":sns:"))
}

/// Reads JSON; says where something is wrong with it, and repeats no value.
fn read_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let value = read.map_err(|error| {
        let place = error.path().to_string();
        let what = without_values(&error.into_inner().to_string());
        match place.as_str() {
            "." | "?" => what,
            place => format!("at `{place}`: {what}"),
        }
    })?;
    let end = deserializer.end();
    end.map(|()| value)
        .map_err(|error| without_values(&error.to_string()))
}

#[cfg(test)]
mod tests;

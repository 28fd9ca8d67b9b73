use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::{
    CeilingSettings, KeySettings, LimitSettings, MaxTokensField, OWNERS, ProviderApi,
    ProviderRegion, ProviderSettings, Unique, is_model, parse_base_url, read_json,
};
use crate::Secret;
use crate::settings::{parse_path, parse_resource, parse_token};
use crate::source::{Problem, Source};

/// A server as `LLMOPT_PROVIDERS` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    api: ProviderApi,
    base_url: String,
    key_file: Option<String>,
    key_env: Option<String>,
    key_secret: Option<String>,
    #[serde(default)]
    headers: Unique<Secret>,
    #[serde(default)]
    query: Unique<Secret>,
    stream_usage: Option<bool>,
    max_tokens_field: Option<MaxTokensField>,
    requests_per_minute: Option<NonZeroU32>,
    tokens_per_minute: Option<NonZeroU32>,
    #[serde(default)]
    models: Unique<LimitSettings>,
    ceiling: Option<ListedCeiling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedCeiling {
    input_usd_per_million: PerMillion,
    output_usd_per_million: PerMillion,
}

/// Dollars per million tokens, which are as many picodollars per token, a million times over.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct PerMillion {
    picodollars: u64,
}

impl TryFrom<String> for PerMillion {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const EXPECTED: &str = "expected dollars such as \"1.5\", with 1 to 6 digits before the point and at most 6 after it";
        let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
        let digits = |text: &str| {
            let is_number = (1..=6).contains(&text.len());
            is_number && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole) || !digits(part) {
            return Err(EXPECTED);
        }
        let picodollars = format!("{whole}{part:0<6}").parse();
        picodollars
            .map(|picodollars| Self { picodollars })
            .map_err(|_| EXPECTED)
    }
}

/// Reads the servers; keys of other variables are looked up in `source`.
pub(super) fn parse(value: &str, source: &Source) -> Result<Vec<ProviderSettings>, Problem> {
    let listed: Vec<Listed> = read_json(value).map_err(|found| Problem {
        expected: "a JSON list of servers, as docs/CONFIGURATION.md describes them".to_owned(),
        found,
        fix: "correct it",
    })?;
    let mut providers: Vec<ProviderSettings> = Vec::new();
    for (index, listed) in listed.into_iter().enumerate() {
        let earlier = providers.iter().map(|provider| provider.name.as_str());
        let mut taken = OWNERS.iter().map(|owner| owner.name).chain(earlier);
        if taken.any(|name| name == listed.name) {
            return Err(Problem {
                expected: format!("another name at `[{index}].name`"),
                found: format!("`{}`, which is taken", listed.name),
                fix: "give each server a name of its own, `openai` and `anthropic` apart",
            });
        }
        providers.push(listed.checked(index, source)?);
    }
    Ok(providers)
}

impl Listed {
    fn checked(self, index: usize, source: &Source) -> Result<ProviderSettings, Problem> {
        let wrong = |field: &str, expected: &str| Problem {
            expected: format!("{expected} at `[{index}].{field}`"),
            found: "another value".to_owned(),
            fix: "correct it",
        };
        if !is_name(&self.name) {
            return Err(wrong("name", "1 to 32 of `a-z`, `0-9` and `-`"));
        }
        let base_url = parse_base_url(&self.base_url);
        let url = "an `http://` or `https://` URL without a user, a query or a fragment";
        let base_url = base_url.ok_or_else(|| wrong("base_url", url))?;
        if self.api == ProviderApi::Anthropic && self.max_tokens_field.is_some() {
            let expected = "no such field for the API `anthropic`, which calls it `max_tokens`";
            return Err(wrong("max_tokens_field", expected));
        }
        if self.api == ProviderApi::Anthropic && self.stream_usage.is_some() {
            let expected = "no such field for the API `anthropic`, which always counts";
            return Err(wrong("stream_usage", expected));
        }
        if !self.query.0.keys().all(|name| is_model(name)) {
            return Err(wrong("query", "names"));
        }
        if !self.models.0.keys().all(|model| is_model(model)) {
            return Err(wrong("models", "ids of models"));
        }
        Ok(ProviderSettings {
            key: self.key(index, source)?,
            name: self.name,
            api: self.api,
            is_owner: false,
            base_url: Some(base_url),
            query: self.query.0,
            // A ceiling is what it costs, wherever that is.
            region: ProviderRegion::Global,
            headers: self.headers.0,
            max_tokens_field: self.max_tokens_field.unwrap_or(MaxTokensField::MaxTokens),
            counts_streams: self.stream_usage.unwrap_or(true),
            limits: LimitSettings {
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
            },
            models: self.models.0,
            ceiling: self.ceiling.map(|it| CeilingSettings {
                input_picodollars: it.input_usd_per_million.picodollars,
                output_picodollars: it.output_usd_per_million.picodollars,
            }),
        })
    }

    fn key(&self, index: usize, source: &Source) -> Result<KeySettings, Problem> {
        let wrong = |expected: &str, found: String, fix| Problem {
            expected: format!("{expected} at `[{index}]`"),
            found,
            fix,
        };
        let no_name = |field: &str| {
            let found = format!("none in `{field}`");
            wrong("a place of the key", found, "correct or remove it")
        };
        match (&self.key_file, &self.key_env, &self.key_secret) {
            (None, None, None) => Ok(KeySettings::None),
            (Some(path), None, None) => parse_path(path)
                .map(|path: PathBuf| KeySettings::File(path))
                .ok_or_else(|| no_name("key_file")),
            (None, None, Some(name)) => parse_resource(name)
                .map(KeySettings::Secret)
                .ok_or_else(|| no_name("key_secret")),
            (None, Some(name), None) => {
                let key = source.named(name).and_then(|key| parse_token(key.trim()));
                key.map(KeySettings::Text).ok_or_else(|| {
                    let found = "a name in `key_env` of a variable that has none".to_owned();
                    let fix =
                        "set the variable, which must not begin with `LLMOPT_`, or name another";
                    wrong("a key in an environment variable", found, fix)
                })
            }
            _ => {
                let expected = "one of `key_file`, `key_env` and `key_secret`";
                Err(wrong(expected, "several".to_owned(), "remove the others"))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Leaves out what a message about JSON quotes, but for names of fields: it may be a secret in the wrong place.
pub(super) fn without_values(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, _)) if found.starts_with("unknown field") => message.to_owned(),
        Some((found, expected)) => {
            let kind = found.split(['`', '"']).next().unwrap_or_default();
            format!("{}, expected {expected}", kind.trim_end())
        }
        None => message.to_owned(),
    }
}

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use llmopt_commercial::{
    Commercial, CommercialParts, ModelLimits, Policy, PriceBook, ProviderSetup,
};
use llmopt_config::{
    CeilingSettings, KeySettings, LimitSettings, MaxTokensField, ProviderApi, ProviderRegion,
    ProviderSettings, Secret, Settings,
};
use llmopt_domain::{Picodollars, error_chain};
use llmopt_prices::{Ceiling, PriceTable, Provider as Seller, Region};
use llmopt_providers::{
    AnthropicProvider, Dialect, EndpointSettings, FixedKey, KeySource, MaxTokensField as Field,
    OpenAiProvider, Provider, ProviderKey, Transport,
};
use llmopt_spending::{AlertSink, AllAlerts, LogAlerts, Spending};
use llmopt_storage::{RateStore, SpendStore};

use crate::{KeyFile, SetupError, WebhookAlerts};

/// How long a connection to a provider may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Reads keys from secrets.
pub trait SecretKeys: Send + Sync {
    /// Returns where the key is that the secret of this name or ARN holds, whatever a rotation puts there.
    fn key_source(&self, secret: &str) -> Arc<dyn KeySource>;
}

/// What commercial models need besides settings.
pub struct Sources {
    /// Keeps budgets, and what was spent.
    pub spend: Arc<dyn SpendStore>,
    /// Keeps the turns of the providers' limits.
    pub rates: Arc<dyn RateStore>,
    /// Reads secrets; `None` in a process that reads none.
    pub secrets: Option<Arc<dyn SecretKeys>>,
    /// Who is told of alerts besides the log and the webhook of the settings.
    pub alerts: Vec<Arc<dyn AlertSink>>,
}

/// Makes commercial models as `settings` want them, with the prices that this version was built with. Nobody is asked
/// anything yet. Where no provider is configured, there are budgets and prices all the same.
///
/// # Errors
/// If something of the settings cannot be used.
pub fn commercial(settings: &Settings, sources: Sources) -> Result<Commercial, SetupError> {
    let mut sinks: Vec<Arc<dyn AlertSink>> = vec![Arc::new(LogAlerts)];
    let mut providers = Vec::new();
    let prices = PriceTable::embedded()?;
    tell_unknown_limits(settings, &prices);
    // Whoever asks nobody outside needs no certificates of authorities.
    if !settings.providers.is_empty() || settings.alert_webhook.is_some() {
        let transport = Transport::new(CONNECT)?;
        let secrets = sources.secrets.as_deref();
        for provider in &settings.providers {
            let mut setup = set_up(provider, &transport, secrets)?;
            if provider.is_owner {
                // Those of the other's are asked for by nobody here.
                setup.models = model_limits(&settings.model_limits);
            }
            providers.push(setup);
        }
        let webhook = settings.alert_webhook.clone();
        let webhook = webhook.map(|url| WebhookAlerts::new(&transport, url));
        sinks.extend(webhook.map(|it| Arc::new(it) as Arc<dyn AlertSink>));
    }
    sinks.extend(sources.alerts);
    let alerts: Arc<dyn AlertSink> = Arc::new(AllAlerts::new(sinks));
    let commercial = Commercial::new(CommercialParts {
        providers,
        aliases: settings.model_aliases.clone(),
        prices: PriceBook::new(prices),
        spending: Spending::new(sources.spend, Arc::clone(&alerts)),
        rates: sources.rates,
        alerts,
        policy: Policy {
            longest_wait: settings.turn_wait,
            ..Policy::default()
        },
    })?;
    Ok(commercial)
}

fn set_up(
    settings: &ProviderSettings,
    transport: &Transport,
    secrets: Option<&dyn SecretKeys>,
) -> Result<ProviderSetup, SetupError> {
    Ok(ProviderSetup {
        name: settings.name.clone(),
        seller: settings.is_owner.then_some(match settings.api {
            ProviderApi::Openai => Seller::Openai,
            ProviderApi::Anthropic => Seller::Anthropic,
        }),
        region: match settings.region {
            ProviderRegion::Global => Region::Global,
            ProviderRegion::Regional => Region::Regional,
        },
        client: client(settings, transport.clone(), key_source(settings, secrets)?)?,
        ceiling: settings
            .ceiling
            .map(|it| ceiling(it, &settings.name))
            .transpose()?,
        limits: limits(settings.limits),
        models: model_limits(&settings.models),
    })
}

/// Tells of limits of models that nobody sells: they hold for nothing, unless newer prices have them.
fn tell_unknown_limits(settings: &Settings, prices: &PriceTable) {
    for id in settings.model_limits.keys() {
        if prices.model(id).is_none() {
            tracing::warn!(
                model = id,
                "`LLMOPT_MODEL_LIMITS` has limits for a model that is not in the table of prices"
            );
        }
    }
}

fn client(
    settings: &ProviderSettings,
    transport: Transport,
    keys: Arc<dyn KeySource>,
) -> Result<Arc<dyn Provider>, SetupError> {
    let owners = match settings.api {
        ProviderApi::Openai => OpenAiProvider::BASE_URL,
        ProviderApi::Anthropic => AnthropicProvider::BASE_URL,
    };
    let endpoint = EndpointSettings {
        base_url: settings.base_url.as_deref().unwrap_or(owners).to_owned(),
        headers: exposed(&settings.headers),
        query: exposed(&settings.query),
        keys,
    };
    let wrong = |source| SetupError::Endpoint {
        provider: settings.name.clone(),
        source,
    };
    Ok(match settings.api {
        ProviderApi::Openai => {
            let client = OpenAiProvider::new(transport, endpoint, dialect(settings));
            Arc::new(client.map_err(wrong)?)
        }
        ProviderApi::Anthropic => {
            Arc::new(AnthropicProvider::new(transport, endpoint).map_err(wrong)?)
        }
    })
}

fn exposed(secrets: &BTreeMap<String, Secret>) -> Vec<(String, String)> {
    let secrets = secrets.iter();
    secrets
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect()
}

fn dialect(settings: &ProviderSettings) -> Dialect {
    let others = match settings.is_owner {
        true => Dialect::OPENAI,
        false if settings.counts_streams => Dialect::VLLM,
        false => Dialect::COMPATIBLE,
    };
    Dialect {
        max_tokens: match settings.max_tokens_field {
            MaxTokensField::MaxTokens => Field::MaxTokens,
            MaxTokensField::MaxCompletionTokens => Field::MaxCompletionTokens,
        },
        ..others
    }
}

fn key_source(
    settings: &ProviderSettings,
    secrets: Option<&dyn SecretKeys>,
) -> Result<Arc<dyn KeySource>, SetupError> {
    let provider = || settings.name.clone();
    Ok(match &settings.key {
        KeySettings::None => Arc::new(FixedKey(None)),
        KeySettings::Text(key) => {
            let key = ProviderKey::new(key.expose()).map_err(|source| SetupError::Key {
                provider: provider(),
                source,
            })?;
            Arc::new(FixedKey(Some(key)))
        }
        KeySettings::File(path) => {
            let file = KeyFile::new(path);
            // It may come later: everything else is served without it.
            if let Err(error) = file.read() {
                let (provider, error) = (provider(), error_chain(&error));
                tracing::warn!(provider, error, "a provider's key is not there yet");
            }
            Arc::new(file)
        }
        KeySettings::Secret(secret) => match secrets {
            Some(secrets) => secrets.key_source(secret),
            None => {
                let (provider, secret) = (provider(), secret.clone());
                return Err(SetupError::NoSecrets { provider, secret });
            }
        },
    })
}

fn ceiling(settings: CeilingSettings, provider: &str) -> Result<Ceiling, SetupError> {
    let amount = |picodollars| {
        Picodollars::new(picodollars).ok_or_else(|| SetupError::Ceiling {
            provider: provider.to_owned(),
        })
    };
    Ok(Ceiling {
        input: amount(settings.input_picodollars)?,
        output: amount(settings.output_picodollars)?,
    })
}

fn model_limits(settings: &BTreeMap<String, LimitSettings>) -> BTreeMap<String, ModelLimits> {
    let models = settings.iter();
    models.map(|(id, it)| (id.clone(), limits(*it))).collect()
}

fn limits(settings: LimitSettings) -> ModelLimits {
    ModelLimits {
        requests_per_minute: settings.requests_per_minute,
        tokens_per_minute: settings.tokens_per_minute,
    }
}

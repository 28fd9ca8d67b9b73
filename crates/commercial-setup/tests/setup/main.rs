//! Commercial models made of settings, asked over a stand-in for the providers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use llmopt_commercial::{
    AnswerEvent, Asker, Commercial, CommercialError, Question, Receipt, WhenLimited,
};
use llmopt_commercial_setup::{SecretKeys, SetupError, Sources, commercial};
use llmopt_config::Settings;
use llmopt_domain::{Conversation, Message, Picodollars, Role, error_chain};
use llmopt_provider_mock::{Behaviour, Exchange, Fault, Mock};
use llmopt_providers::{Delivery, FixedKey, KeySource, ProviderError, ProviderKey};
use llmopt_storage_embedded::{SqliteRateStore, SqliteSpendStore};
use tempfile::TempDir;

/// A folder for stores and keys, and the stand-in.
struct Place {
    mock: Mock,
    folder: TempDir,
}

/// Has a key for every secret: its name.
struct NamedKeys;

impl SecretKeys for NamedKeys {
    fn key_source(&self, secret: &str) -> Arc<dyn KeySource> {
        Arc::new(FixedKey(Some(ProviderKey::new(secret).unwrap())))
    }
}

impl Place {
    async fn new() -> Self {
        Self {
            mock: Mock::start(0).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn set_up(&self, pairs: &[(&str, &str)], sources: Sources) -> Result<Commercial, SetupError> {
        let addresses = [
            ("OPENAI_BASE_URL", self.mock.openai_url()),
            ("ANTHROPIC_BASE_URL", self.mock.url()),
        ];
        let addresses = addresses.iter().map(|(name, url)| (*name, url.as_str()));
        let pairs = pairs.iter().copied().chain(addresses);
        commercial(&Settings::from_pairs(pairs, "").unwrap(), sources)
    }

    fn sources(&self, secrets: Option<Arc<dyn SecretKeys>>) -> Sources {
        let path = |name: &str| self.folder.path().join(name);
        Sources {
            spend: Arc::new(SqliteSpendStore::open(&path("spending.db")).unwrap()),
            rates: Arc::new(SqliteRateStore::open(&path("rates.db")).unwrap()),
            secrets,
            alerts: Vec::new(),
        }
    }

    fn commercial(&self, pairs: &[(&str, &str)]) -> Commercial {
        self.set_up(pairs, self.sources(None)).unwrap()
    }

    /// Returns the last request that the stand-in got.
    fn last(&self) -> Exchange {
        self.mock.exchanges().pop().unwrap()
    }
}

fn question(name: &str, model: &str) -> Question {
    Question {
        request: name.to_owned().try_into().unwrap(),
        asker: Asker::default(),
        model: model.to_owned(),
        conversation: Conversation {
            messages: vec![Message::new(Role::User, "one two three")],
            tools: Vec::new(),
        },
        max_tokens: Some(10),
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        tool_choice: None,
        response_format: None,
        delivery: Delivery::Stream,
        answer_by: None,
        when_limited: WhenLimited::SendBack,
    }
}

async fn ask(commercial: &Commercial, name: &str, model: &str) -> Result<Receipt, CommercialError> {
    let mut answer = commercial.ask(question(name, model)).await?;
    loop {
        if let AnswerEvent::Finished(receipt) = answer.events.recv().await.unwrap()? {
            return Ok(*receipt);
        }
    }
}

#[tokio::test]
async fn a_new_key_in_the_file_is_used_by_the_next_request() {
    let place = Place::new().await;
    let path = place.folder.path().join("openai.key");
    let file = path.to_str().unwrap();
    let commercial = place.commercial(&[("OPENAI_API_KEY_FILE", file)]);

    let error = ask(&commercial, "r0", "gpt-4o-mini").await.unwrap_err();
    let no_key = matches!(&error, CommercialError::Provider { source, .. } if matches!(**source, ProviderError::Key(_)));
    assert!(no_key, "{error:?}");
    assert!(error_chain(&error).contains(file), "{error:?}");
    assert_eq!(place.mock.exchanges(), []);

    for key in ["sk-first", "sk-second"] {
        std::fs::write(&path, format!("{key}\n")).unwrap();
        ask(&commercial, key, "gpt-4o-mini").await.unwrap();
        assert_eq!(
            place.last().headers["authorization"],
            format!("Bearer {key}")
        );
    }
}

#[tokio::test]
async fn each_provider_is_asked_with_its_own_key() {
    let place = Place::new().await;
    let commercial = place.commercial(&[
        ("OPENAI_API_KEY", "sk-openai"),
        ("ANTHROPIC_API_KEY", "sk-anthropic"),
    ]);
    ask(&commercial, "r1", "gpt-4o-mini").await.unwrap();
    assert_eq!(place.last().headers["authorization"], "Bearer sk-openai");
    ask(&commercial, "r2", "claude-haiku-4-5").await.unwrap();
    assert_eq!(place.last().headers["x-api-key"], "sk-anthropic");
}

#[tokio::test]
async fn a_further_server_is_asked_as_it_is_described() {
    let place = Place::new().await;
    let json = format!(
        r#"[{{"name": "own", "api": "openai", "base_url": "{0}", "key_env": "OWN_KEY", "headers": {{"x-team": "blue"}},
             "ceiling": {{"input_usd_per_million": "2", "output_usd_per_million": "0.5"}}}},
            {{"name": "newer", "api": "openai", "base_url": "{0}", "key_env": "OWN_KEY",
             "max_tokens_field": "max_completion_tokens",
             "ceiling": {{"input_usd_per_million": "0", "output_usd_per_million": "0"}}}},
            {{"name": "silent", "api": "openai", "base_url": "{0}", "key_env": "OWN_KEY", "stream_usage": false,
             "query": {{"api-version": "1"}}, "ceiling": {{"input_usd_per_million": "1", "output_usd_per_million": "1"}}}},
            {{"name": "dear", "api": "openai", "base_url": "{0}", "key_env": "OWN_KEY"}}]"#,
        place.mock.openai_url()
    );
    let commercial = place.commercial(&[
        ("LLMOPT_PROVIDERS", &json),
        ("OWN_KEY", "sk-own"),
        ("LLMOPT_MODEL_ALIASES", r#"{"mine": ["dear/m", "own/m"]}"#),
    ]);
    let receipt = ask(&commercial, "r1", "own/m").await.unwrap();
    let last = place.last();
    assert_eq!(last.headers["authorization"], "Bearer sk-own");
    assert_eq!(last.headers["x-team"], "blue");
    assert_eq!(last.body["max_tokens"], 10);
    let (input, output) = (receipt.usage.input_tokens, receipt.usage.output_tokens);
    let expected = Picodollars::new(input * 2_000_000 + output * 500_000);
    assert_eq!(Some(receipt.cost), expected);

    let receipt = ask(&commercial, "r2", "newer/m").await.unwrap();
    assert_eq!(place.last().body["max_completion_tokens"], 10);
    assert_eq!(receipt.cost, Picodollars::ZERO);

    assert!(place.last().body["stream_options"].is_object());
    ask(&commercial, "r2s", "silent/m").await.unwrap();
    assert!(place.last().body.get("stream_options").is_none());

    let error = ask(&commercial, "r3", "dear/m").await.unwrap_err();
    assert!(
        matches!(error, CommercialError::NoPrice { .. }),
        "{error:?}"
    );
    ask(&commercial, "r4", "mine").await.unwrap();
}

#[tokio::test]
async fn a_key_is_in_a_secret_where_secrets_can_be_read() {
    let place = Place::new().await;
    let secret = [("LLMOPT_OPENAI_KEY_SECRET", "sk-of-secret")];
    let commercial = place
        .set_up(&secret, place.sources(Some(Arc::new(NamedKeys))))
        .unwrap();
    ask(&commercial, "r1", "gpt-4o-mini").await.unwrap();
    assert_eq!(place.last().headers["authorization"], "Bearer sk-of-secret");

    let refused = place.set_up(&secret, place.sources(None)).err().unwrap();
    assert!(matches!(refused, SetupError::NoSecrets { .. }), "{refused}");
}

#[tokio::test]
async fn the_limit_of_the_settings_is_that_of_all_who_share_the_stores() {
    let place = Place::new().await;
    let limited = [
        ("OPENAI_API_KEY", "sk-1"),
        ("LLMOPT_OPENAI_REQUESTS_PER_MINUTE", "1"),
        ("LLMOPT_TURN_WAIT_SECONDS", "0"),
    ];
    let (one, another) = (place.commercial(&limited), place.commercial(&limited));
    ask(&one, "r1", "gpt-4o-mini").await.unwrap();
    let error = ask(&another, "r2", "gpt-4o-mini").await.unwrap_err();
    assert!(
        matches!(error, CommercialError::Limited { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_model_has_a_limit_of_its_own() {
    let place = Place::new().await;
    let commercial = place.commercial(&[
        ("OPENAI_API_KEY", "sk-1"),
        (
            "LLMOPT_MODEL_LIMITS",
            r#"{"gpt-4o-mini": {"requests_per_minute": 1}}"#,
        ),
        ("LLMOPT_TURN_WAIT_SECONDS", "0"),
    ]);
    ask(&commercial, "r1", "gpt-4o-mini").await.unwrap();
    let error = ask(&commercial, "r2", "gpt-4o-mini").await.unwrap_err();
    assert!(
        matches!(error, CommercialError::Limited { .. }),
        "{error:?}"
    );
    ask(&commercial, "r3", "gpt-4o").await.unwrap();
}

#[tokio::test]
async fn calls_that_are_made_again_are_counted_by_all_who_share_the_stores() {
    let place = Place::new().await;
    let key = [("OPENAI_API_KEY", "sk-1")];
    let (one, another) = (place.commercial(&key), place.commercial(&key));
    for _ in 0..100 {
        let retry_after = Some("0".to_owned());
        let fault = Fault::RateLimited { retry_after };
        place.mock.next(Behaviour::failing(fault));
    }
    let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let asked = names.iter().enumerate().map(|(number, name)| {
        let commercial = if number % 2 == 0 { &one } else { &another };
        ask(commercial, name, "gpt-4o-mini")
    });
    for answered in futures::future::join_all(asked).await {
        assert!(answered.is_err());
    }
    // A tenth of 60 in a minute, and ten: each alone would have made eleven, or twelve.
    let again = place.mock.exchanges().len() - 20;
    assert!((16..=17).contains(&again), "{again}");
}

#[tokio::test]
async fn a_question_to_a_region_is_reserved_at_its_price() {
    let place = Place::new().await;
    let key = ("OPENAI_API_KEY", "sk-1");
    let global = place.commercial(&[key]);
    let regional = place.commercial(&[key, ("LLMOPT_OPENAI_REGION", "regional")]);
    let bound = |commercial: &Commercial| {
        let question = question("r1", "gpt-4o-mini");
        commercial.quote(&question).unwrap().bound.get()
    };
    assert_eq!(bound(&regional) * 10, bound(&global) * 11);
}

#[tokio::test]
async fn without_a_provider_there_are_prices_and_budgets_all_the_same() {
    let place = Place::new().await;
    let settings = Settings::from_pairs([("LLMOPT_ENVIRONMENT", "testing")], "").unwrap();
    let commercial = commercial(&settings, place.sources(None)).unwrap();
    let error = ask(&commercial, "r1", "gpt-4o-mini").await.unwrap_err();
    let unset = matches!(error, CommercialError::NotConfigured { .. });
    assert!(unset, "{error:?}");
    assert_eq!(commercial.spending().budgets().await.unwrap(), []);
}

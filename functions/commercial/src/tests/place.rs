//! A platform of its own with a stand-in for the providers.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use llmopt_commercial::{
    Commercial, CommercialParts, ModelLimits, Policy, PriceBook, ProviderSetup,
};
use llmopt_domain::{KeyLimits, Scope};
use llmopt_http::{Access, Guard, platform};
use llmopt_prices::{PriceTable, Provider as Seller, Region};
use llmopt_provider_mock::Mock;
use llmopt_providers::{
    AnthropicProvider, Dialect, EndpointSettings, FixedKey, OpenAiProvider, Provider, ProviderKey,
    Transport,
};
use llmopt_service::{
    CacheStatus, FinishReason, Generation, GenerationError, GenerationEvent, GenerationRequest,
    GenerationStream, Keys, Models, NewKey, TextGenerator,
};
use llmopt_spending::{LogAlerts, Spending};
use llmopt_storage::SpendStore;
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteRateStore, SqliteRecordStore, SqliteSpendStore,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::{CommercialState, router};

/// The key that the providers are asked with.
pub(super) const SECRET: &str = "sk-secret-of-the-test";
const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Place {
    pub(super) mock: Mock,
    pub(super) state: CommercialState,
    pub(super) ledger: Arc<dyn SpendStore>,
    keys: Keys,
    _folder: tempfile::TempDir,
}

/// What was answered.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) kind: String,
    pub(super) text: String,
}

impl Said {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts that it went well, and returns the body.
    #[track_caller]
    pub(super) fn done(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Asserts the status and the code of a problem.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["code"], code);
        problem
    }
}

impl Place {
    /// Makes one with both providers.
    pub(super) async fn new() -> Self {
        Self::with(&[Seller::Openai, Seller::Anthropic]).await
    }

    /// Makes one with these providers.
    pub(super) async fn with(sellers: &[Seller]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mock = Mock::start(0).await.unwrap();
        let spends = SqliteSpendStore::open(&path(SqliteSpendStore::FILE_NAME)).unwrap();
        let ledger: Arc<dyn SpendStore> = Arc::new(spends);
        let rates = SqliteRateStore::open(&path(SqliteRateStore::FILE_NAME)).unwrap();
        let commercial = Commercial::new(CommercialParts {
            providers: sellers.iter().map(|it| setup(*it, &mock)).collect(),
            aliases: BTreeMap::new(),
            prices: PriceBook::new(PriceTable::embedded().unwrap()),
            spending: Spending::new(Arc::clone(&ledger), Arc::new(LogAlerts)),
            alerts: Arc::new(LogAlerts),
            rates: Arc::new(rates),
            policy: Policy::default(),
        });
        let database = Database::open(&path(Database::FILE_NAME)).unwrap();
        let keys = Keys::new(
            Arc::new(SqliteRecordStore::new(database.clone())),
            Arc::new(SqliteRecordStore::new(database)),
        );
        Self {
            state: CommercialState {
                commercial: commercial.unwrap(),
                generation: Some(own_models(folder.path()).await),
                timeout: 60 * SECOND,
                longest: None,
            },
            mock,
            ledger,
            keys,
            _folder: folder,
        }
    }

    /// Makes a key of this scope, and returns its id and its text.
    pub(super) async fn key(&self, scope: Scope) -> (String, String) {
        let request = NewKey {
            name: scope.to_string(),
            scopes: [scope].into(),
            limits: KeyLimits::default(),
            expires_ms: None,
        };
        let issued = self.keys.create(request).await.unwrap();
        (issued.key.id, issued.text.expose())
    }

    /// Asks where nobody needs a key.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Value) -> Said {
        let request = request(method, path).header(header::ACCEPT, "*/*");
        self.send(with_body(request, &body), Access::open()).await
    }

    pub(super) async fn get(&self, path: &str) -> Said {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// Asks with a key, where everybody needs one.
    pub(super) async fn get_as(&self, key: &str, path: &str) -> Said {
        let request = request(Method::GET, path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .body(Body::empty())
            .unwrap();
        let access = Access {
            guard: Guard::Everybody(self.keys.clone()),
            ..Access::open()
        };
        self.send(request, access).await
    }

    pub(super) async fn send(&self, request: Request<Body>, access: Access) -> Said {
        let routes = platform(router(self.state.clone()), access);
        let response = routes.oneshot(request).await.unwrap();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map_or_else(String::new, |it| it.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains(SECRET), "{text}");
        Said { status, kind, text }
    }
}

pub(super) fn request(method: Method, path: &str) -> axum::http::request::Builder {
    let uri = format!("/api/v1/commercial{path}");
    Request::builder().method(method).uri(uri)
}

fn with_body(request: axum::http::request::Builder, body: &Value) -> Request<Body> {
    if body.is_null() {
        return request.body(Body::empty()).unwrap();
    }
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn setup(seller: Seller, mock: &Mock) -> ProviderSetup {
    let transport = Transport::new(SECOND).unwrap();
    let endpoint = |base_url| EndpointSettings {
        base_url,
        headers: Vec::new(),
        query: Vec::new(),
        keys: Arc::new(FixedKey(Some(ProviderKey::new(SECRET).unwrap()))),
    };
    let client: Arc<dyn Provider> = match seller {
        Seller::Openai => {
            let endpoint = endpoint(mock.openai_url());
            Arc::new(OpenAiProvider::new(transport, endpoint, Dialect::OPENAI).unwrap())
        }
        Seller::Anthropic => {
            Arc::new(AnthropicProvider::new(transport, endpoint(mock.url())).unwrap())
        }
    };
    ProviderSetup {
        name: seller.name().to_owned(),
        seller: Some(seller),
        region: Region::Global,
        client,
        ceiling: None,
        limits: ModelLimits::default(),
        models: BTreeMap::new(),
    }
}

/// Our own models: `base:tiny`, which answers what it is asked.
async fn own_models(folder: &Path) -> Generation {
    let store = Arc::new(FileFolderStore::open(folder).unwrap());
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures/tiny-gpt2");
    let name = "tiny".parse().unwrap();
    Models::new(&*store).import(&fixture, &name).await.unwrap();
    Generation::new(store, folder.to_owned(), Arc::new(Echo))
}

struct Echo;

#[async_trait]
impl TextGenerator for Echo {
    async fn generate(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationStream, GenerationError> {
        let (sender, stream) = mpsc::channel(2);
        let text = request.conversation.messages[0].content.clone();
        let finished = GenerationEvent::Finished {
            finish_reason: FinishReason::Stop,
            prompt_tokens: 7,
            completion_tokens: 5,
            cached: true,
            first_token_ms: 1,
        };
        for event in [GenerationEvent::Text { text }, finished] {
            sender.send(Ok(event)).await.unwrap();
        }
        Ok(stream)
    }

    fn cache(&self) -> Option<CacheStatus> {
        None
    }
}

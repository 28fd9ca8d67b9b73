use std::{
    fs,
    net::TcpListener,
    ops::Sub,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use axum_server::{
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use llmopt_domain::{ApiKey, Digest, Format, KeyLimits, KeyText, Scope};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::Failure;

/// Where Linux distributions keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// Tables with nothing but a key, an empty bucket and a queue on a loopback port, over TLS and HTTP/1.1 as AWS
/// has them.
pub(crate) struct AwsStub {
    url: String,
    authorities: String,
    key: KeyText,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    dynamodb: AtomicU64,
    s3: AtomicU64,
    sqs: AtomicU64,
}

/// Calls to each service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) dynamodb: u64,
    pub(crate) s3: u64,
    pub(crate) sqs: u64,
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            dynamodb: self.dynamodb - before.dynamodb,
            s3: self.s3 - before.s3,
            sqs: self.sqs - before.sqs,
        }
    }
}

impl AwsStub {
    /// Starts it, and puts the authority that vouches for it into `folder`, among those that this system
    /// trusts: reading those is part of what a function's first call costs.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let (tls, authority) = certificates().await?;
        let mut authorities = SYSTEM_AUTHORITIES
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .unwrap_or_default();
        authorities.push_str(&authority);
        let bundle = folder.join("authorities.pem");
        fs::write(&bundle, authorities)?;

        let counts = Arc::<Counts>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let key = KeyText::from_random([7; 9], [7; 32]);
        let state = Stub {
            counts: Arc::clone(&counts),
            key: Arc::new(item_of(&key)?),
        };
        let routes = Router::new().fallback(answer).with_state(state);
        // As AWS, it does not hold back the second part of an answer until the first is acknowledged.
        let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
        let server = axum_server::from_tcp(listener)?.acceptor(acceptor);
        tokio::spawn(server.serve(routes.into_make_service()));
        Ok(Self {
            url: format!("https://localhost:{port}"),
            authorities: bundle.display().to_string(),
            key,
            counts,
        })
    }

    /// Returns the key that functions know by it.
    pub(crate) fn key(&self) -> String {
        self.key.expose()
    }

    /// Returns the variables of a function that is to find it.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, String)> {
        let url = &self.url;
        [
            ("LLMOPT_STORE", "aws".to_owned()),
            ("LLMOPT_ENVIRONMENT", "production".to_owned()),
            ("LLMOPT_BUCKET", "bench".to_owned()),
            ("LLMOPT_RECORDS_TABLE", "records".to_owned()),
            ("LLMOPT_KEYS_TABLE", "keys".to_owned()),
            ("LLMOPT_RATES_TABLE", "rates".to_owned()),
            ("LLMOPT_ANSWERS_TABLE", "answers".to_owned()),
            ("LLMOPT_EVENTS_TABLE", "events".to_owned()),
            (
                "LLMOPT_TRAINING_QUEUE_URL",
                format!("{url}/000000000000/training"),
            ),
            (
                "LLMOPT_DEAD_LETTER_QUEUE_URL",
                format!("{url}/000000000000/dead-letters"),
            ),
            ("AWS_ENDPOINT_URL", url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
            ("SSL_CERT_FILE", self.authorities.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// Returns the calls until now.
    pub(crate) fn calls(&self) -> Calls {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Calls {
            dynamodb: read(&self.counts.dynamodb),
            s3: read(&self.counts.s3),
            sqs: read(&self.counts.sqs),
        }
    }
}

/// Returns what a server for `localhost` needs, and the authority that vouches for it.
async fn certificates() -> Result<(RustlsConfig, String), Failure> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let pem = certificate.pem().into_bytes();
    let config = RustlsConfig::from_pem(pem, key.serialize_pem().into_bytes()).await?;
    let mut config = (*config.get_inner()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((RustlsConfig::from_config(Arc::new(config)), authority.pem()))
}

/// What it answers with.
#[derive(Clone)]
struct Stub {
    counts: Arc<Counts>,
    /// The item of the key.
    key: Arc<Value>,
}

/// Returns the item that a table has for a key which may see models.
fn item_of(text: &KeyText) -> Result<Value, Failure> {
    let key = ApiKey {
        format: Format,
        id: text.id.clone(),
        name: "bench".to_owned(),
        created_ms: 0,
        secret: Digest::of_bytes(text.secret.as_bytes()),
        previous: Vec::new(),
        scopes: [Scope::Generate].into(),
        limits: KeyLimits::default(),
        expires_ms: None,
        revoked_ms: None,
    };
    Ok(json!({
        "id": {"S": format!("key#{}", key.id)},
        "revision": {"N": "1"},
        "body": {"S": serde_json::to_string(&key)?},
    }))
}

fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

async fn answer(State(stub): State<Stub>, headers: HeaderMap, body: Bytes) -> Response {
    let counts = &stub.counts;
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    match target.and_then(|target| target.split_once('.')) {
        Some((service, operation)) if service.starts_with("DynamoDB") => {
            count(&counts.dynamodb);
            amazon_json(&match operation {
                "Query" | "Scan" => json!({"Items": [], "Count": 0, "ScannedCount": 0}),
                "GetItem" if is_about(&body, "keys") => json!({"Item": *stub.key}),
                // The first slot of a limit that nobody used for a while.
                "UpdateItem" => {
                    let free_us = (now() + Duration::from_secs(1)).as_micros();
                    json!({"Attributes": {"free_us": {"N": free_us.to_string()}}})
                }
                _ => json!({}),
            })
        }
        Some(_) => {
            count(&counts.sqs);
            amazon_json(&json!({"Attributes": {}}))
        }
        None => {
            count(&counts.s3);
            let listed = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                <Name>bench</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>\
                </ListBucketResult>";
            ([(header::CONTENT_TYPE, "application/xml")], listed).into_response()
        }
    }
}

fn is_about(body: &[u8], table: &str) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["TableName"] == table
}

fn amazon_json(document: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (content_type, document.to_string()).into_response()
}

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use llmopt_domain::error_chain;
use llmopt_providers::{KeySource, KeyUnavailable, ProviderKey};
use llmopt_storage::StorageError;
use llmopt_storage_aws::{Aws, read_secret};
use serde_json::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// For how long a key is used before it is asked for again: a new one is in use after that, at the latest.
const FRESH: Duration = Duration::from_secs(60);
/// For how long a key is used that cannot be asked for again. A key that was taken back is refused by its provider.
const KEPT: Duration = Duration::from_secs(600);
/// When to ask again after nothing came of it.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a secret may take: a request waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the texts of secrets.
#[async_trait]
pub(crate) trait Secrets: Send + Sync {
    /// Reads one as it is now.
    async fn read(&self, name: &str) -> Result<String, StorageError>;
}

#[async_trait]
impl Secrets for Aws {
    async fn read(&self, name: &str) -> Result<String, StorageError> {
        read_secret(self, name).await
    }
}

/// A provider's key that is a secret of AWS Secrets Manager: the key itself, or JSON with the key as `api_key`.
///
/// It is read when it is asked for and 60 s old, by one caller at a time, and the others wait. Where Secrets Manager
/// does not answer, the last key is used for up to ten minutes, and a secret that is gone, or is no key, is not.
pub struct SecretKey {
    secrets: Box<dyn Secrets>,
    name: String,
    known: Mutex<Option<Known>>,
}

/// What came of the last time.
struct Known {
    key: Result<ProviderKey, String>,
    /// When it was read.
    read: Instant,
    /// When to read it again.
    until: Instant,
}

/// Why there is no key.
enum Lack {
    /// It may be there again.
    Passing(String),
    /// It is not there, or no key.
    Lasting(String),
}

impl SecretKey {
    /// Reads the secret called `name`, a name or an ARN, whenever that is due.
    pub fn new(aws: &Aws, name: &str) -> Self {
        Self::of(aws.clone(), name)
    }

    pub(crate) fn of(secrets: impl Secrets + 'static, name: &str) -> Self {
        Self {
            secrets: Box::new(secrets),
            name: name.to_owned(),
            known: Mutex::new(None),
        }
    }

    async fn read(&self) -> Result<ProviderKey, Lack> {
        let name = &self.name;
        match within(PATIENCE, self.secrets.read(name)).await {
            Some(Ok(text)) => key_of(&text).map_err(|error| {
                Lack::Lasting(format!("secret `{name}`: {}", error_chain(&error)))
            }),
            Some(Err(error @ StorageError::Unavailable { .. })) => {
                Err(Lack::Passing(error_chain(&error)))
            }
            Some(Err(error)) => Err(Lack::Lasting(error_chain(&error))),
            None => Err(Lack::Passing(format!(
                "Secrets Manager did not say within {} s what secret `{name}` is",
                PATIENCE.as_secs()
            ))),
        }
    }

    /// Says what to use from now on.
    async fn renewed(&self, known: Option<Known>) -> Known {
        let read = self.read().await;
        let now = Instant::now();
        let failed = |problem| Known {
            key: Err(problem),
            read: now,
            until: now + PAUSE,
        };
        match (read, known) {
            (Ok(key), _) => Known {
                key: Ok(key),
                read: now,
                until: now + FRESH,
            },
            (Err(Lack::Passing(problem)), Some(known))
                if known.key.is_ok() && now < known.read + KEPT =>
            {
                tracing::warn!(
                    secret = self.name,
                    error = problem,
                    "the last key is used: it could not be read again"
                );
                Known {
                    until: now + PAUSE,
                    ..known
                }
            }
            (Err(Lack::Passing(problem) | Lack::Lasting(problem)), _) => failed(problem),
        }
    }
}

#[async_trait]
impl KeySource for SecretKey {
    async fn key(&self) -> Result<Option<ProviderKey>, KeyUnavailable> {
        let mut known = self.known.lock().await;
        let current = match known.take() {
            Some(known) if Instant::now() < known.until => known,
            outdated => self.renewed(outdated).await,
        };
        let key = current.key.clone();
        *known = Some(current);
        key.map(Some).map_err(KeyUnavailable::new)
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    timeout(patience, work).await.ok()
}

/// Reads a key. What is wrong with it is said without a part of it.
fn key_of(text: &str) -> Result<ProviderKey, KeyUnavailable> {
    let text = text.trim();
    if !text.starts_with('{') {
        return ProviderKey::new(text);
    }
    let value: Option<Value> = serde_json::from_str(text).ok();
    let key = value.as_ref().and_then(|value| value["api_key"].as_str());
    key.map_or_else(
        || {
            Err(KeyUnavailable::new(
                "it is JSON without a text `api_key`: expected the key alone, or {\"api_key\": \"...\"}",
            ))
        },
        ProviderKey::new,
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use parking_lot::Mutex as Lock;
    use tokio::time::advance;

    use super::*;

    /// Answers as it is told, and counts how often it was asked. The last answer holds.
    #[derive(Clone, Default)]
    struct Script(Arc<Lock<(usize, VecDeque<Said>)>>);

    #[derive(Clone, Copy)]
    enum Said {
        Text(&'static str),
        Nothing,
        Gone,
        Denied,
        Down,
    }

    impl Script {
        fn say(&self, said: Said) {
            self.0.lock().1 = VecDeque::from([said]);
        }

        fn asked(&self) -> usize {
            self.0.lock().0
        }
    }

    #[async_trait]
    impl Secrets for Script {
        async fn read(&self, name: &str) -> Result<String, StorageError> {
            let said = {
                let mut script = self.0.lock();
                script.0 += 1;
                script.1[0]
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (operation, subject) = ("read the secret", name.to_owned());
            let source = Box::new(std::io::Error::other("why"));
            match said {
                Said::Text(text) => Ok(text.to_owned()),
                Said::Nothing => std::future::pending().await,
                Said::Gone => Err(StorageError::NoRecord {
                    kind: "secret",
                    id: subject,
                }),
                Said::Denied => Err(StorageError::Internal {
                    operation,
                    subject,
                    source,
                }),
                Said::Down => Err(StorageError::Unavailable {
                    operation,
                    subject,
                    source,
                }),
            }
        }
    }

    fn of(said: Said) -> (Script, SecretKey) {
        let script = Script::default();
        script.say(said);
        (script.clone(), SecretKey::of(script, "openai"))
    }

    async fn key(source: &SecretKey) -> ProviderKey {
        source.key().await.unwrap().unwrap()
    }

    fn known(text: &str) -> ProviderKey {
        ProviderKey::new(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_read_once_a_minute_and_a_new_one_is_used_then() {
        let (script, source) = of(Said::Text("sk-one"));
        for _ in 0..3 {
            assert!(key(&source).await == known("sk-one"));
        }
        assert_eq!(script.asked(), 1);
        script.say(Said::Text("{\"api_key\": \"sk-two\"}"));
        advance(Duration::from_secs(59)).await;
        assert!(key(&source).await == known("sk-one"));
        advance(Duration::from_secs(1)).await;
        assert!(key(&source).await == known("sk-two"));
        assert_eq!(script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_want_a_key_at_once_ask_for_it_once() {
        let (script, source) = of(Said::Text("sk-one"));
        let keys = futures::future::join_all((0..20).map(|_| key(&source))).await;
        assert!(keys.iter().all(|key| *key == known("sk-one")));
        assert_eq!(script.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_outlives_an_outage_of_ten_minutes_and_no_longer() {
        for outage in [Said::Down, Said::Nothing] {
            let (script, source) = of(Said::Text("sk-one"));
            key(&source).await;
            script.say(outage);
            advance(Duration::from_secs(580)).await;
            assert!(key(&source).await == known("sk-one"));
            assert!(key(&source).await == known("sk-one"));
            assert_eq!(
                script.asked(),
                2,
                "an outage is not asked about all the time"
            );
            advance(Duration::from_secs(30)).await;
            source.key().await.unwrap_err();
            script.say(Said::Text("sk-two"));
            advance(PAUSE).await;
            assert!(key(&source).await == known("sk-two"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_gone_or_may_not_be_read_is_used_no_more() {
        for (said, reason) in [(Said::Gone, "openai"), (Said::Denied, "why")] {
            let (script, source) = of(Said::Text("sk-one"));
            key(&source).await;
            script.say(said);
            advance(FRESH).await;
            let error = source.key().await.unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_key_is_refused_and_not_told() {
        for text in [
            "",
            "{\"key\": \"sk-secret\"}",
            "{\"api_key\": [\"sk-secret\"]}",
            "{sk-secret",
            "sk-secret sk-secret",
        ] {
            let (_, source) = of(Said::Text(text));
            let error = source.key().await.unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("sk-secret"), "{said}");
            assert!(said.contains("`openai`"), "{said}");
        }
    }
}

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use llmopt_domain::{ApiKey, Digest, Format, KeyLimits, KeyProblem, KeyText, KeyUse, Scope};
use llmopt_storage::{Listing, Page, RecordStore, StorageError, Stored};

use crate::{ServiceError, clock::now_ms};

/// How long what the store says of a key is relied on: a key that is revoked elsewhere may be taken so
/// much longer.
const FRESH_MS: u64 = 5_000;
/// How exactly it is known when a key was used last: a write is saved for every other use.
const USED_MS: u64 = 60_000;
/// Keys that are remembered at most, those that do not exist included.
const REMEMBERED: usize = 10_000;

/// The platform's keys: who may ask.
#[derive(Clone)]
pub struct Keys {
    records: Arc<dyn RecordStore<ApiKey>>,
    uses: Arc<dyn RecordStore<KeyUse>>,
    /// When each key was used, as far as this process noted it.
    noted: Arc<Mutex<HashMap<String, u64>>>,
    known: Arc<Mutex<HashMap<String, Known>>>,
    /// Whether there were any, and when.
    any: Arc<Mutex<Option<(u64, bool)>>>,
}

/// What the store said of a key.
#[derive(Clone)]
struct Known {
    at_ms: u64,
    key: Option<Arc<Stored<ApiKey>>>,
}

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// What it may ask for at most.
    pub limits: KeyLimits,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// A key with its secret, which is shown once.
#[derive(Debug)]
pub struct IssuedKey {
    /// Its record.
    pub key: ApiKey,
    /// Its text.
    pub text: KeyText,
}

impl Keys {
    /// Looks after the keys in `records`, and notes in `uses` when they were used.
    pub fn new(records: Arc<dyn RecordStore<ApiKey>>, uses: Arc<dyn RecordStore<KeyUse>>) -> Self {
        Self {
            records,
            uses,
            noted: Arc::default(),
            known: Arc::default(),
            any: Arc::default(),
        }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::File`] if this machine has no random bytes.
    pub async fn create(&self, request: NewKey) -> Result<IssuedKey, ServiceError> {
        let text = KeyText::from_random(random()?, random()?);
        let key = ApiKey {
            format: Format,
            id: text.id.clone(),
            name: request.name,
            created_ms: now_ms(),
            secret: digest(&text),
            previous: Vec::new(),
            scopes: request.scopes,
            limits: request.limits,
            expires_ms: request.expires_ms,
            revoked_ms: None,
        };
        self.records.create(&key).await?;
        self.forget(&key.id);
        Ok(IssuedKey { key, text })
    }

    /// Returns keys, the last made first, revoked ones too.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn list(&self, listing: &Listing) -> Result<Page<ApiKey>, ServiceError> {
        Ok(self.records.list(listing).await?)
    }

    /// Returns whether any key was ever made, revoked ones too: whoever ends the last one does not open the
    /// door to everybody.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn are_there(&self) -> Result<bool, ServiceError> {
        let listing = Listing {
            limit: 1,
            ..Listing::default()
        };
        Ok(!self.records.list(&listing).await?.records.is_empty())
    }

    /// As [`Keys::are_there`], as it was at most 5 s ago.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn are_there_lately(&self) -> Result<bool, ServiceError> {
        let now = now_ms();
        let lock = || self.any.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at_ms, any)) = *lock()
            && now.abs_diff(at_ms) < FRESH_MS
        {
            return Ok(any);
        }
        let any = self.are_there().await?;
        *lock() = Some((now, any));
        Ok(any)
    }

    /// Returns the key with this id.
    ///
    /// # Errors
    /// [`ServiceError::UnknownKey`], or [`ServiceError::Storage`].
    pub async fn get(&self, id: &str) -> Result<ApiKey, ServiceError> {
        Ok(self.stored(id).await?.record)
    }

    /// Ends a key now; one that has ended stays as it is. Processes that know it may take it for 5 s more.
    ///
    /// # Errors
    /// [`ServiceError::UnknownKey`], or [`ServiceError::Storage`].
    pub async fn revoke(&self, id: &str) -> Result<ApiKey, ServiceError> {
        self.change(id, |key| {
            let now = now_ms();
            ApiKey {
                revoked_ms: key.revoked_ms.or(Some(now)),
                ..key
            }
        })
        .await
    }

    /// Gives a key another secret; the one that it has, and those before that still are, are taken for
    /// `overlap` more at most.
    ///
    /// # Errors
    /// [`ServiceError::UnknownKey`]; [`ServiceError::KeyEnded`] if it was revoked or has expired;
    /// [`ServiceError::Storage`].
    pub async fn rotate(&self, id: &str, overlap: Duration) -> Result<IssuedKey, ServiceError> {
        let secret = random()?;
        let text = KeyText {
            id: id.to_owned(),
            ..KeyText::from_random([0; 9], secret)
        };
        if !self.get(id).await?.is_live(now_ms()) {
            return Err(ServiceError::KeyEnded(id.to_owned()));
        }
        let overlap_ms = u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX);
        let rotate = |key: ApiKey| key.rotated(digest(&text), overlap_ms, now_ms());
        let key = self.change(id, rotate).await?;
        Ok(IssuedKey { key, text })
    }

    /// Returns the key that `text` is, if it can be used.
    ///
    /// # Errors
    /// [`ServiceError::Storage`] if the store is away and does not have said lately what is asked.
    pub async fn authenticate(
        &self,
        text: &str,
    ) -> Result<Result<Arc<Stored<ApiKey>>, KeyProblem>, ServiceError> {
        let text: KeyText = match text.parse() {
            Ok(text) => text,
            Err(problem) => return Ok(Err(problem)),
        };
        let now = now_ms();
        let Some(key) = self.look_up(&text.id, now).await? else {
            return Ok(Err(KeyProblem::Unknown));
        };
        if let Err(problem) = key.record.check(&text.secret, now) {
            return Ok(Err(problem));
        }
        self.note_use(&key.record.id, now).await;
        Ok(Ok(key))
    }

    async fn look_up(
        &self,
        id: &str,
        now_ms: u64,
    ) -> Result<Option<Arc<Stored<ApiKey>>>, ServiceError> {
        if let Some(known) = self.known().get(id)
            && now_ms.abs_diff(known.at_ms) < FRESH_MS
        {
            return Ok(known.key.clone());
        }
        let key = match self.records.get(id).await {
            Ok(stored) => Some(Arc::new(stored)),
            Err(StorageError::NoRecord { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        self.remember(id, now_ms, key.clone());
        Ok(key)
    }

    fn remember(&self, id: &str, at_ms: u64, key: Option<Arc<Stored<ApiKey>>>) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.retain(|_, it| at_ms.abs_diff(it.at_ms) < FRESH_MS && it.key.is_some());
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(id.to_owned(), Known { at_ms, key });
    }

    fn forget(&self, id: &str) {
        self.known().remove(id);
        *self.any.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the key was used last, to the minute, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn last_used(&self, id: &str) -> Result<Option<u64>, ServiceError> {
        match self.uses.get(id).await {
            Ok(stored) => Ok(Some(stored.record.used_ms)),
            Err(StorageError::NoRecord { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes that the key was used, once a minute; where that fails it is known a minute later.
    async fn note_use(&self, id: &str, now_ms: u64) {
        {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            let last = noted.get(id).copied().unwrap_or_default();
            if now_ms.abs_diff(last) < USED_MS {
                return;
            }
            if noted.len() >= REMEMBERED {
                noted.clear();
            }
            noted.insert(id.to_owned(), now_ms);
        }
        if let Err(error) = self.write_use(id, now_ms).await {
            tracing::debug!(%error, "the use of a key cannot be noted");
        }
    }

    async fn write_use(&self, id: &str, now_ms: u64) -> Result<(), StorageError> {
        match self.uses.get(id).await {
            // Another process has noted it, or is at it.
            Ok(known) if now_ms < known.record.used_ms.saturating_add(USED_MS) => Ok(()),
            Ok(known) => {
                let used = KeyUse {
                    used_ms: now_ms,
                    ..known.record
                };
                match self.uses.replace(known.revision, &used).await {
                    Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Err(StorageError::NoRecord { .. }) => {
                let used = KeyUse {
                    format: Format,
                    id: id.to_owned(),
                    created_ms: now_ms,
                    used_ms: now_ms,
                };
                match self.uses.create(&used).await {
                    Ok(_) | Err(StorageError::RecordExists { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn stored(&self, id: &str) -> Result<Stored<ApiKey>, ServiceError> {
        match self.records.get(id).await {
            Err(StorageError::NoRecord { id, .. }) => Err(ServiceError::UnknownKey(id)),
            found => Ok(found?),
        }
    }

    async fn change(
        &self,
        id: &str,
        change: impl Fn(ApiKey) -> ApiKey,
    ) -> Result<ApiKey, ServiceError> {
        loop {
            let known = self.stored(id).await?;
            let changed = change(known.record);
            let replaced = self.records.replace(known.revision, &changed).await;
            self.forget(id);
            match replaced {
                Ok(stored) => return Ok(stored.record),
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn digest(text: &KeyText) -> Digest {
    Digest::of_bytes(text.secret.as_bytes())
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], ServiceError> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).map_err(|error| ServiceError::File {
        operation: "read",
        path: "the system's random bytes".into(),
        source: io::Error::other(error),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;

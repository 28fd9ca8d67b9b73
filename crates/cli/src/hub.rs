use std::{path::PathBuf, sync::Mutex};

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use llmopt_config::{Secret, Settings};
use llmopt_hub::{FetchEvent, FetchRequest, HubError, fetch};
use llmopt_service::{HubFailure, HubRepository, ModelHub};
use llmopt_storage::StorageError;
use llmopt_storage_aws::{Aws, read_secret};

use crate::output::note;

/// The branch that a repository is fetched from where the user names none.
const DEFAULT_REVISION: &str = "main";

/// The Hub that the settings name.
pub(crate) struct Hub {
    endpoint: Option<String>,
    token: Option<Secret>,
    /// The secret that holds the token, where the settings do not.
    token_secret: Option<String>,
    cache_dir: PathBuf,
}

impl Hub {
    pub(crate) fn new(settings: &Settings, cache_dir: PathBuf) -> Self {
        Self {
            endpoint: settings.hub_endpoint.clone(),
            token: settings.hub_token.clone(),
            token_secret: settings.hub_token_secret.clone(),
            cache_dir,
        }
    }

    async fn token(&self) -> Result<Option<Secret>, HubFailure> {
        match (&self.token, &self.token_secret) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, None) => Ok(None),
            (None, Some(name)) => {
                let read = read_secret(&Aws::connect().await, name).await;
                read.map(|text| Some(Secret::new(text.trim())))
                    .map_err(|error| match error {
                        StorageError::Unavailable { .. } => HubFailure::Failed(error.into()),
                        error => HubFailure::Refused(error.into()),
                    })
            }
        }
    }
}

#[async_trait]
impl ModelHub for Hub {
    async fn fetch(&self, repository: &HubRepository) -> Result<PathBuf, HubFailure> {
        let token = self.token().await?;
        let bar = Bar::default();
        let progress = |event: FetchEvent<'_>| bar.show(event, &repository.repository);
        let request = FetchRequest {
            repository: &repository.repository,
            revision: repository.revision.as_deref().unwrap_or(DEFAULT_REVISION),
            endpoint: self.endpoint.as_deref(),
            token: token.as_ref().map(Secret::expose),
            cache_dir: &self.cache_dir,
            progress: &progress,
        };
        let fetched = fetch(request).await;
        bar.finish();
        fetched.map_err(failure)
    }
}

/// The bar of a download, once it is known that there is one.
#[derive(Default)]
struct Bar(Mutex<Option<ProgressBar>>);

impl Bar {
    fn show(&self, event: FetchEvent<'_>, repository: &str) {
        match event {
            FetchEvent::Waiting => note("waiting for another process that fetches the same model"),
            FetchEvent::Offline { commit } => note(format!(
                "the Hub cannot be reached: using `{repository}` as fetched before, commit {commit}"
            )),
            FetchEvent::Listed { total_bytes, .. } => self.begin(repository, total_bytes),
            FetchEvent::Advanced { done_bytes, .. } => {
                if let Ok(Some(bar)) = self.0.lock().as_deref() {
                    bar.set_position(done_bytes);
                }
            }
        }
    }

    fn begin(&self, repository: &str, total_bytes: u64) {
        let bar = ProgressBar::new(total_bytes);
        if bar.is_hidden() {
            note(format!("fetching `{repository}`, {total_bytes} bytes"));
        }
        if let Ok(style) = ProgressStyle::with_template(
            "fetching {msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
        ) {
            bar.set_style(style);
        }
        bar.set_message(repository.to_owned());
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(bar);
        }
    }

    fn finish(&self) {
        if let Ok(Some(bar)) = self.0.lock().as_deref() {
            bar.finish_and_clear();
        }
    }
}

fn failure(error: HubError) -> HubFailure {
    match error {
        HubError::Repository(_)
        | HubError::NotFound { .. }
        | HubError::Gated { .. }
        | HubError::PicklesOnly { .. }
        | HubError::Missing { .. } => HubFailure::Refused(error.into()),
        HubError::NoNetwork { .. }
        | HubError::Answer { .. }
        | HubError::NoSpace { .. }
        | HubError::File { .. }
        | HubError::Damaged { .. } => HubFailure::Failed(error.into()),
    }
}

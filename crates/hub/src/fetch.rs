use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, pin_mut};
use hf_hub::{HFClient, HFError, HFRepository, RepoTypeModel, repository::RepoTreeEntry, split_id};
use tokio::time::timeout;

use crate::{
    FetchEvent, HubError, Progress,
    cache::Cache,
    download::{Downloads, SILENCE},
    error::Subject,
    selection::{self, CONFIG, INDEX, RemoteFile, WEIGHTS, Weights},
};

/// The Hub that is asked where a request names none.
const ENDPOINT: &str = "https://huggingface.co";

/// Which model to fetch, from where to where.
pub struct FetchRequest<'a> {
    /// `OWNER/NAME`, or `NAME` for the oldest models.
    pub repository: &'a str,
    /// A branch, a tag or a commit.
    pub revision: &'a str,
    /// The Hub's address; absent means the public one.
    pub endpoint: Option<&'a str>,
    /// What the Hub knows the user by; absent means what the Hub's own tools have stored, if any.
    pub token: Option<&'a str>,
    /// Where models are kept.
    pub cache_dir: &'a Path,
    /// Who hears of the progress.
    pub progress: &'a dyn Progress,
}

impl fmt::Debug for FetchRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FetchRequest")
            .field("repository", &self.repository)
            .field("revision", &self.revision)
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .finish_non_exhaustive()
    }
}

/// Fetches the files of a model that llmopt reads and returns the folder that holds them.
///
/// A commit that was fetched before is not downloaded again; for a branch or tag, the Hub is asked
/// which commit it is, and where it cannot be reached the commit of the last fetch is used, which
/// `progress` hears. A fetch that was cut off goes on where it ended.
///
/// # Errors
/// Every [`HubError`].
pub async fn fetch(request: FetchRequest<'_>) -> Result<PathBuf, HubError> {
    check_name(request.repository)?;
    let cache = Cache {
        folder: request.cache_dir,
        repository: request.repository,
    };
    if is_commit(request.revision)
        && let Some(folder) = cache.complete(request.revision)
    {
        return Ok(folder);
    }
    let hub = Hub::connect(&request)?;
    let commit = match hub.commit(request.revision).await {
        Err(HubError::NoNetwork { endpoint, source }) => {
            let known = cache.remembered(request.revision);
            let folder = known
                .as_deref()
                .and_then(|commit| Some((commit, cache.complete(commit)?)));
            let Some((commit, folder)) = folder else {
                return Err(HubError::NoNetwork { endpoint, source });
            };
            request.progress.on_event(FetchEvent::Offline { commit });
            return Ok(folder);
        }
        other => other?,
    };
    let _lock = cache.lock(&commit, request.progress).await?;
    let folder = match cache.complete(&commit) {
        Some(folder) => folder,
        None => {
            let partial = cache.partial(&commit)?;
            hub.download(&commit, &partial, request.progress).await?;
            cache.finish(&commit)?
        }
    };
    cache.remember(request.revision, &commit)?;
    Ok(folder)
}

/// One repository of a Hub.
struct Hub {
    repository: HFRepository<RepoTypeModel>,
    subject: Subject,
}

impl Hub {
    fn connect(request: &FetchRequest<'_>) -> Result<Self, HubError> {
        let subject = Subject {
            repository: request.repository.to_owned(),
            revision: request.revision.to_owned(),
            endpoint: request.endpoint.unwrap_or(ENDPOINT).to_owned(),
        };
        let builder = HFClient::builder()
            .endpoint(&subject.endpoint)
            .cache_enabled(false)
            .retry_max_attempts(2)
            .retry_base_delay(Duration::from_millis(200));
        let builder = match request.token {
            Some(token) => builder.token(token),
            None => builder,
        };
        let client = builder.build().map_err(|error| subject.error(error))?;
        let (owner, name) = split_id(request.repository);
        Ok(Self {
            repository: client.model(owner, name),
            subject,
        })
    }

    /// Asks which commit `revision` is.
    async fn commit(&self, revision: &str) -> Result<String, HubError> {
        let info = self.repository.info().revision(revision).send();
        let info = timeout(SILENCE, info)
            .await
            .map_err(|_| self.subject.silent())?;
        let commit = info.map_err(|error| self.subject.error(error))?.sha;
        commit.filter(|commit| is_commit(commit)).ok_or_else(|| {
            let missing = HFError::Other("the model's information has no commit".to_owned());
            self.subject.error(missing)
        })
    }

    /// Lists the files at the top of the repository.
    async fn files(&self, commit: &str) -> Result<Vec<RemoteFile>, HubError> {
        let entries = self.repository.list_tree().revision(commit).send();
        let entries = entries.map_err(|error| self.subject.error(error))?;
        pin_mut!(entries);
        let mut files = Vec::new();
        loop {
            let entry = timeout(SILENCE, entries.next()).await;
            match entry.map_err(|_| self.subject.silent())? {
                None => return Ok(files),
                Some(Err(error)) => return Err(self.subject.error(error)),
                Some(Ok(RepoTreeEntry::File {
                    size, path, lfs, ..
                })) => files.push(RemoteFile {
                    name: path,
                    size_bytes: lfs.as_ref().and_then(|lfs| lfs.size).unwrap_or(size),
                    sha256: lfs.and_then(|lfs| lfs.sha256),
                }),
                Some(Ok(RepoTreeEntry::Directory { .. })) => {}
            }
        }
    }

    async fn download(
        &self,
        commit: &str,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), HubError> {
        let all = self.files(commit).await?;
        let mut downloads = Downloads {
            repository: &self.repository,
            subject: &self.subject,
            commit,
            folder,
            progress,
            done_bytes: 0,
            total_bytes: 0,
        };
        let mut files = selection::small_files(&all);
        self.find(&files, CONFIG)?;
        match selection::weights(&all) {
            Weights::One => files.push(self.find(&all, WEIGHTS)?),
            Weights::Sharded => {
                let index = self.find(&all, INDEX)?;
                downloads.total_bytes = index.size_bytes;
                downloads.fetch(&index).await?;
                for shard in self.shards(&folder.join(INDEX))? {
                    files.push(self.find(&all, &shard)?);
                }
                files.push(index);
            }
            Weights::Pickled(file) => {
                let repository = self.subject.repository.clone();
                return Err(HubError::PicklesOnly { repository, file });
            }
            Weights::None => return Err(self.missing(WEIGHTS)),
        }
        downloads.done_bytes = 0;
        downloads.total_bytes = files.iter().map(|file| file.size_bytes).sum();
        progress.on_event(FetchEvent::Listed {
            files: files.len() as u64,
            total_bytes: downloads.total_bytes,
        });
        for file in &files {
            downloads.fetch(file).await?;
        }
        Ok(())
    }

    fn shards(&self, index: &Path) -> Result<BTreeSet<String>, HubError> {
        let content = fs::read(index).map_err(HubError::file(index))?;
        selection::shard_names(&content).map_err(|reason| self.subject.damaged(INDEX, reason))
    }

    fn find(&self, files: &[RemoteFile], name: &str) -> Result<RemoteFile, HubError> {
        let file = files.iter().find(|file| file.name == name);
        file.cloned().ok_or_else(|| self.missing(name))
    }

    fn missing(&self, file: &str) -> HubError {
        HubError::Missing {
            repository: self.subject.repository.clone(),
            file: file.to_owned(),
        }
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

fn check_name(repository: &str) -> Result<(), HubError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    let parts: Vec<&str> = repository.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|part| is_part(part)) {
        Ok(())
    } else {
        Err(HubError::Repository(repository.to_owned()))
    }
}

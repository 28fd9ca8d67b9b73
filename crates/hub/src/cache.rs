use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use llmopt_domain::ObjectKey;

use crate::{FetchEvent, HubError, Progress};

/// How often a waiting process looks whether the other one is done.
const PATIENCE: Duration = Duration::from_millis(100);

/// One repository's part of the cache folder: a folder for each commit, `.partial` until whole.
pub(crate) struct Cache<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) repository: &'a str,
}

/// Keeps other processes from downloading the same, until it is dropped.
pub(crate) struct CacheLock {
    _file: File,
}

impl Cache<'_> {
    /// Returns the folder of a commit that was fetched entirely.
    pub(crate) fn complete(&self, commit: &str) -> Option<PathBuf> {
        Some(self.path(commit, "")).filter(|path| path.is_dir())
    }

    /// Returns the folder to download into, which is made.
    pub(crate) fn partial(&self, commit: &str) -> Result<PathBuf, HubError> {
        let path = self.path(commit, ".partial");
        fs::create_dir_all(&path).map_err(HubError::file(&path))?;
        Ok(path)
    }

    /// Makes the downloaded files of `commit` a complete folder, all at once.
    pub(crate) fn finish(&self, commit: &str) -> Result<PathBuf, HubError> {
        let (partial, path) = (self.path(commit, ".partial"), self.path(commit, ""));
        let parent = path.parent().unwrap_or(self.folder);
        let sync = |path: &Path| File::open(path)?.sync_all();
        sync(&partial)
            .and_then(|()| fs::rename(&partial, &path))
            .and_then(|()| sync(parent))
            .map_err(HubError::file(&path))?;
        Ok(path)
    }

    /// Returns the commit that `revision` was at the last fetch.
    pub(crate) fn remembered(&self, revision: &str) -> Option<String> {
        let content = fs::read_to_string(self.path(revision, ".commit")).ok()?;
        let (found, commit) = content.trim_end().split_once('\n')?;
        // Two revisions can be rendered to one name.
        (found == revision).then(|| commit.to_owned())
    }

    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.path(revision, ".commit");
        let partial = self.path(revision, ".commit.partial");
        fs::write(&partial, format!("{revision}\n{commit}\n"))
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(HubError::file(&path))
    }

    /// Waits until no other process downloads `commit`.
    pub(crate) async fn lock(
        &self,
        commit: &str,
        progress: &dyn Progress,
    ) -> Result<CacheLock, HubError> {
        let path = self.path(commit, ".lock");
        let parent = path.parent().unwrap_or(self.folder);
        fs::create_dir_all(parent).map_err(HubError::file(parent))?;
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(HubError::file(&path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(CacheLock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(HubError::file(&path)(error)),
                Err(TryLockError::WouldBlock) if told => {}
                Err(TryLockError::WouldBlock) => progress.on_event(FetchEvent::Waiting),
            }
            told = true;
            tokio::time::sleep(PATIENCE).await;
        }
    }

    fn path(&self, revision: &str, suffix: &str) -> PathBuf {
        let key = ObjectKey::base(self.repository, revision);
        self.folder.join(format!("{key}{suffix}"))
    }
}

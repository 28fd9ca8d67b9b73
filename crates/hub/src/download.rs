use std::{fs, io, path::Path, time::Duration};

use futures_util::StreamExt;
use hf_hub::{HFError, HFRepository, RepoTypeModel};
use llmopt_domain::Digest;
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};

use crate::{FetchEvent, HubError, Progress, error::Subject, selection::RemoteFile};

/// A connection on which nothing arrives for so long is taken to be broken.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// Connections in a row that break without a byte before a download is given up.
const ATTEMPTS: u32 = 4;

/// Downloads files of one commit into one folder.
pub(crate) struct Downloads<'a> {
    pub(crate) repository: &'a HFRepository<RepoTypeModel>,
    pub(crate) subject: &'a Subject,
    pub(crate) commit: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) progress: &'a dyn Progress,
    /// Bytes of all files that are on disk.
    pub(crate) done_bytes: u64,
    pub(crate) total_bytes: u64,
}

impl Downloads<'_> {
    /// Downloads `file` unless it is there, going on where an earlier attempt ended.
    ///
    /// hf-hub's own `download_file` begins anew each time, so this appends its stream of a range.
    pub(crate) async fn fetch(&mut self, file: &RemoteFile) -> Result<(), HubError> {
        let path = self.folder.join(&file.name);
        let partial = self.folder.join(format!("{}.part", file.name));
        if length(&path)? == Some(file.size_bytes) {
            self.advance(&file.name, file.size_bytes);
            return Ok(());
        }
        self.fill(file, &partial).await?;
        self.verify(file, &partial).await?;
        let finish = || {
            fs::File::open(&partial)?.sync_all()?;
            fs::rename(&partial, &path)
        };
        finish().map_err(HubError::file(&path))
    }

    /// Appends to `partial` until it has the size of `file`.
    async fn fill(&mut self, file: &RemoteFile, partial: &Path) -> Result<(), HubError> {
        let open = File::options()
            .create(true)
            .append(true)
            .open(partial)
            .await;
        let mut target = open.map_err(HubError::file(partial))?;
        let mut start = length(partial)?.unwrap_or(0);
        if start > file.size_bytes {
            start = self.empty(&target, partial).await?;
        }
        self.advance(&file.name, start);
        let mut failures = 0;
        while start < file.size_bytes {
            let result = self.append(file, start, &mut target, partial).await;
            let reached = length(partial)?.unwrap_or(0);
            failures = if reached > start { 0 } else { failures + 1 };
            match result {
                Err(error) if failures >= ATTEMPTS || !is_passing(&error) => return Err(error),
                Ok(()) if failures >= ATTEMPTS => return Err(self.subject.silent()),
                _ => {}
            }
            start = reached;
            if start > file.size_bytes {
                // The server sent the whole file where a part was asked for.
                self.done_bytes = self.done_bytes.saturating_sub(start);
                start = self.empty(&target, partial).await?;
            }
            if failures > 0 {
                tokio::time::sleep(Duration::from_millis(200) * failures).await;
            }
        }
        Ok(())
    }

    /// Appends what one connection gives, from byte `start` on.
    async fn append(
        &mut self,
        file: &RemoteFile,
        start: u64,
        target: &mut File,
        partial: &Path,
    ) -> Result<(), HubError> {
        let request = self
            .repository
            .download_file_stream()
            .filename(file.name.as_str())
            .revision(self.commit);
        let range = (start > 0).then_some(start..file.size_bytes);
        let answer = timeout(SILENCE, request.maybe_range(range).send()).await;
        let answer = answer.map_err(|_| self.subject.silent())?;
        let (_, mut stream) = answer.map_err(|error| self.subject.error(error))?;
        let mut result = Ok(());
        while let Some(chunk) = self.next(&mut stream).await {
            match chunk {
                Ok(chunk) => {
                    target
                        .write_all(&chunk)
                        .await
                        .map_err(HubError::file(partial))?;
                    self.advance(&file.name, chunk.len() as u64);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        target.flush().await.map_err(HubError::file(partial))?;
        result
    }

    async fn next<T>(
        &self,
        stream: &mut (impl StreamExt<Item = Result<T, HFError>> + Unpin),
    ) -> Option<Result<T, HubError>> {
        match timeout(SILENCE, stream.next()).await {
            Ok(chunk) => chunk.map(|chunk| chunk.map_err(|error| self.subject.error(error))),
            Err(_) => Some(Err(self.subject.silent())),
        }
    }

    async fn empty(&self, target: &File, partial: &Path) -> Result<u64, HubError> {
        target.set_len(0).await.map_err(HubError::file(partial))?;
        Ok(0)
    }

    /// Compares the digest where the Hub tells it; a wrong file is removed, so that it is not resumed.
    async fn verify(&self, file: &RemoteFile, partial: &Path) -> Result<(), HubError> {
        let Some(sha256) = &file.sha256 else {
            return Ok(());
        };
        let path = partial.to_owned();
        let digest = tokio::task::spawn_blocking(move || Digest::of_reader(fs::File::open(path)?));
        let digest = digest.await.map_err(io::Error::other).flatten();
        let digest = digest.map_err(HubError::file(partial))?;
        if digest.to_string() == format!("sha256:{sha256}") {
            return Ok(());
        }
        fs::remove_file(partial).map_err(HubError::file(partial))?;
        let reason = format!("expected `sha256:{sha256}`, found `{digest}`; fetch it again");
        Err(self.subject.damaged(&file.name, reason))
    }

    fn advance(&mut self, file: &str, bytes: u64) {
        self.done_bytes += bytes;
        self.progress.on_event(FetchEvent::Advanced {
            file,
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
        });
    }
}

/// Returns whether another attempt may go better at once.
fn is_passing(error: &HubError) -> bool {
    matches!(error, HubError::NoNetwork { .. })
}

fn length(path: &Path) -> Result<Option<u64>, HubError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::file(path)(error)),
    }
}

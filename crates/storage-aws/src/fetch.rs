//! How the folder store brings the files of an upload to this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, TryStreamExt, stream};
use llmopt_domain::ObjectKey;
use llmopt_storage::{StorageError, Wanted};

use crate::{
    S3FolderStore,
    bucket::AT_ONCE,
    download::{Fetch, PART_BYTES},
    folders::{io_error, prefix},
    marker::{FileEntry, Marker},
};

/// How often what others removed meanwhile is fetched again.
const ROUNDS: u32 = 3;

/// A file that is to be fetched.
struct Wish<'a> {
    key: &'a ObjectKey,
    name: &'a str,
    entry: &'a FileEntry,
    object: String,
    path: PathBuf,
}

impl S3FolderStore {
    /// Fetches the files that are wanted and not here, and returns the folder that has them.
    pub(crate) async fn fetch_all(
        &self,
        key: &ObjectKey,
        marker: &Marker,
        wanted: Wanted,
    ) -> Result<PathBuf, StorageError> {
        let Marker::V1 { upload, files } = marker;
        let failed = |error| io_error("fetch", key.as_str(), error);
        for _ in 0..ROUNDS {
            let held = self.cache.hold(upload).map_err(failed)?;
            let wishes = files.iter().map(|(name, entry)| Wish {
                key,
                name,
                entry,
                object: format!("{}{name}", prefix(key, upload)),
                path: held.folder.join(name),
            });
            let wishes: Vec<Wish<'_>> = wishes
                .filter(|wish| wanted(wish.name) && !wish.is_here())
                .collect();
            if wishes.is_empty() {
                return Ok(held.folder.clone());
            }
            self.fetch_each(&wishes).await?;
        }
        Err(StorageError::Unavailable {
            operation: "open",
            subject: key.to_string(),
            source: "other processes remove what is fetched: make the disk larger".into(),
        })
    }

    /// Small files are fetched side by side; a large one fills the line by itself, and memory.
    async fn fetch_each(&self, wishes: &[Wish<'_>]) -> Result<(), StorageError> {
        let (small, large): (Vec<_>, Vec<_>) = wishes
            .iter()
            .partition(|wish| wish.entry.size_bytes <= PART_BYTES);
        let mut fetched = Vec::new();
        for wish in small {
            fetched.push(self.fetch_one(wish));
        }
        let fetched = stream::iter(fetched).buffer_unordered(AT_ONCE);
        fetched.try_collect::<()>().await?;
        for wish in large {
            self.fetch_one(wish).await?;
        }
        Ok(())
    }

    async fn fetch_one(&self, wish: &Wish<'_>) -> Result<(), StorageError> {
        match self.try_fetch(wish).await {
            // Other folders can be fetched again.
            Err(StorageError::NoSpace { .. }) => {
                let (cache, size_bytes) = (self.cache.clone(), wish.entry.size_bytes);
                let made = blocking(move || cache.make_room(size_bytes)).await;
                made.map_err(|error| io_error("make room for", wish.key.as_str(), error))?;
                self.try_fetch(wish).await
            }
            result => result,
        }
    }

    async fn try_fetch(&self, wish: &Wish<'_>) -> Result<(), StorageError> {
        let partial = self.place.next();
        let fetched = self
            .bucket
            .fetch_sized(&wish.object, wish.entry.size_bytes, &partial)
            .await;
        let kept = match fetched {
            Ok(fetched) if fetched.size_bytes != wish.entry.size_bytes => {
                Err(wish.damaged("has another size"))
            }
            Ok(fetched) if fetched.digest != wish.entry.digest => {
                Err(wish.damaged("has other bytes than were published"))
            }
            Ok(_) => wish
                .keep(&partial)
                .map_err(|error| io_error("write", wish.key.as_str(), error)),
            Err(Fetch::Missing) => Err(wish.damaged("is missing")),
            Err(Fetch::Io(error)) => Err(io_error("write", wish.key.as_str(), error)),
            Err(Fetch::Storage(error)) => Err(error),
        };
        if kept.is_err() {
            let _ = fs::remove_file(&partial);
        }
        kept
    }
}

impl Wish<'_> {
    /// Whether it was fetched before: it was checked then.
    fn is_here(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.entry.size_bytes)
    }

    fn keep(&self, partial: &Path) -> io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(partial, &self.path)
    }

    fn damaged(&self, what: &str) -> StorageError {
        StorageError::Corrupt {
            subject: self.key.to_string(),
            reason: format!(
                "`{}` {what}; delete it and publish it again, or restore the object `{}`",
                self.name, self.object
            ),
        }
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), io::Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
        .flatten()
}

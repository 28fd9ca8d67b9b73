use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use llmopt_domain::{Digest, ObjectKey};
use llmopt_storage::{FolderStore, StagedFolder, StorageError, Wanted};
use serde::{Deserialize, Serialize};

use crate::{
    Aws,
    bucket::{AT_ONCE, Bucket, Put},
    cache::Cache,
    marker::{FileEntry, Marker, Undescribed, describe},
    place::Place,
    random::random_name,
};

/// Where the markers of published folders lie. No key begins with a dot.
const PUBLISHED: &str = ".published/";
/// Where is noted which uploads are on their way in or out.
const PENDING: &str = ".pending/";
/// How long an upload may be on its way. Whatever began before died.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A [`FolderStore`] in an S3 bucket.
///
/// The files of a folder lie below its key and the name of their upload. What makes it visible is one
/// conditional put of its marker, which says which upload it is and which files it has, with their
/// digests. Files are fetched when they are first asked for, checked, and kept on this machine: an upload
/// never changes.
///
/// Before an upload begins, and before one is deleted, a note of it is written; it goes when all is done.
/// So [`sweep`](Self::sweep) finds what dead processes left.
///
/// Of two processes that publish keys of which one lies below the other at the same moment, both may
/// succeed: S3 compares one key at a time. No kind of key has others below it.
#[derive(Clone, Debug)]
pub struct S3FolderStore {
    pub(crate) bucket: Bucket,
    pub(crate) place: Place,
    pub(crate) cache: Cache,
}

/// A note of an upload that is on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    key: ObjectKey,
    began_ms: u64,
}

impl S3FolderStore {
    /// Keeps folders in the bucket called `bucket`, and what is fetched of them below `folder` on this
    /// machine.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`] or [`StorageError::Internal`], naming the folder.
    pub fn open(aws: &Aws, bucket: &str, folder: &Path) -> Result<Self, StorageError> {
        let place = Place::open(folder);
        let place =
            place.map_err(|error| io_error("open", &folder.display().to_string(), error))?;
        Ok(Self::at(Bucket::new(aws, bucket), place))
    }

    fn at(bucket: Bucket, place: Place) -> Self {
        Self {
            bucket,
            cache: Cache::new(place.clone()),
            place,
        }
    }

    #[cfg(test)]
    pub(crate) fn on(bucket: Bucket, folder: &Path) -> Self {
        Self::at(bucket, Place::open(folder).unwrap())
    }

    /// Checks that the bucket can be used.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the bucket.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.bucket.check().await
    }

    /// Deletes what processes that died a week ago and more left half published or half deleted.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    pub async fn sweep(&self) -> Result<(), StorageError> {
        for note in self.bucket.list(PENDING, None).await?.keys {
            let Some(json) = self.bucket.get(&note).await? else {
                continue;
            };
            let upload = note.trim_start_matches(PENDING);
            match serde_json::from_slice::<Pending>(&json) {
                Ok(pending) if pending.is_over() => {
                    let marker = self.marker(&pending.key).await?;
                    if marker.is_none_or(|marker| upload_of(&marker) != upload) {
                        self.bucket
                            .delete_all(&prefix(&pending.key, upload))
                            .await?;
                    }
                    self.bucket.delete(&note).await?;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(note, %error, "a note of an upload cannot be read");
                }
            }
        }
        Ok(())
    }

    async fn marker(&self, key: &ObjectKey) -> Result<Option<Marker>, StorageError> {
        let found = self.tagged_marker(key).await?;
        Ok(found.map(|(marker, _)| marker))
    }

    /// Returns the marker, and the tag that S3 knows its bytes by.
    async fn tagged_marker(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<(Marker, String)>, StorageError> {
        let Some((json, tag)) = self.bucket.get_tagged(&marker_key(key)).await? else {
            return Ok(None);
        };
        let marker = serde_json::from_slice(&json).map_err(|error| StorageError::Corrupt {
            subject: key.to_string(),
            reason: format!("its marker is none of this version: {error}"),
        })?;
        Ok(Some((marker, tag)))
    }

    async fn published(&self, key: &ObjectKey) -> Result<Marker, StorageError> {
        let marker = self.marker(key).await?;
        marker.ok_or_else(|| StorageError::NotFound { key: key.clone() })
    }

    /// Returns whether `key`, one above it or one below it is published.
    async fn is_taken(&self, key: &ObjectKey) -> Result<bool, StorageError> {
        let ancestors = key
            .as_str()
            .match_indices('/')
            .map(|(at, _)| &key.as_str()[..at]);
        let mut places: Vec<String> = ancestors.map(|it| format!("{PUBLISHED}{it}")).collect();
        places.push(marker_key(key));
        for place in places {
            if self.bucket.get(&place).await?.is_some() {
                return Ok(true);
            }
        }
        self.bucket.holds(&format!("{}/", marker_key(key))).await
    }

    async fn send(
        &self,
        staged: &Path,
        files: &BTreeMap<String, FileEntry>,
        prefix: &str,
    ) -> Result<(), StorageError> {
        let mut sent = Vec::new();
        for (name, entry) in files {
            sent.push(self.send_one(
                staged.join(name),
                entry.size_bytes,
                format!("{prefix}{name}"),
            ));
        }
        stream::iter(sent)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn send_one(
        &self,
        path: PathBuf,
        size_bytes: u64,
        key: String,
    ) -> Result<(), StorageError> {
        self.bucket.send(&path, size_bytes, &key).await
    }

    /// Makes the upload visible; whether it is.
    async fn mark(&self, key: &ObjectKey, marker: &Marker) -> Result<bool, StorageError> {
        let json = serde_json::to_vec(marker).map_err(|error| StorageError::Internal {
            operation: "publish",
            subject: key.to_string(),
            source: Box::new(error),
        })?;
        let put = self.bucket.put_new(&marker_key(key), json).await;
        if let Ok(Put::Done) = put {
            return Ok(true);
        }
        // The answer of a try that did it may have been lost.
        match (self.marker(key).await, put) {
            (Ok(Some(there)), _) => Ok(upload_of(&there) == upload_of(marker)),
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
            (Ok(None), Ok(_)) => Err(StorageError::Unavailable {
                operation: "publish",
                subject: key.to_string(),
                source: "another published at this key, and deleted it at once".into(),
            }),
        }
    }

    async fn note(&self, key: &ObjectKey, upload: &str) -> Result<(), StorageError> {
        let pending = Pending {
            key: key.clone(),
            began_ms: now_ms(),
        };
        let json = serde_json::to_vec(&pending).unwrap_or_default();
        self.bucket.put(&format!("{PENDING}{upload}"), json).await
    }

    async fn clear(&self, key: &ObjectKey, upload: &str) -> Result<(), StorageError> {
        self.bucket.delete_all(&prefix(key, upload)).await?;
        self.bucket.delete(&format!("{PENDING}{upload}")).await
    }
}

#[async_trait]
impl FolderStore for S3FolderStore {
    async fn stage(&self) -> Result<StagedFolder, StorageError> {
        let staged = self.place.stage();
        staged.map_err(|error| io_error("stage a folder for", &self.bucket.name, error))
    }

    async fn publish(&self, staged: &Path, key: &ObjectKey) -> Result<(), StorageError> {
        let taken = || StorageError::AlreadyExists { key: key.clone() };
        if self.is_taken(key).await? {
            return Err(taken());
        }
        let files = described(staged, key).await?;
        let upload = random_name::<8>()?;
        self.note(key, &upload).await?;
        let sent = self.send(staged, &files, &prefix(key, &upload)).await;
        let marker = Marker::V1 {
            upload: upload.clone(),
            files,
        };
        let marked = match sent {
            Ok(()) => self.mark(key, &marker).await,
            Err(error) => Err(error),
        };
        match marked {
            Ok(true) => {
                // A note that stays is found by a sweep, which sees that all is well.
                let _ = self.bucket.delete(&format!("{PENDING}{upload}")).await;
                // It is published whatever comes of this; the staged folder's own end tries again.
                let _ = fs::remove_dir_all(staged);
                Ok(())
            }
            Ok(false) => {
                let _ = self.clear(key, &upload).await;
                Err(taken())
            }
            // The marker may be there all the same: what it names must not be deleted.
            Err(error) => Err(error),
        }
    }

    async fn open_part(&self, key: &ObjectKey, wanted: Wanted) -> Result<PathBuf, StorageError> {
        let marker = self.published(key).await?;
        match self.fetch_all(key, &marker, wanted).await {
            // Deleted since, which is no damage.
            Err(StorageError::Corrupt { .. }) if self.marker(key).await? != Some(marker) => {
                Err(StorageError::NotFound { key: key.clone() })
            }
            opened => opened,
        }
    }

    async fn digests(&self, key: &ObjectKey) -> Result<BTreeMap<String, Digest>, StorageError> {
        let Marker::V1 { files, .. } = self.published(key).await?;
        let digests = files.into_iter();
        Ok(digests.map(|(name, entry)| (name, entry.digest)).collect())
    }

    async fn list_below(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let prefix = format!("{}/", marker_key(parent));
        let listed = self.bucket.list(&prefix, None).await?.keys;
        let keys = listed.iter().filter_map(|it| it.strip_prefix(PUBLISHED));
        let mut keys: Vec<ObjectKey> = keys
            .filter_map(|key| ObjectKey::try_from(key.to_owned()).ok())
            .collect();
        keys.sort();
        Ok(keys)
    }

    async fn list(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let prefix = format!("{}/", marker_key(parent));
        let listed = self.bucket.list(&prefix, Some("/"));
        Ok(children(parent, &listed.await?.keys))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let Some((marker, tag)) = self.tagged_marker(key).await? else {
            return Ok(());
        };
        let upload = upload_of(&marker);
        self.note(key, upload).await?;
        // Another may have deleted it, and published anew.
        self.bucket.delete_if(&marker_key(key), &tag).await?;
        self.clear(key, upload).await
    }
}

impl Pending {
    fn is_over(&self) -> bool {
        Duration::from_millis(now_ms().saturating_sub(self.began_ms)) > LONGEST
    }
}

fn upload_of(marker: &Marker) -> &str {
    let Marker::V1 { upload, .. } = marker;
    upload
}

fn marker_key(key: &ObjectKey) -> String {
    format!("{PUBLISHED}{key}")
}

pub(crate) fn prefix(key: &ObjectKey, upload: &str) -> String {
    format!("{key}/{upload}/")
}

fn children(parent: &ObjectKey, markers: &[String]) -> Vec<ObjectKey> {
    let names = markers
        .iter()
        .filter_map(|marker| marker.rsplit('/').next());
    let mut keys: Vec<ObjectKey> = names.filter_map(|name| parent.child(name)).collect();
    keys.sort();
    keys
}

async fn described(
    staged: &Path,
    key: &ObjectKey,
) -> Result<BTreeMap<String, FileEntry>, StorageError> {
    let owned = staged.to_owned();
    let described = tokio::task::spawn_blocking(move || describe(&owned)).await;
    match described {
        Ok(Ok(files)) => Ok(files),
        Ok(Err(Undescribed::Unfit(reason))) => Err(StorageError::Corrupt {
            subject: key.to_string(),
            reason,
        }),
        Ok(Err(Undescribed::Io(error))) => Err(io_error("publish", key.as_str(), error)),
        Err(error) => Err(io_error("publish", key.as_str(), io::Error::other(error))),
    }
}

/// Says what an error of this machine's files means to a caller.
pub(crate) fn io_error(operation: &'static str, subject: &str, error: io::Error) -> StorageError {
    let (subject, source) = (subject.to_owned(), Box::new(error));
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::NoSpace {
            operation,
            subject,
            source,
        },
        _ => StorageError::Internal {
            operation,
            subject,
            source,
        },
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

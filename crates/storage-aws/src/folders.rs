use std::{
    collections::BTreeMap,
    fs::{self, File},
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
    bucket::{AT_ONCE, Bucket, Fetch, Put},
    marker::{FileEntry, Marker, Undescribed, describe},
    place::Place,
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
    bucket: Bucket,
    place: Place,
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
        Ok(Self {
            bucket: Bucket::new(aws, bucket),
            place: place.map_err(|error| io_error("open", &folder.display().to_string(), error))?,
        })
    }

    #[cfg(test)]
    pub(crate) fn on(bucket: Bucket, folder: &Path) -> Self {
        let place = Place::open(folder).unwrap();
        Self { bucket, place }
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
        let Some(json) = self.bucket.get(&marker_key(key)).await? else {
            return Ok(None);
        };
        let marker = serde_json::from_slice(&json).map_err(|error| StorageError::Corrupt {
            subject: key.to_string(),
            reason: format!("its marker is none of this version: {error}"),
        })?;
        Ok(Some(marker))
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

    /// Fetches the files that are wanted and not here.
    async fn fetch_all(
        &self,
        key: &ObjectKey,
        marker: &Marker,
        wanted: Wanted,
    ) -> Result<PathBuf, StorageError> {
        let Marker::V1 { upload, files } = marker;
        let folder = self.place.fetched(upload);
        make_folder(&folder)?;
        let mut fetched = Vec::new();
        for (name, entry) in files {
            let path = folder.join(name);
            if wanted(name) && !is_here(&path, entry) {
                let wish = Wish {
                    key,
                    name,
                    entry,
                    object: format!("{}{name}", prefix(key, upload)),
                };
                fetched.push(self.fetch_one(wish, path, upload));
            }
        }
        let fetched = stream::iter(fetched).buffer_unordered(AT_ONCE);
        fetched.try_collect::<()>().await?;
        Ok(folder)
    }

    async fn fetch_one(
        &self,
        file: Wish<'_>,
        path: PathBuf,
        upload: &str,
    ) -> Result<(), StorageError> {
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        match self.try_fetch(&file, &path).await {
            // Other folders can be fetched again.
            Err(StorageError::NoSpace { .. }) => {
                let room = self.place.make_room(upload);
                room.map_err(|error| io_error("make room for", file.key.as_str(), error))?;
                self.try_fetch(&file, &path).await
            }
            result => result,
        }
    }

    async fn try_fetch(&self, file: &Wish<'_>, path: &Path) -> Result<(), StorageError> {
        let damaged = |what: &str| StorageError::Corrupt {
            subject: file.key.to_string(),
            reason: format!(
                "`{}` {what}; delete it and publish it again, or restore the object `{}`",
                file.name, file.object
            ),
        };
        let partial = self.place.next();
        let fetched = self.bucket.fetch(&file.object, &partial).await;
        let checked = match fetched {
            Ok(size) if size != file.entry.size_bytes => Err(damaged("has another size")),
            Ok(_) => check_digest(&partial, &file.entry.digest)
                .await
                .map_err(|error| io_error("read", file.key.as_str(), error))
                .and_then(|is_same| {
                    if is_same {
                        fs::rename(&partial, path)
                            .map_err(|error| io_error("write", file.key.as_str(), error))
                    } else {
                        Err(damaged("has other bytes than were published"))
                    }
                }),
            Err(Fetch::Missing) => Err(damaged("is missing")),
            Err(Fetch::Io(error)) => Err(io_error("write", file.key.as_str(), error)),
            Err(Fetch::Storage(error)) => Err(error),
        };
        if checked.is_err() {
            let _ = fs::remove_file(&partial);
        }
        checked
    }
}

/// A file that is to be fetched.
struct Wish<'a> {
    key: &'a ObjectKey,
    name: &'a str,
    entry: &'a FileEntry,
    object: String,
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
        let upload = format!("{:016x}", fastrand::u64(..));
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
                let removed = fs::remove_dir_all(staged);
                removed
                    .map_err(|error| io_error("remove what is published at", key.as_str(), error))
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

    async fn places(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let prefix = format!("{}/", marker_key(parent));
        let listed = self.bucket.list(&prefix, Some("/"));
        Ok(children(parent, &listed.await?.prefixes))
    }

    async fn list(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let prefix = format!("{}/", marker_key(parent));
        let listed = self.bucket.list(&prefix, Some("/"));
        Ok(children(parent, &listed.await?.keys))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let Some(marker) = self.marker(key).await? else {
            return Ok(());
        };
        let upload = upload_of(&marker);
        self.note(key, upload).await?;
        self.bucket.delete(&marker_key(key)).await?;
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

fn prefix(key: &ObjectKey, upload: &str) -> String {
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

async fn check_digest(path: &Path, expected: &Digest) -> io::Result<bool> {
    let path = path.to_owned();
    let digest = tokio::task::spawn_blocking(move || Digest::of_reader(File::open(path)?));
    Ok(digest.await.map_err(io::Error::other)?? == *expected)
}

/// Whether a file that was fetched before is still there: it was checked then.
fn is_here(path: &Path, entry: &FileEntry) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == entry.size_bytes)
}

fn make_folder(path: &Path) -> Result<(), StorageError> {
    let made = fs::create_dir_all(path);
    made.map_err(|error| io_error("make", &path.display().to_string(), error))
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

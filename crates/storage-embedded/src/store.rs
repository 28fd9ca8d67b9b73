use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use llmopt_domain::{Digest, ObjectKey};
use llmopt_storage::{FolderStore, StagedFolder, StorageError, Wanted};

use crate::{
    disk::Disk,
    error::{Failure, io_error},
    record::{RECORD, Record, digests},
    staging::Staging,
};

/// So many entries are looked through by whoever asks for them: to have another thread do it, and to be told, takes
/// longer.
const FEW: usize = 32;

/// A [`FolderStore`] below one folder, for any number of processes of one machine.
#[derive(Clone)]
pub struct FileFolderStore {
    folders: Arc<Folders>,
}

impl FileFolderStore {
    /// Opens the store at `root`, which is made if it does not exist, and removes what processes
    /// that died left staged or half deleted.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`] or [`StorageError::Internal`],
    /// naming `root`.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        Self::open_on(Disk::default(), root)
    }

    fn open_on(disk: Disk, root: &Path) -> Result<Self, StorageError> {
        let staging = Staging::open(root, disk.clone());
        let staging = staging.map_err(io_error("open", &root.display().to_string()))?;
        let folders = Arc::new(Folders {
            root: root.to_owned(),
            staging,
            disk,
        });
        Ok(Self { folders })
    }

    /// Runs blocking work on the folders where it does not hold up other tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        subject: &str,
        work: impl FnOnce(&Folders) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let folders = Arc::clone(&self.folders);
        match tokio::task::spawn_blocking(move || work(&folders)).await {
            Ok(result) => result,
            Err(error) => Err(io_error(operation, subject)(io::Error::other(error))),
        }
    }
}

#[async_trait]
impl FolderStore for FileFolderStore {
    async fn stage(&self) -> Result<StagedFolder, StorageError> {
        let root = self.folders.root.display().to_string();
        let failed = io_error("stage a folder in", &root);
        self.blocking("stage a folder in", &root, |folders| {
            folders.stage().map_err(failed)
        })
        .await
    }

    async fn publish(&self, staged: &Path, key: &ObjectKey) -> Result<(), StorageError> {
        let (staged, owned) = (staged.to_owned(), key.clone());
        self.blocking("publish", key.as_str(), move |folders| {
            let published = folders.publish(&staged, &owned);
            published.map_err(|failure| failure.at("publish", &owned))
        })
        .await
    }

    // Every file is here: a part is as good as the whole.
    async fn open_part(&self, key: &ObjectKey, _: Wanted) -> Result<PathBuf, StorageError> {
        let owned = key.clone();
        self.blocking("open", key.as_str(), move |folders| folders.open(&owned))
            .await
    }

    async fn digests(&self, key: &ObjectKey) -> Result<BTreeMap<String, Digest>, StorageError> {
        let owned = key.clone();
        self.blocking("read", key.as_str(), move |folders| {
            let path = folders.open(&owned)?;
            digests(&path).map_err(|failure| failure.at("read", &owned))
        })
        .await
    }

    async fn list_below(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let failed = io_error("list", parent.as_str());
        if let Some(keys) = self.folders.list_below(parent, FEW).map_err(failed)? {
            return Ok(keys);
        }
        let owned = parent.clone();
        self.blocking("list", parent.as_str(), move |folders| {
            let keys = folders.list_below(&owned, usize::MAX);
            let keys = keys.map_err(io_error("list", owned.as_str()))?;
            Ok(keys.unwrap_or_default())
        })
        .await
    }

    async fn list(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError> {
        let owned = parent.clone();
        self.blocking("list", parent.as_str(), move |folders| {
            folders
                .list(&owned)
                .map_err(io_error("list", owned.as_str()))
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let owned = key.clone();
        self.blocking("delete", key.as_str(), move |folders| {
            folders
                .delete(&owned)
                .map_err(io_error("delete", owned.as_str()))
        })
        .await
    }
}

/// The folders below a root, without the async.
struct Folders {
    root: PathBuf,
    staging: Staging,
    disk: Disk,
}

impl Folders {
    fn stage(&self) -> io::Result<StagedFolder> {
        let slot = self.staging.slot()?;
        let path = slot.folder();
        self.disk.create_dir(&path)?;
        Ok(StagedFolder::new(path, slot))
    }

    fn publish(&self, staged: &Path, key: &ObjectKey) -> Result<(), Failure> {
        if self.is_taken(key)? {
            return Err(Failure::Taken);
        }
        let json = Record::of_folder(staged)?.to_json()?;
        let record = staged.join(RECORD);
        // A staged copy of a published folder brings its record along.
        let previous = match fs::read(&record) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let published = self
            .disk
            .write(&record, &json)
            .and_then(|()| self.sync_all(staged))
            .map_err(Failure::from)
            .and_then(|()| self.move_to(staged, key));
        if published.is_err() {
            self.put_back(&record, previous.as_deref());
        }
        published
    }

    /// Renames the synced folder `staged` to `key` and makes that durable.
    fn move_to(&self, staged: &Path, key: &ObjectKey) -> Result<(), Failure> {
        let _guard = self.staging.lock()?;
        if self.is_taken(key)? {
            return Err(Failure::Taken);
        }
        let path = self.path(key);
        let parent = path.parent().unwrap_or(&self.root);
        self.make_folders(parent)?;
        self.remove_hollow(&path)?;
        match self.disk.rename(staged, &path) {
            // Someone who does not know the store's lock was faster.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(Failure::Taken);
            }
            other => other?,
        }
        if let Err(error) = self.disk.sync(parent) {
            self.disk.rename(&path, staged)?;
            return Err(error.into());
        }
        Ok(())
    }

    fn open(&self, key: &ObjectKey) -> Result<PathBuf, StorageError> {
        let missing = || StorageError::NotFound { key: key.clone() };
        let is_published = || {
            let published = self.is_published(key);
            published.map_err(io_error("open", key.as_str()))
        };
        if !is_published()? {
            return Err(missing());
        }
        let path = self.path(key);
        match Record::check(&path) {
            Ok(()) => Ok(path),
            // Deleted since, which is no damage.
            Err(_) if !is_published()? => Err(missing()),
            Err(failure) => Err(failure.at("open", key)),
        }
    }

    fn list(&self, parent: &ObjectKey) -> io::Result<Vec<ObjectKey>> {
        let mut keys = self.children(parent, usize::MAX)?;
        keys.retain(|(_, is_published)| *is_published);
        Ok(keys.into_iter().map(|(key, _)| key).collect())
    }

    /// Returns what is published below `parent`; `None` if more than `most` entries are to be looked through for that.
    fn list_below(&self, parent: &ObjectKey, most: usize) -> io::Result<Option<Vec<ObjectKey>>> {
        let (mut keys, mut places, mut left) = (Vec::new(), vec![parent.clone()], most);
        while let Some(place) = places.pop() {
            let children = self.children(&place, left.saturating_add(1))?;
            let Some(fewer) = left.checked_sub(children.len()) else {
                return Ok(None);
            };
            left = fewer;
            for (key, is_published) in children {
                if is_published {
                    keys.push(key)
                } else {
                    places.push(key)
                }
            }
        }
        keys.sort();
        Ok(Some(keys))
    }

    /// Returns the keys directly below `parent`, sorted by name, and whether they are published; any `most` of them
    /// where there are more.
    fn children(&self, parent: &ObjectKey, most: usize) -> io::Result<Vec<(ObjectKey, bool)>> {
        if self.is_within_published(parent)? {
            return Ok(Vec::new());
        }
        let entries = match fs::read_dir(self.path(parent)) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            other => other?,
        };
        let mut keys = Vec::new();
        for entry in entries.take(most) {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(child) = name.to_str().and_then(|name| parent.child(name)) {
                keys.push((child, has_record(&entry.path())?));
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn delete(&self, key: &ObjectKey) -> io::Result<()> {
        if !self.is_published(key)? {
            return Ok(());
        }
        let slot = self.staging.slot()?;
        let guard = self.staging.lock()?;
        if self.is_published(key)? {
            let path = self.path(key);
            self.disk.rename(&path, &slot.folder())?;
            self.disk.sync(path.parent().unwrap_or(&self.root))?;
        }
        drop(guard);
        slot.remove()
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn is_published(&self, key: &ObjectKey) -> io::Result<bool> {
        Ok(has_record(&self.path(key))? && !self.is_below_published(key)?)
    }

    fn is_within_published(&self, key: &ObjectKey) -> io::Result<bool> {
        Ok(has_record(&self.path(key))? || self.is_below_published(key)?)
    }

    fn is_below_published(&self, key: &ObjectKey) -> io::Result<bool> {
        let ancestors = Path::new(key.as_str()).ancestors().skip(1);
        for ancestor in ancestors.filter(|ancestor| !ancestor.as_os_str().is_empty()) {
            if has_record(&self.root.join(ancestor))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether `key` is published, within a published one, or a place that holds files.
    fn is_taken(&self, key: &ObjectKey) -> io::Result<bool> {
        Ok(self.is_within_published(key)? || holds_files(&self.path(key))?)
    }

    /// Makes `path` and the folders above it, each one durable.
    fn make_folders(&self, path: &Path) -> Result<(), Failure> {
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        for folder in missing.into_iter().rev() {
            match self.disk.create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if is_absent(&error) => return Err(Failure::Taken),
                other => other?,
            }
            self.disk.sync(folder.parent().unwrap_or(&self.root))?;
        }
        Ok(())
    }

    /// Removes `path` where it is a folder of empty folders: children that are gone left it.
    fn remove_hollow(&self, path: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        for entry in entries {
            self.remove_hollow(&entry?.path())?;
        }
        self.disk.remove_empty_dir(path)
    }

    /// Syncs a folder and everything in it, what is inside first.
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.sync_all(&entry.path())?;
            } else {
                self.disk.sync(&entry.path())?;
            }
        }
        self.disk.sync(path)
    }

    fn put_back(&self, record: &Path, previous: Option<&[u8]>) {
        // The caller learns the first error; the record is in the way of nothing where this fails too.
        let _ = match previous {
            Some(content) => self.disk.write(record, content),
            None => self.disk.remove_file(record),
        };
    }
}

fn has_record(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path.join(RECORD)) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether an error means that there is no such folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Returns whether `path` is a file, below a file, or a folder with a file anywhere in it.
fn holds_files(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(true),
        other => other?,
    };
    for entry in entries {
        if holds_files(&entry?.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;

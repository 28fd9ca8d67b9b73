use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::disk::Disk;

/// The folder below the root; no key begins with a dot.
const STAGING: &str = ".staging";
const LOCK: &str = "lock";

/// Where folders are before they are published and after they are deleted.
#[derive(Clone)]
pub(crate) struct Staging {
    folder: PathBuf,
    disk: Disk,
}

/// Keeps other threads and processes from changing the store's entries until it is dropped.
pub(crate) struct StoreLock {
    _file: File,
}

/// A place for one folder, which lasts as long as this process holds it.
pub(crate) struct Slot {
    path: PathBuf,
    staging: Staging,
    // Held until the slot is gone: a slot whose lock is free belongs to a process that died. A lock,
    // unlike a process id, cannot come to mean another process.
    _lock: File,
}

impl Staging {
    /// Opens the staging area of the store at `root` and removes what dead processes left in it.
    pub(crate) fn open(root: &Path, disk: Disk) -> io::Result<Self> {
        let folder = root.join(STAGING);
        fs::create_dir_all(&folder)?;
        let staging = Self { folder, disk };
        staging.sweep()?;
        Ok(staging)
    }

    /// Waits until no one else changes entries.
    pub(crate) fn lock(&self) -> io::Result<StoreLock> {
        let path = self.folder.join(LOCK);
        let file = File::options().create(true).append(true).open(path)?;
        file.lock()?;
        Ok(StoreLock { _file: file })
    }

    /// Makes a place for a folder that is not there yet.
    pub(crate) fn slot(&self) -> io::Result<Slot> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // The clock tells apart processes that get the same id, as in containers.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self
            .folder
            .join(format!("{}-{}-{count}", process::id(), now.as_nanos()));
        // Without the store's lock, a sweep could find the slot before it is locked.
        let _guard = self.lock()?;
        self.disk.create_dir(&path)?;
        let lock = self.disk.create_file(&path.join(LOCK))?;
        lock.lock()?;
        Ok(Slot {
            path,
            staging: self.clone(),
            _lock: lock,
        })
    }

    fn sweep(&self) -> io::Result<()> {
        let _guard = self.lock()?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && is_abandoned(&entry.path())? {
                self.disk.remove_dir_all(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_abandoned(slot: &Path) -> io::Result<bool> {
    let lock = match File::open(slot.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Slot {
    /// Returns where the folder goes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.path.join("folder")
    }

    /// Removes the slot with what is in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let disk = &self.staging.disk;
        let folder = self.folder();
        if folder.exists() {
            // Taken away at once: a publish whose caller gave up meanwhile then finds nothing to
            // rename, instead of a folder that is half removed.
            let _guard = self.staging.lock()?;
            let aside = self.path.join("removed");
            match disk.rename(&folder, &aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        disk.remove_dir_all(&self.path)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // What cannot be removed now is swept when the store is next opened.
        let _ = self.remove();
    }
}

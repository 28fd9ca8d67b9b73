use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use llmopt_storage::StagedFolder;

const LOCK: &str = "lock";

/// The folder of this machine in which folders are staged, and to which they are fetched.
///
/// What is staged lies in a folder that the process holds a lock on: one whose lock is free belongs to a
/// process that died, and is removed.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: PathBuf,
    own: Arc<Own>,
}

/// What this process stages; removed with the last who uses it.
#[derive(Debug)]
struct Own {
    path: PathBuf,
    count: AtomicU64,
    _lock: File,
}

/// Removes a staged folder when it is dropped.
struct Slot {
    path: PathBuf,
    _own: Arc<Own>,
}

impl Place {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let staging = root.join("staging");
        fs::create_dir_all(&staging)?;
        // Without it, another could find what is made below before it is locked.
        let guard = File::options()
            .create(true)
            .append(true)
            .open(staging.join(LOCK))?;
        guard.lock()?;
        sweep(&staging)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let path = staging.join(format!(
            "{}-{}-{}",
            process::id(),
            since.unwrap_or_default().as_nanos(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir(&path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        let own = Own {
            path,
            count: AtomicU64::new(0),
            _lock: lock,
        };
        Ok(Self {
            root: root.to_owned(),
            own: Arc::new(own),
        })
    }

    pub(crate) fn stage(&self) -> io::Result<StagedFolder> {
        let path = self.next();
        fs::create_dir(&path)?;
        let slot = Slot {
            path: path.clone(),
            _own: Arc::clone(&self.own),
        };
        Ok(StagedFolder::new(path, slot))
    }

    /// Returns a path of this process where nothing is yet.
    pub(crate) fn next(&self) -> PathBuf {
        let number = self.own.count.fetch_add(1, Ordering::Relaxed);
        self.own.path.join(number.to_string())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

fn sweep(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let is_abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            },
            // Its removal was cut off.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if is_abandoned {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

impl Drop for Own {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next who opens the place.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_processes_staged_is_swept_and_what_is_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::open(root.path()).unwrap();
        let staged = place.stage().unwrap();
        let dead = root.path().join("staging/dead");
        let half_removed = root.path().join("staging/half-removed");
        for folder in [&dead, &half_removed] {
            fs::create_dir_all(folder.join("0")).unwrap();
        }
        File::create(dead.join(LOCK)).unwrap();
        drop(Place::open(root.path()).unwrap());
        assert!(!dead.exists() && !half_removed.exists());
        assert!(staged.path().exists(), "a folder in use was swept");
        let path = staged.path().to_owned();
        drop((staged, place));
        assert!(!path.exists());
    }
}

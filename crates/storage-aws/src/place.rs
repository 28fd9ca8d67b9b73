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
        sweep(&staging)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let path = staging.join(format!(
            "{}-{}-{}",
            process::id(),
            since.unwrap_or_default().as_nanos(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        // Locked before anyone can find it by its name.
        let aside = root.join(format!(
            ".{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        fs::create_dir(&aside)?;
        let lock = File::create(aside.join(LOCK))?;
        lock.lock()?;
        fs::rename(&aside, &path)?;
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

    /// Returns where the files of an upload are fetched to.
    pub(crate) fn fetched(&self, upload: &str) -> PathBuf {
        self.root.join("fetched").join(upload)
    }

    /// Removes what was fetched, but for one upload; who has a file of it open or mapped keeps it.
    pub(crate) fn make_room(&self, but: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("fetched"))? {
            let entry = entry?;
            if entry.file_name() != but {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn sweep(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        let is_abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            },
            // Another removes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
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

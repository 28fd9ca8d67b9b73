use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Every change to the file system goes through here, one call a change, so that tests can stop at
/// any of them.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) fault: Option<std::sync::Arc<fault::Fault>>,
}

impl Disk {
    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.change("create", path, || fs::create_dir(path))
    }

    pub(crate) fn create_file(&self, path: &Path) -> io::Result<File> {
        self.change("create", path, || File::create(path))
    }

    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.change("write", path, || fs::write(path, content))
    }

    /// Makes a file's content, or a folder's entries, survive a loss of power.
    pub(crate) fn sync(&self, path: &Path) -> io::Result<()> {
        self.change("sync", path, || File::open(path)?.sync_all())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", to, || fs::rename(from, to))
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change("remove", path, || fs::remove_file(path))
    }

    pub(crate) fn remove_empty_dir(&self, path: &Path) -> io::Result<()> {
        self.change("remove", path, || fs::remove_dir(path))
    }

    /// Removes a folder with everything in it; that it is gone already is fine.
    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change("remove", path, || match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    fn change<T>(
        &self,
        operation: &str,
        path: &Path,
        change: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        #[cfg(test)]
        if let Some(fault) = &self.fault {
            fault.check(operation, path)?;
        }
        #[cfg(not(test))]
        let _ = (operation, path);
        change()
    }
}

#[cfg(test)]
pub(crate) mod fault {
    use std::{
        io,
        path::{Path, PathBuf},
        sync::{Arc, Mutex},
    };

    use super::Disk;

    /// Which changes fail.
    #[derive(Clone, Copy)]
    pub(crate) enum Failing {
        /// None: they are only logged.
        Nothing,
        /// This one and all after it, as when the process dies.
        From(u64),
        /// This one, for lack of space.
        FullAt(u64),
    }

    /// A log of changes that makes some of them fail.
    pub(crate) struct Fault {
        failing: Failing,
        log: Mutex<Vec<(String, PathBuf)>>,
    }

    impl Fault {
        pub(crate) fn disk(failing: Failing) -> (Disk, Arc<Self>) {
            let fault = Arc::new(Self {
                failing,
                log: Mutex::default(),
            });
            let disk = Disk {
                fault: Some(Arc::clone(&fault)),
            };
            (disk, fault)
        }

        pub(crate) fn log(&self) -> Vec<(String, PathBuf)> {
            self.log.lock().unwrap().clone()
        }

        pub(crate) fn check(&self, operation: &str, path: &Path) -> io::Result<()> {
            let mut log = self.log.lock().unwrap();
            let number = log.len() as u64;
            log.push((operation.to_owned(), path.to_owned()));
            match self.failing {
                Failing::From(first) if number >= first => {
                    Err(io::Error::other("the process died"))
                }
                Failing::FullAt(full) if number == full => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
    }
}

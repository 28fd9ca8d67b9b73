use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::place::Place;

/// The uploads that were fetched to this machine, or parts of them.
///
/// Whose files are open or mapped keeps them when they are removed here.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    place: Place,
    held: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// Keeps an upload from being removed by this process until it is dropped.
pub(crate) struct Held {
    pub(crate) folder: PathBuf,
    upload: String,
    held: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// A fetched upload.
struct Entry {
    path: PathBuf,
    used: SystemTime,
    size_bytes: u64,
}

impl Cache {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            held: Arc::default(),
        }
    }

    /// Makes a folder for an upload, or finds it, and notes that it is used now.
    pub(crate) fn hold(&self, upload: &str) -> io::Result<Held> {
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held().entry(upload.to_owned()).or_default() += 1;
        let kept = Held {
            folder: self.root().join(upload),
            upload: upload.to_owned(),
            held: Arc::clone(&self.held),
        };
        fs::create_dir_all(&kept.folder)?;
        File::open(&kept.folder)?.set_modified(SystemTime::now())?;
        Ok(kept)
    }

    /// Removes uploads that nobody holds, those first that were not used for longest, until they had
    /// `size_bytes` together.
    pub(crate) fn make_room(&self, size_bytes: u64) -> io::Result<()> {
        let mut entries = self.entries()?;
        entries.sort_by_key(|entry| entry.used);
        let mut freed = 0;
        for entry in entries {
            if freed >= size_bytes {
                break;
            }
            if self.remove(&entry.path)? {
                freed += entry.size_bytes;
            }
        }
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.place.root().join("fetched")
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(self.root())? {
            let path = found?.path();
            // Another process may be removing it.
            let entry = fs::metadata(&path).and_then(|metadata| {
                Ok(Entry {
                    used: metadata.modified()?,
                    size_bytes: size_of(&path)?,
                    path,
                })
            });
            match entry {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                entry => entries.push(entry?),
            }
        }
        Ok(entries)
    }

    /// Whether the upload at `path` is gone.
    fn remove(&self, path: &Path) -> io::Result<bool> {
        let upload = path.file_name().unwrap_or_default().to_string_lossy();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(upload.as_ref()) {
            return Ok(false);
        }
        // Away at once: nobody finds it half removed.
        let aside = self.place.next();
        let moved = fs::rename(path, &aside);
        drop(held);
        match moved {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            moved => moved
                .and_then(|()| fs::remove_dir_all(aside))
                .map(|()| true),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.upload) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.upload);
            }
        }
    }
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut size_bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        size_bytes += if entry.file_type()?.is_dir() {
            size_of(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(size_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Puts an upload of ten bytes there that was used so many seconds ago.
    fn fetched(cache: &Cache, upload: &str, age: u64) -> Held {
        let held = cache.hold(upload).unwrap();
        fs::create_dir_all(held.folder.join("inner")).unwrap();
        fs::write(held.folder.join("inner/file"), [0; 10]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age);
        let folder = File::open(&held.folder).unwrap();
        folder.set_modified(used).unwrap();
        held
    }

    fn uploads(cache: &Cache) -> Vec<String> {
        let entries = fs::read_dir(cache.root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room_and_what_is_held_stays() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(Place::open(root.path()).unwrap());
        let held = fetched(&cache, "held", 40);
        for (upload, age) in [("a", 30), ("b", 20), ("c", 10)] {
            drop(fetched(&cache, upload, age));
        }
        cache.make_room(0).unwrap();
        assert_eq!(uploads(&cache), ["a", "b", "c", "held"]);
        // Used again, it is the last to go.
        drop(cache.hold("a").unwrap());
        cache.make_room(15).unwrap();
        assert_eq!(uploads(&cache), ["a", "held"]);
        cache.make_room(1_000).unwrap();
        assert_eq!(uploads(&cache), ["held"]);
        drop(held);
        cache.make_room(1).unwrap();
        assert_eq!(uploads(&cache), [""; 0]);
    }
}

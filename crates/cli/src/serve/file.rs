use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const NAME: &str = "server.json";
/// How often, and at what distance, it is looked whether another server ends.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Says which server runs on a data directory: the one that holds its lock, which ends with the server,
/// however that ends. Without the lock the file says nothing; it is never removed, because another may
/// be about to lock it.
pub(crate) struct ServerFile {
    _locked: File,
}

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) url: String,
}

impl ServerFile {
    /// Makes this process the server of the data directory.
    pub(crate) fn claim(data_dir: &Path, url: &str) -> Result<Self, Failure> {
        let path = data_dir.join(NAME);
        fs::create_dir_all(data_dir).map_err(failed(data_dir))?;
        let open = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let mut file = open.map_err(failed(&path))?;
        if stays_taken(&file).map_err(failed(&path))? {
            let running = read(&mut file);
            let place = running.map_or_else(|_| String::new(), |it| format!(": {}", it.url));
            return Err(Failure::failed(format!(
                "a server runs on `{}` already{place}",
                data_dir.display()
            ))
            .next("end it with `llmopt stop`, or choose another `--data-dir`"));
        }
        let running = Running {
            pid: std::process::id(),
            url: url.to_owned(),
        };
        write(&mut file, &running).map_err(failed(&path))?;
        Ok(Self { _locked: file })
    }

    /// Returns the server that runs on the data directory, if one does.
    pub(crate) fn running(data_dir: &Path) -> Result<Option<Running>, Failure> {
        let path = data_dir.join(NAME);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed(&path))?,
        };
        // Shared: two who look are not in each other's way.
        if !taken(file.try_lock_shared()).map_err(failed(&path))? {
            return Ok(None);
        }
        read(&mut file).map(Some).map_err(failed(&path))
    }
}

/// Takes the lock, or finds that another keeps it. A process that a dead server was just starting has
/// the lock, too, until it has begun.
fn stays_taken(file: &File) -> io::Result<bool> {
    for _ in 0..LOOKS {
        if !taken(file.try_lock())? {
            return Ok(false);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    taken(file.try_lock())
}

/// Returns whether another has the lock.
fn taken(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(file: &mut File) -> io::Result<Running> {
    let mut json = String::new();
    file.read_to_string(&mut json)?;
    Ok(serde_json::from_str(&json)?)
}

fn write(file: &mut File, running: &Running) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(running)?)?;
    file.flush()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| Failure::failed(format!("failed to use `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time_has_a_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ServerFile::running(folder.path()).unwrap(), None);
        let file = ServerFile::claim(folder.path(), "http://here").unwrap();
        let running = ServerFile::running(folder.path()).unwrap().unwrap();
        assert_eq!(running.url, "http://here");
        assert_eq!(running.pid, std::process::id());
        let refused = ServerFile::claim(folder.path(), "http://there");
        assert!(refused.err().unwrap().to_string().contains("http://here"));
        drop(file);
        assert_eq!(ServerFile::running(folder.path()).unwrap(), None);
        ServerFile::claim(folder.path(), "http://there").unwrap();
    }
}

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::guarded::forgive_the_libraries;

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().unwrap();
}

/// Does `work` in a folder of this thread that has these files and no others.
pub(crate) fn with_files<T>(files: &[(&str, &[u8])], work: impl FnOnce(&Path) -> T) -> T {
    forgive_the_libraries();
    FOLDER.with(|folder| {
        let folder = folder.path();
        empty(folder);
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        work(folder)
    })
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempDir};

use super::{FilesError, PreparedFormat, manifest::MANIFEST};

/// The stream of rows in a folder that `datasets` opens, as it names it itself.
pub(super) const ARROW_FILE: &str = "data-00000-of-00001.arrow";
/// The rows in a folder of Parquet.
pub(super) const PARQUET_FILE: &str = "data.parquet";

/// What temporary names begin with.
const PREFIX: &str = ".preparing-";

/// What happens where something is in the place of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is written.
    #[default]
    Keep,
    /// It is replaced if it is a prepared dataset.
    Replace,
}

/// A place for files under a temporary name, gone with the value unless it is kept.
pub(crate) enum Staged {
    /// A folder of files.
    Folder(TempDir),
    /// One file alone.
    File(NamedTempFile),
}

impl Staged {
    /// Makes a place beside `output`, on whose disk it is. It is one file where that is called so.
    pub(crate) fn beside(output: &Path, format: PreparedFormat) -> Result<Self, FilesError> {
        if !is_file_name(output) || format != PreparedFormat::Parquet {
            return Self::folder_beside(output);
        }
        let file = made_parent(output).and_then(|parent| {
            // What a new file is not for, the system takes off.
            let all = fs::Permissions::from_mode(0o666);
            tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(all)
                .tempfile_in(parent)
        });
        file.map(Self::File)
            .map_err(|error| FilesError::write(output, error))
    }

    /// Makes a place for a folder.
    pub(crate) fn folder_beside(output: &Path) -> Result<Self, FilesError> {
        let folder = made_parent(output).and_then(|parent| {
            let all = fs::Permissions::from_mode(0o777);
            tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(all)
                .tempdir_in(parent)
        });
        folder
            .map(Self::Folder)
            .map_err(|error| FilesError::write(output, error))
    }

    /// Returns where the rows go.
    pub(super) fn rows(&self, format: PreparedFormat) -> PathBuf {
        match (self, format) {
            (Self::File(file), _) => file.path().to_owned(),
            (Self::Folder(folder), PreparedFormat::Arrow) => folder.path().join(ARROW_FILE),
            (Self::Folder(folder), PreparedFormat::Parquet) => folder.path().join(PARQUET_FILE),
        }
    }

    /// Returns the folder, where it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder.path()),
            Self::File(_) => None,
        }
    }

    /// Gives what is whole its name.
    pub(crate) fn publish(self, output: &Path, existing: Existing) -> Result<(), FilesError> {
        check_free(output, existing)?;
        match self {
            Self::File(file) => publish_file(file, output, existing),
            Self::Folder(folder) => publish_folder(folder, output),
        }
    }
}

fn publish_file(file: NamedTempFile, output: &Path, existing: Existing) -> Result<(), FilesError> {
    let kept = match existing {
        Existing::Keep => file.persist_noclobber(output),
        Existing::Replace => file.persist(output),
    };
    match kept {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(output)),
        Err(error) => Err(FilesError::write(output, error.error)),
    }
}

/// Gives a folder its name. One that was there is moved away first, and removed when the new one is in its place.
fn publish_folder(folder: TempDir, output: &Path) -> Result<(), FilesError> {
    let failed = |error| FilesError::write(output, error);
    let old = match output.symlink_metadata() {
        Ok(_) => Some(move_away(output).map_err(failed)?),
        Err(_) => None,
    };
    if let Err(error) = fs::rename(folder.path(), output) {
        if let Some(old) = old {
            // There is nothing better to do where even that fails, and the first error says more.
            let _ = fs::rename(old.path().join("old"), output);
        }
        return Err(match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => exists(output),
            _ => failed(error),
        });
    }
    // It has another name, under which nothing is removed.
    let _ = folder.keep();
    Ok(())
}

fn move_away(output: &Path) -> io::Result<TempDir> {
    let old = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent(output))?;
    fs::rename(output, old.path().join("old"))?;
    Ok(old)
}

/// Refuses a place where something is that is not to be replaced.
pub(crate) fn check_free(output: &Path, existing: Existing) -> Result<(), FilesError> {
    let Ok(found) = output.symlink_metadata() else {
        return Ok(());
    };
    let is_ours = match found.is_dir() {
        true => output.join(MANIFEST).is_file() || is_empty(output),
        false => is_file_name(output),
    };
    match existing {
        Existing::Keep => Err(exists(output)),
        Existing::Replace if !is_ours => Err(FilesError::NotPrepared {
            path: output.to_owned(),
        }),
        Existing::Replace => Ok(()),
    }
}

fn exists(output: &Path) -> FilesError {
    FilesError::Exists {
        path: output.to_owned(),
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Tells whether a path is that of one Parquet file.
fn is_file_name(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "parquet")
}

fn made_parent(path: &Path) -> io::Result<&Path> {
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    Ok(parent)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

use std::{
    fs,
    path::{Path, PathBuf},
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Whether CUDA was loaded. Where it was not, the CPU goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cuda {
    /// Whether there is a GPU can be asked now.
    Loaded,
    /// The libtorch in use has no CUDA part.
    NotInstalled,
    /// It has one that does not load: the loader's message.
    Broken(String),
}

/// Makes CUDA available where libtorch's CUDA library and its dependencies are installed.
///
/// The binary links only the CPU part of libtorch, so that it starts everywhere. The CUDA part
/// registers itself when loaded; it must come from the same folder as the CPU part in use, and
/// before the first question about CUDA, whose answer is cached.
pub fn load_cuda() -> Cuda {
    let folder = folder_of_loaded("libtorch_cpu.so");
    let path = folder.map(|folder| folder.join("libtorch_cuda.so"));
    match path {
        Some(path) if path.exists() => match load(&path) {
            Ok(()) => Cuda::Loaded,
            Err(message) => Cuda::Broken(message),
        },
        _ => Cuda::NotInstalled,
    }
}

fn load(path: &Path) -> Result<(), String> {
    // SAFETY: the library is libtorch's own, of the very install whose CPU part is already loaded;
    // its initialisers only register kernels, which is their purpose.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|error| error.to_string())?;
    // The registered kernels point into the library: it must stay loaded as long as the process.
    std::mem::forget(library);
    Ok(())
}

/// Returns the folder from which the shared object called `name` was mapped into this process.
fn folder_of_loaded(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    path.into_iter()
        .find(|path| path.file_name().is_some_and(|file| file == name))
        .and_then(|path| path.parent().map(PathBuf::from))
}

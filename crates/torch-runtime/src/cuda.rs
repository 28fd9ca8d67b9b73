use std::{fs, path::PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Makes CUDA available where libtorch's CUDA library and its dependencies are installed.
///
/// The binary links only the CPU part of libtorch, so that it starts everywhere. The CUDA part
/// registers itself when loaded; it must come from the same folder as the CPU part in use, and
/// before the first question about CUDA, whose answer is cached. Returns why it was not loaded.
///
/// # Errors
/// The loader's message, where the library or something it needs is absent: CPU goes on.
pub fn load_cuda() -> Result<(), String> {
    let folder = folder_of_loaded("libtorch_cpu.so").ok_or("libtorch_cpu.so is not loaded")?;
    let path = folder.join("libtorch_cuda.so");
    if !path.exists() {
        return Err(format!("no `{}`", path.display()));
    }
    // SAFETY: the library is libtorch's own, of the very install whose CPU part is already loaded;
    // its initialisers only register kernels, which is their purpose.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) }
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

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file of a model folder could not be read, written or believed.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The file system refused.
    #[error("failed to {operation} `{}`", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A folder lacks a file that it must have.
    #[error("folder `{}` has no `{file}`; {fix}", folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
        /// What the user can do about it.
        fix: &'static str,
    },
    /// The weights are only there as pickles, which are never read because they run code.
    #[error(
        "folder `{}` has its weights only as `{found}`: expected `model.safetensors`, because a pickle can run code; convert it with `save_pretrained(..., safe_serialization=True)`",
        folder.display()
    )]
    PicklesOnly {
        /// The folder.
        folder: PathBuf,
        /// The file with a pickle.
        found: String,
    },
    /// A file is no JSON, or not of the form its name promises.
    #[error("failed to read `{}` as JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// A JSON value could not be rendered.
    #[error("failed to render `{file}` as JSON")]
    Render {
        /// The file that was to be written.
        file: &'static str,
        /// Why, such as a NaN.
        source: serde_json::Error,
    },
    /// A configuration asks for what is not supported.
    #[error("`{}`: `{field}` is `{found}`; expected {expected}", path.display())]
    Unsupported {
        /// The file, or what stands in for it.
        path: PathBuf,
        /// The key.
        field: String,
        /// What is supported.
        expected: String,
        /// What the key holds.
        found: String,
    },
    /// A safetensors file is damaged.
    #[error(
        "`{}` is no intact safetensors file; copy or download it again",
        path.display()
    )]
    BrokenSafetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that the configuration calls for is not there.
    #[error("`{}` has no tensor `{tensor}`, which its configuration calls for", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is there that the configuration has no place for.
    #[error(
        "`{}` has a tensor `{tensor}` that its configuration has no place for; check that configuration and weights belong together",
        path.display()
    )]
    UnexpectedTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape than the configuration calls for.
    #[error("tensor `{tensor}` of `{}` has shape {found:?}; expected {expected:?}", path.display())]
    Shape {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the configuration calls for.
        expected: Vec<usize>,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A tensor has a type that is not supported.
    #[error(
        "tensor `{tensor}` of `{}` is of type `{found}`; expected `F32`, `F16` or `BF16`",
        path.display()
    )]
    UnsupportedDtype {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The type.
        found: safetensors::Dtype,
    },
    /// A tensor handed over for writing is not what the file was laid out for.
    #[error("tensor `{tensor}` cannot be written to `{}`: {problem}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What does not fit.
        problem: String,
    },
    /// A folder differs from its manifest.
    #[error("`{}`: {problem}; the folder was changed or damaged after it was published", path.display())]
    Tampered {
        /// The file that differs.
        path: PathBuf,
        /// How it differs.
        problem: String,
    },
    /// A file or folder is already there and is not overwritten.
    #[error("`{}` exists already; choose another folder or remove it", path.display())]
    AlreadyExists {
        /// What is there.
        path: PathBuf,
    },
}

impl ArtifactError {
    /// Returns a function that wraps an I/O error of `operation` on `path`.
    pub(crate) fn io(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

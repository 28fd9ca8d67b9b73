use std::path::{Path, PathBuf};

use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo},
};

use crate::{ArtifactError, MappedFile};

/// A tensor that lies in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, slowest first.
    pub shape: &'a [usize],
    /// Its elements, little-endian and contiguous. Not necessarily aligned for their type.
    pub bytes: &'a [u8],
}

/// An open safetensors file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: MappedFile,
    /// Where the tensors begin.
    start: usize,
    header: Metadata,
}

impl TensorFile {
    /// Maps the file and checks its header: every tensor lies within the file, none overlap.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] or [`ArtifactError::BrokenSafetensors`].
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let bytes = MappedFile::open(path)?;
        let (length, header) = SafeTensors::read_metadata(&bytes).map_err(|source| {
            ArtifactError::BrokenSafetensors {
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            start: size_of::<u64>() + length,
            bytes,
            header,
        })
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of all tensors, in the order in which they lie in the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Returns what the header's metadata says of `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        Some(self.header.metadata().as_ref()?.get(key)?)
    }

    /// Returns the tensor called exactly `name`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>, ArtifactError> {
        let info = self.info(name)?;
        let (from, to) = info.data_offsets;
        Ok(TensorView {
            dtype: info.dtype,
            shape: &info.shape,
            bytes: &self.bytes[self.start + from..self.start + to],
        })
    }

    /// Drops the tensor's resident pages; see [`MappedFile::discard_range`].
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`].
    pub fn discard(&self, name: &str) -> Result<(), ArtifactError> {
        let (from, to) = self.info(name)?.data_offsets;
        self.bytes.discard_range(self.start + from..self.start + to);
        Ok(())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, ArtifactError> {
        self.header
            .info(name)
            .ok_or_else(|| ArtifactError::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            })
    }
}

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    GgufError,
    metadata::{Metadata, put_string, put_u32, put_u64},
    tensor::Tensor,
};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Tensors begin at multiples of this; a file that says nothing of it has this alignment.
const ALIGNMENT: usize = 32;

/// Writes a GGUF file tensor by tensor, under another name until it is whole.
#[derive(Debug)]
pub(crate) struct GgufWriter {
    output: PathBuf,
    staged: Staged,
    out: BufWriter<File>,
}

impl GgufWriter {
    /// Creates the file with everything that comes before the tensors' bytes.
    ///
    /// # Errors
    /// [`GgufError::Io`].
    pub(crate) fn create(
        output: &Path,
        metadata: &Metadata,
        tensors: &[Tensor<'_>],
    ) -> Result<Self, GgufError> {
        let staged = Staged::beside(output);
        let file = File::create(&staged.0).map_err(GgufError::io("create", &staged.0))?;
        let mut writer = Self {
            output: output.to_owned(),
            staged,
            out: BufWriter::new(file),
        };
        writer.put(&header(metadata, tensors))?;
        Ok(writer)
    }

    /// Writes the next tensor's bytes, and zeros up to where the one after it begins.
    ///
    /// # Errors
    /// [`GgufError::Io`], and those of [`Tensor::encode`].
    pub(crate) fn write(&mut self, tensor: &Tensor<'_>) -> Result<(), GgufError> {
        tensor.encode(|bytes| self.put(bytes))?;
        let size = tensor.size_bytes();
        self.put(&[0; ALIGNMENT][..size.next_multiple_of(ALIGNMENT) - size])
    }

    /// Waits until the file is on disk and gives it its name.
    ///
    /// # Errors
    /// [`GgufError::Io`].
    pub(crate) fn finish(mut self) -> Result<(), GgufError> {
        let mut publish = || -> io::Result<()> {
            self.out.flush()?;
            self.out.get_ref().sync_all()?;
            fs::rename(&self.staged.0, &self.output)?;
            File::open(folder_of(&self.output))?.sync_all()
        };
        publish().map_err(GgufError::io("write", &self.output))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), GgufError> {
        let written = self.out.write_all(bytes);
        written.map_err(GgufError::io("write", &self.staged.0))
    }
}

/// A file that is not whole yet, and is removed unless it was renamed.
#[derive(Debug)]
struct Staged(PathBuf);

impl Staged {
    /// Makes a name in the folder of `output` that no other writer has.
    fn beside(output: &Path) -> Self {
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let mut name = OsString::from(".");
        name.push(output.file_name().unwrap_or_default());
        name.push(format!(".{}-{writer}.partial", process::id()));
        Self(output.with_file_name(name))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing to remove, and after a failure its error is the one to tell.
        let _ = fs::remove_file(&self.0);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Renders all that comes before the tensors' bytes: counts, metadata, and what each tensor is.
fn header(metadata: &Metadata, tensors: &[Tensor<'_>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put_u32(&mut bytes, VERSION);
    put_u64(&mut bytes, tensors.len() as u64);
    put_u64(&mut bytes, metadata.len() as u64);
    metadata.encode(&mut bytes);
    let mut offset = 0;
    for tensor in tensors {
        let dimensions = tensor.dimensions();
        put_string(&mut bytes, &tensor.name);
        put_u32(&mut bytes, dimensions.len() as u32);
        dimensions
            .iter()
            .for_each(|&size| put_u64(&mut bytes, size));
        put_u32(&mut bytes, tensor.element.id());
        put_u64(&mut bytes, offset as u64);
        offset += tensor.size_bytes().next_multiple_of(ALIGNMENT);
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use llmopt_artifact::{Dtype, TensorView};

    use super::*;
    use crate::{element::ElementType, tensor::Layout, testing::Gguf};

    fn tensor<'a>(name: &str, bytes: &'a [u8], shape: &'a [usize]) -> Tensor<'a> {
        Tensor {
            name: name.to_owned(),
            source: name.to_owned(),
            view: TensorView {
                dtype: Dtype::F32,
                shape,
                bytes,
            },
            layout: Layout::AsStored,
            element: ElementType::F32,
        }
    }

    fn write(output: &Path, tensors: &[Tensor<'_>]) -> Result<(), GgufError> {
        let mut metadata = Metadata::default();
        metadata.push_str("general.type", "model");
        let mut writer = GgufWriter::create(output, &metadata, tensors)?;
        for tensor in tensors {
            writer.write(tensor)?;
        }
        writer.finish()
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_begins_with_its_version_and_its_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        write(&path, &[tensor("t", &[1; 12], &[1, 3])]).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[..8], *b"GGUF\x03\0\0\0");
        assert_eq!(bytes[8..24], *b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0");
        // 24 bytes, 37 of metadata: then name, number of dimensions, dimensions, type and offset.
        let info = b"\x01\0\0\0\0\0\0\0t\x02\0\0\0\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(bytes[61..102], *info);
        // Zeros up to a multiple of 32, the tensor, and zeros again.
        assert_eq!(bytes[102..128], [0; 26]);
        assert_eq!(bytes[128..140], [1; 12]);
        assert_eq!(bytes[140..], [0; 20]);
    }

    #[test]
    fn every_tensor_begins_at_a_multiple_of_32() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let tensors = [
            tensor("a", &[1; 4], &[1]),
            tensor("b", &[2; 32], &[8]),
            tensor("c", &[3; 36], &[9]),
        ];
        write(&path, &tensors).unwrap();
        let read = Gguf::read(&path);
        for (tensor, stored) in tensors.iter().zip(&read.tensors) {
            assert_eq!(tensor.name, stored.name);
            assert_eq!(tensor.view.bytes, stored.bytes);
        }
    }

    #[test]
    fn a_file_that_is_there_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "old").unwrap();
        write(&path, &[]).unwrap();
        assert!(Gguf::read(&path).tensors.is_empty());
        assert_eq!(files(folder.path()), ["m.gguf"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_no_half_of_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "old").unwrap();
        let bytes = f32::NAN.to_le_bytes();
        let tensors = [tensor("good", &[0; 4], &[1]), tensor("bad", &bytes, &[1])];
        write(&path, &tensors).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(files(folder.path()), ["m.gguf"]);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/m.gguf"), &[]).unwrap_err();
        assert!(error.to_string().contains("failed to create `"), "{error}");
    }

    #[test]
    fn two_writers_of_one_file_do_not_meet() {
        let path = Path::new("m.gguf");
        assert_ne!(Staged::beside(path).0, Staged::beside(path).0);
        assert_eq!(folder_of(path), Path::new("."));
    }
}

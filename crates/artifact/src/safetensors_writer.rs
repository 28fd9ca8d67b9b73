use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::ArtifactError;

/// A tensor with its bytes, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedTensor {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Its elements, little-endian and contiguous.
    pub bytes: Vec<u8>,
}

/// A tensor that will be written, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Writes `tensors` as one safetensors file and waits until it is on disk.
///
/// The header says `"format": "pt"`, which transformers wants to see. The same tensors give the same
/// bytes, whatever their order.
///
/// # Errors
/// [`ArtifactError::Unwritable`] if a tensor's bytes do not fit its shape or two have one name, and
/// [`ArtifactError::Io`].
pub fn write_safetensors(
    path: &Path,
    tensors: impl IntoIterator<Item = OwnedTensor>,
) -> Result<(), ArtifactError> {
    let tensors: Vec<OwnedTensor> = tensors.into_iter().collect();
    let specs = tensors.iter().map(|tensor| TensorSpec {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
    });
    let mut writer = SafetensorsWriter::create(path, specs)?;
    for tensor in tensors {
        writer.write(&tensor.name, &tensor.bytes)?;
    }
    writer.finish()
}

/// Where each tensor lies, by its name.
type Places = BTreeMap<String, Range<usize>>;

/// Writes a safetensors file one tensor at a time, so that no more than one need be in memory.
#[derive(Debug)]
pub struct SafetensorsWriter {
    path: PathBuf,
    file: File,
    /// Where in the file each tensor that is still to be written lies.
    missing: Places,
}

impl SafetensorsWriter {
    /// Creates the file and lays it out for `specs`: widest type first, then by name.
    ///
    /// # Errors
    /// [`ArtifactError::Unwritable`] if two tensors have one name, and [`ArtifactError::Io`].
    pub fn create(
        path: &Path,
        specs: impl IntoIterator<Item = TensorSpec>,
    ) -> Result<Self, ArtifactError> {
        let mut specs: Vec<TensorSpec> = specs.into_iter().collect();
        specs.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        let (header, mut missing) = lay_out(path, &specs)?;
        let start = size_of::<u64>() + header.len();
        for range in missing.values_mut() {
            *range = range.start + start..range.end + start;
        }
        let mut file = File::create(path).map_err(ArtifactError::io("create", path))?;
        file.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| file.write_all(&header))
            .map_err(ArtifactError::io("write", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            missing,
        })
    }

    /// Writes the bytes of the tensor called `name`. Any order will do.
    ///
    /// # Errors
    /// [`ArtifactError::Unwritable`] if the tensor was not announced, was written already or has
    /// another size, and [`ArtifactError::Io`].
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArtifactError> {
        let Some(range) = self.missing.remove(name) else {
            let problem = "it was not announced, or was written already";
            return Err(unwritable(&self.path, name, problem));
        };
        if bytes.len() != range.len() {
            let problem = format!(
                "expected {} bytes for its shape, found {}",
                range.len(),
                bytes.len()
            );
            return Err(unwritable(&self.path, name, problem));
        }
        self.file
            .seek(SeekFrom::Start(range.start as u64))
            .and_then(|_| self.file.write_all(bytes))
            .map_err(ArtifactError::io("write", &self.path))
    }

    /// Waits until the file is on disk.
    ///
    /// # Errors
    /// [`ArtifactError::Unwritable`] if an announced tensor was not written, and [`ArtifactError::Io`].
    pub fn finish(self) -> Result<(), ArtifactError> {
        if let Some(name) = self.missing.keys().next() {
            let problem = "it was announced, but never written";
            return Err(unwritable(&self.path, name, problem));
        }
        self.file
            .sync_all()
            .map_err(ArtifactError::io("write", &self.path))
    }
}

/// Renders the header, padded with spaces so that the tensors after it are aligned, and returns it
/// with each tensor's place after it.
fn lay_out(path: &Path, specs: &[TensorSpec]) -> Result<(Vec<u8>, Places), ArtifactError> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut places = BTreeMap::new();
    let mut end = 0;
    for spec in specs {
        let range = end..end + spec.size_bytes();
        end = range.end;
        header.insert(
            spec.name.clone(),
            json!({"dtype": spec.dtype, "shape": spec.shape, "data_offsets": [range.start, range.end]}),
        );
        if places.insert(spec.name.clone(), range).is_some() {
            let problem = "another tensor has the same name";
            return Err(unwritable(path, &spec.name, problem));
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok((header, places))
}

fn unwritable(path: &Path, tensor: &str, problem: impl Into<String>) -> ArtifactError {
    ArtifactError::Unwritable {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorFile;

    fn tensor(name: &str, dtype: Dtype, shape: &[usize], fill: u8) -> OwnedTensor {
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        OwnedTensor {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            bytes: vec![fill; size],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let tensors = [
            tensor("half", Dtype::BF16, &[3], 1),
            tensor("b", Dtype::F32, &[2, 3], 2),
            tensor("empty", Dtype::F32, &[0, 7], 0),
            tensor("scalar", Dtype::F32, &[], 3),
        ];
        write_safetensors(&path, tensors.clone()).unwrap();
        let file = TensorFile::open(&path).unwrap();
        assert_eq!(file.names().len(), 4);
        assert_eq!(file.metadata("format"), Some("pt"));
        for tensor in &tensors {
            let view = file.tensor(&tensor.name).unwrap();
            assert_eq!(view.dtype, tensor.dtype);
            assert_eq!(view.shape, tensor.shape);
            assert_eq!(view.bytes, tensor.bytes);
        }
    }

    #[test]
    fn the_order_of_the_tensors_does_not_change_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        let mut tensors = vec![
            tensor("a", Dtype::F16, &[4], 1),
            tensor("b", Dtype::F32, &[2, 3], 2),
            tensor("c", Dtype::F32, &[1], 3),
        ];
        write_safetensors(&first, tensors.clone()).unwrap();
        tensors.reverse();
        write_safetensors(&second, tensors).unwrap();
        assert_eq!(
            std::fs::read(first).unwrap(),
            std::fs::read(second).unwrap()
        );
    }

    #[test]
    fn a_tensor_with_too_few_bytes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut short = tensor("short", Dtype::F32, &[4], 1);
        short.bytes.pop();
        let error = write_safetensors(&folder.path().join("t"), [short]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("expected 16 bytes for its shape, found 15"),
            "{error}"
        );
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let twice = [
            tensor("t", Dtype::F32, &[1], 1),
            tensor("t", Dtype::F32, &[1], 2),
        ];
        let error = write_safetensors(&folder.path().join("t"), twice).unwrap_err();
        assert!(error.to_string().contains("same name"), "{error}");
    }

    #[test]
    fn a_tensor_announced_and_never_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let spec = TensorSpec {
            name: "t".into(),
            dtype: Dtype::F32,
            shape: vec![1],
        };
        let writer = SafetensorsWriter::create(&path, [spec]).unwrap();
        assert!(matches!(
            writer.finish(),
            Err(ArtifactError::Unwritable { .. })
        ));
    }
}

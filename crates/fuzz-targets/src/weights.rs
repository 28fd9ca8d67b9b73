use std::path::Path;

use llmopt_artifact::{OwnedTensor, TensorFile, write_safetensors};

use crate::{scratch::with_files, text::check_error};

const FILE: &str = "model.safetensors";

/// Every tensor lies in the file and has the bytes that its shape needs; written again, it is the same.
pub(crate) fn safetensors(bytes: &[u8]) {
    with_files(&[(FILE, bytes)], |folder| {
        let file = match TensorFile::open(&folder.join(FILE)) {
            Ok(file) => file,
            Err(error) => return drop(check_error(&error)),
        };
        let tensors = tensors(&file);
        let held: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        assert!(held + 8 <= bytes.len(), "tensors of {held} bytes");
        for tensor in &tensors {
            file.discard(&tensor.name).unwrap();
        }
        assert!(file.tensor("there is no such tensor").is_err());
        file.metadata("format");
        check_written(folder, tensors);
    });
}

fn tensors(file: &TensorFile) -> Vec<OwnedTensor> {
    let owned = |name: String| {
        let view = file.tensor(&name).unwrap();
        let elements = view
            .shape
            .iter()
            .try_fold(1_usize, |all, size| all.checked_mul(*size));
        assert_eq!(
            elements.unwrap() * view.dtype.bitsize(),
            view.bytes.len() * 8,
            "`{name}`"
        );
        OwnedTensor {
            dtype: view.dtype,
            shape: view.shape.to_vec(),
            bytes: view.bytes.to_vec(),
            name,
        }
    };
    file.names().into_iter().map(owned).collect()
}

fn check_written(folder: &Path, tensors: Vec<OwnedTensor>) {
    let path = folder.join("again.safetensors");
    let count = tensors.len();
    if let Err(error) = write_safetensors(&path, tensors) {
        check_error(&error);
        return;
    }
    assert_eq!(TensorFile::open(&path).unwrap().names().len(), count);
}

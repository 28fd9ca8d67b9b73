//! A reader of GGUF files and small folders for this crate's tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmopt_artifact::{Gpt2Config, ModelFolder, init_gpt2};
use tempfile::TempDir;

use crate::metadata::Value;

/// A tensor as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// Fastest first.
    pub(crate) dimensions: Vec<u64>,
    pub(crate) element: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn floats(&self) -> Vec<f32> {
        assert_eq!(self.element, 0);
        let words = self.bytes.as_chunks::<4>().0.iter();
        words.map(|&word| f32::from_le_bytes(word)).collect()
    }
}

/// A GGUF file that was read back.
#[derive(Debug, PartialEq)]
pub(crate) struct Gguf {
    pub(crate) metadata: Vec<(String, Value)>,
    pub(crate) tensors: Vec<Stored>,
}

impl Gguf {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        assert_eq!(reader.take(4), b"GGUF");
        assert_eq!(reader.u32(), 3);
        let (tensors, entries) = (reader.u64(), reader.u64());
        let metadata = (0..entries)
            .map(|_| (reader.string(), reader.value()))
            .collect();
        let infos: Vec<_> = (0..tensors)
            .map(|_| {
                let name = reader.string();
                let sizes = reader.u32();
                let dimensions: Vec<u64> = (0..sizes).map(|_| reader.u64()).collect();
                (name, dimensions, reader.u32(), reader.u64() as usize)
            })
            .collect();
        let start = reader.at.next_multiple_of(32);
        assert!(bytes[reader.at..start].iter().all(|&byte| byte == 0));
        let tensors = infos
            .into_iter()
            .map(|(name, dimensions, element, offset)| {
                assert_eq!(offset % 32, 0);
                let count = dimensions.iter().product::<u64>() as usize;
                let size = match element {
                    0 => 4 * count,
                    1 => 2 * count,
                    8 => count / 32 * 34,
                    other => panic!("type {other}"),
                };
                let bytes = bytes[start + offset..start + offset + size].to_vec();
                Stored {
                    name,
                    dimensions,
                    element,
                    bytes,
                }
            });
        Self {
            metadata,
            tensors: tensors.collect(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.metadata.iter();
        entries.find_map(|(found, value)| (found == key).then_some(value))
    }

    pub(crate) fn tensor(&self, name: &str) -> &Stored {
        let mut tensors = self.tensors.iter();
        tensors.find(|tensor| tensor.name == name).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.tensors
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        self.at += count;
        &self.bytes[self.at - count..self.at]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn string(&mut self) -> String {
        let length = self.u64() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn value(&mut self) -> Value {
        match self.u32() {
            4 => Value::U32(self.u32()),
            6 => Value::F32(f32::from_bits(self.u32())),
            7 => Value::Bool(self.take(1) == [1]),
            8 => Value::String(self.string()),
            9 => {
                let (element, length) = (self.u32(), self.u64());
                match element {
                    5 => Value::I32s((0..length).map(|_| self.u32() as i32).collect()),
                    8 => Value::Strings((0..length).map(|_| self.string()).collect()),
                    other => panic!("array of {other}"),
                }
            }
            other => panic!("value of type {other}"),
        }
    }
}

/// Returns a folder of the trainer's fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures");
    fixtures.join(name)
}

/// A configuration whose vocabulary has ten rows more than the fixture's tokenizer has tokens.
pub(crate) fn config() -> Gpt2Config {
    Gpt2Config {
        vocab_size: 330,
        n_positions: 16,
        n_embd: 8,
        n_layer: 1,
        n_head: 2,
        n_inner: Some(64),
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(319),
    }
}

/// Writes a model with fresh weights.
pub(crate) fn model(config: &Gpt2Config) -> (TempDir, ModelFolder) {
    let folder = tempfile::tempdir().unwrap();
    init_gpt2(folder.path(), config, 1).unwrap();
    let model = ModelFolder::open(folder.path()).unwrap();
    (folder, model)
}

/// Copies the fixture's tokenizer with `change` made to the JSON of `file`.
pub(crate) fn tokenizer(file: &str, change: impl FnOnce(&mut serde_json::Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let source = fixture("tiny-gpt2").join(name);
        fs::copy(source, folder.path().join(name)).unwrap();
    }
    let path = folder.path().join(file);
    let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    folder
}

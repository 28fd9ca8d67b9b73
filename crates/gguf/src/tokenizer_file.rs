use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::GgufError;

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const SETTINGS: &str = "tokenizer_config.json";

/// GPT-2's byte-level BPE, as a tokenizer's files hold it.
#[derive(Debug)]
pub(crate) struct TokenizerFile {
    /// The file with the tokens.
    pub(crate) path: PathBuf,
    /// The tokens that merges lead to, with their ids.
    pub(crate) tokens: BTreeMap<String, u32>,
    /// The tokens that are found before anything is split.
    pub(crate) added: Vec<AddedToken>,
    /// Pairs with a space between, the most urgent first.
    pub(crate) merges: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) special: bool,
}

#[derive(Deserialize)]
struct RawTokenizer {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: RawModel,
}

#[derive(Deserialize)]
struct RawModel {
    vocab: BTreeMap<String, u32>,
    merges: Vec<RawMerge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMerge {
    Pair([String; 2]),
    /// As versions before 0.20 of `tokenizers` wrote it.
    Text(String),
}

impl TokenizerFile {
    /// Reads `tokenizer.json` in `folder`, else `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// [`GgufError::NotGpt2Tokenizer`] if text is split by other rules than GPT-2's,
    /// [`GgufError::Merge`], [`GgufError::Json`] and [`GgufError::Io`].
    pub(crate) fn read(folder: &Path) -> Result<Self, GgufError> {
        let path = folder.join(TOKENIZER);
        if path.is_file() {
            Self::from_tokenizer_json(path)
        } else {
            Self::from_vocabulary(folder)
        }
    }

    /// Returns the greatest id of a token.
    pub(crate) fn greatest_id(&self) -> Option<u32> {
        let added = self.added.iter().map(|token| token.id);
        self.tokens.values().copied().chain(added).max()
    }

    fn from_tokenizer_json(path: PathBuf) -> Result<Self, GgufError> {
        let json: Value = read_json(&path)?;
        check_gpt2(&path, &json)?;
        let raw = RawTokenizer::deserialize(json).map_err(|source| GgufError::Json {
            path: path.clone(),
            source,
        })?;
        let merges = raw.model.merges.into_iter().map(RawMerge::into_text);
        Ok(Self {
            merges: checked_merges(&path, merges)?,
            path,
            tokens: raw.model.vocab,
            added: raw.added_tokens,
        })
    }

    fn from_vocabulary(folder: &Path) -> Result<Self, GgufError> {
        let settings = folder.join(SETTINGS);
        if settings.is_file() {
            let json: Value = read_json(&settings)?;
            expect(&settings, &json, "add_prefix_space", "`false`", |value| {
                matches!(value, Value::Null | Value::Bool(false))
            })?;
        }
        let (path, merges) = (folder.join(VOCABULARY), folder.join(MERGES));
        let text = fs::read_to_string(&merges).map_err(GgufError::io("read", &merges))?;
        let lines = text.lines().enumerate();
        let pairs = lines.filter(|(index, line)| {
            let header = *index == 0 && line.starts_with("#version");
            !header && !line.is_empty()
        });
        Ok(Self {
            merges: checked_merges(&merges, pairs.map(|(_, line)| line.to_owned()))?,
            tokens: read_json(&path)?,
            path,
            added: Vec::new(),
        })
    }
}

impl RawMerge {
    fn into_text(self) -> String {
        match self {
            Self::Pair([left, right]) => format!("{left} {right}"),
            Self::Text(text) => text,
        }
    }
}

/// A byte-level BPE spells a space as another character, so that one in a token is an error.
fn checked_merges(
    path: &Path,
    merges: impl Iterator<Item = String>,
) -> Result<Vec<String>, GgufError> {
    let check = |(index, merge): (usize, String)| match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok(merge)
        }
        _ => Err(GgufError::Merge {
            path: path.to_owned(),
            number: index + 1,
            found: merge,
        }),
    };
    merges.enumerate().map(check).collect()
}

/// Refuses what would split a text into other tokens than llama.cpp's `gpt-2` does.
fn check_gpt2(path: &Path, json: &Value) -> Result<(), GgufError> {
    let unset = |value: &Value| value.is_null() || value == &json!(false);
    let empty = |value: &Value| value.is_null() || value == "";
    // Old files leave out the model's type, and `use_regex` where it is true.
    let is = |wanted: Value| move |value: &Value| value.is_null() || *value == wanted;
    let check = |field, expected, holds: &dyn Fn(&Value) -> bool| {
        expect(path, json, field, expected, holds)
    };
    check("model.type", "`BPE`", &is(json!("BPE")))?;
    check("model.dropout", "`null`", &|value| {
        value.is_null() || value.as_f64() == Some(0.0)
    })?;
    check("model.continuing_subword_prefix", "none", &empty)?;
    check("model.end_of_word_suffix", "none", &empty)?;
    check("model.byte_fallback", "`false`", &unset)?;
    check("model.ignore_merges", "`false`", &unset)?;
    check("normalizer", "none", &Value::is_null)?;
    check("pre_tokenizer.type", "`ByteLevel`", &|value| {
        value == "ByteLevel"
    })?;
    check("pre_tokenizer.use_regex", "`true`", &is(json!(true)))?;
    check("pre_tokenizer.add_prefix_space", "`false`", &unset)
}

fn expect(
    path: &Path,
    json: &Value,
    field: &str,
    expected: &'static str,
    holds: impl Fn(&Value) -> bool,
) -> Result<(), GgufError> {
    let mut keys = field.split('.');
    let found = keys.try_fold(json, |value, key| value.get(key));
    let found = found.unwrap_or(&Value::Null);
    if holds(found) {
        return Ok(());
    }
    Err(GgufError::NotGpt2Tokenizer {
        path: path.to_owned(),
        field: field.to_owned(),
        expected,
        found: match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
    })
}

/// Reads and parses a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, GgufError> {
    let bytes = fs::read(path).map_err(GgufError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| GgufError::Json {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, tokenizer};

    fn read_changed(change: impl FnOnce(&mut Value)) -> Result<TokenizerFile, GgufError> {
        let folder = tokenizer(TOKENIZER, change);
        TokenizerFile::read(folder.path())
    }

    #[test]
    fn a_tokenizer_json_of_gpt2_is_read() {
        let file = TokenizerFile::read(&fixture("tiny-gpt2")).unwrap();
        assert_eq!(file.tokens.len(), 319);
        assert_eq!(file.tokens["Ġ"], 220);
        assert_eq!(file.merges.len(), 63);
        assert_eq!(file.merges[62], "l am");
        let [added] = file.added.as_slice() else {
            panic!("{:?}", file.added)
        };
        assert_eq!((added.content.as_str(), added.id), ("<|endoftext|>", 319));
        assert!(added.special);
    }

    #[test]
    fn files_of_older_versions_are_read_alike() {
        let new = TokenizerFile::read(&fixture("tiny-gpt2")).unwrap();
        let old = read_changed(|json| {
            let merges = json["model"]["merges"].as_array_mut().unwrap();
            for merge in merges {
                *merge = json!(format!(
                    "{} {}",
                    merge[0].as_str().unwrap(),
                    merge[1].as_str().unwrap()
                ));
            }
            let model = json["model"].as_object_mut().unwrap();
            for key in ["type", "byte_fallback", "ignore_merges"] {
                model.remove(key).unwrap();
            }
            model["continuing_subword_prefix"] = json!("");
            model["end_of_word_suffix"] = json!("");
            let split = json["pre_tokenizer"].as_object_mut().unwrap();
            split.remove("use_regex").unwrap();
        })
        .unwrap();
        assert_eq!((old.merges, old.tokens), (new.merges, new.tokens));
    }

    #[test]
    fn a_vocabulary_and_merges_are_read_where_there_is_no_tokenizer_json() {
        let folder = tempfile::tempdir().unwrap();
        for name in [VOCABULARY, MERGES, SETTINGS] {
            fs::copy(fixture("tiny-gpt2").join(name), folder.path().join(name)).unwrap();
        }
        let file = TokenizerFile::read(folder.path()).unwrap();
        let other = TokenizerFile::read(&fixture("tiny-gpt2")).unwrap();
        assert_eq!(file.merges, other.merges);
        assert_eq!(file.tokens.len(), 320);
        assert_eq!(file.tokens["<|endoftext|>"], 319);
        assert!(file.added.is_empty());

        fs::write(
            folder.path().join(SETTINGS),
            r#"{"add_prefix_space": true}"#,
        )
        .unwrap();
        let error = TokenizerFile::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`add_prefix_space` is `true`"), "{error}");
    }

    #[test]
    fn what_splits_text_otherwise_is_refused_by_its_key() {
        let sequence = json!({"type": "Sequence", "pretokenizers": []});
        let split = json!({"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated"});
        for (key, value) in [
            ("model.type", json!("Unigram")),
            ("model.dropout", json!(0.1)),
            ("model.continuing_subword_prefix", json!("##")),
            ("model.end_of_word_suffix", json!("</w>")),
            ("model.byte_fallback", json!(true)),
            ("model.ignore_merges", json!(true)),
            ("normalizer", json!({"type": "NFC"})),
            ("pre_tokenizer", Value::Null),
            ("pre_tokenizer", sequence),
            ("pre_tokenizer", split),
            ("pre_tokenizer.use_regex", json!(false)),
            ("pre_tokenizer.add_prefix_space", json!(true)),
        ] {
            let pointer = format!("/{}", key.replace('.', "/"));
            let error = read_changed(|json| *json.pointer_mut(&pointer).unwrap() = value);
            let error = error.unwrap_err();
            assert!(
                matches!(error, GgufError::NotGpt2Tokenizer { .. }),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("`{key}")), "{error}");
        }
    }

    #[test]
    fn a_merge_that_is_no_pair_is_refused_with_its_number() {
        for merge in [json!(["a b", "c"]), json!(["", "c"]), json!("abc")] {
            let error = read_changed(|json| json["model"]["merges"][1] = merge).unwrap_err();
            assert!(error.to_string().contains("merge 2 is `"), "{error}");
        }
        let error = read_changed(|json| json["model"]["merges"][1] = json!(7)).unwrap_err();
        assert!(matches!(error, GgufError::Json { .. }), "{error}");
    }
}

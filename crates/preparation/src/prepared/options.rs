use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::FilesError;

/// What the rows of a dataset are made into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareOptions {
    /// Longest row in tokens; any length where absent.
    pub max_length: Option<NonZeroUsize>,
    /// What happens to longer rows.
    pub overlong: LongRows,
    /// How rows are filled up.
    pub padding: Padding,
    /// What is written.
    pub format: PreparedFormat,
}

/// What happens to rows longer than allowed. Training here cuts nothing; programs that train from files often do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongRows {
    /// Nothing is written, and they are named.
    #[default]
    Error,
    /// They are left out and counted.
    Drop,
    /// Their ends are cut off, and they are counted; those without a label in what is left are left out.
    Truncate,
}

/// How rows are filled up on the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Not at all.
    #[default]
    None,
    /// To the longest row that is allowed.
    MaxLength,
    /// To a multiple of so many tokens.
    Multiple(NonZeroUsize),
}

/// What prepared rows are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreparedFormat {
    /// A folder that `datasets.load_from_disk` opens.
    #[default]
    Arrow,
    /// One Parquet file, which `datasets.load_dataset("parquet", …)` opens.
    Parquet,
}

impl PrepareOptions {
    /// Refuses what contradicts itself.
    pub(super) fn check(&self) -> Result<(), FilesError> {
        match (self.padding, self.max_length) {
            (Padding::MaxLength, None) => Err(FilesError::NoMaxLength),
            (Padding::Multiple(multiple), Some(max_length)) if max_length.get() % multiple != 0 => {
                Err(FilesError::NotAMultiple {
                    max_length,
                    multiple,
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns how long a row of `length` tokens becomes.
    pub(super) fn padded(&self, length: usize) -> usize {
        match self.padding {
            Padding::None => length,
            Padding::MaxLength => length.max(self.max_length.map_or(0, NonZeroUsize::get)),
            Padding::Multiple(multiple) => length.next_multiple_of(multiple.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_themselves_are_refused() {
        let count = NonZeroUsize::new;
        let refused = |max_length, padding| {
            let options = PrepareOptions {
                max_length,
                padding,
                ..PrepareOptions::default()
            };
            options.check().err().map(|error| error.to_string())
        };
        let eight = Padding::Multiple(count(8).unwrap());
        assert_eq!(refused(count(64), Padding::MaxLength), None);
        assert_eq!(refused(count(64), eight), None);
        assert_eq!(refused(None, eight), None);
        let nothing = refused(None, Padding::MaxLength).unwrap();
        assert!(nothing.contains("name a longest row"), "{nothing}");
        let odd = refused(count(60), eight).unwrap();
        assert!(
            odd.contains("`60`") && odd.contains("multiple of 8"),
            "{odd}"
        );
    }
}

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The version of a record's format, which is always `VERSION`: another one is refused when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format<const VERSION: u32>;

impl<const VERSION: u32> Serialize for Format<VERSION> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de, const VERSION: u32> Deserialize<'de> for Format<VERSION> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        if found == VERSION {
            return Ok(Self);
        }
        Err(D::Error::custom(format_args!(
            "`format` is {found}: expected {VERSION}; it was written by another version of llmopt"
        )))
    }
}

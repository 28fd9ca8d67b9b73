use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::GgufError;

/// The type of a model's matrices in a GGUF file: `f32`, `f16` or `q8_0`.
///
/// Norms, biases and position embeddings are 32-bit floats in each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// 32-bit floats: exactly the model's weights.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with a 16-bit scale for every 32 of them: 8.5 bits a weight. A matrix whose rows
    /// are no multiple of 32 is written as F16.
    #[default]
    Q8_0,
}

impl WeightType {
    /// Returns the type's name, as [`FromStr`] takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Returns llama.cpp's number for a file that is mostly of this type (`llama_ftype`).
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for WeightType {
    type Err = GgufError;

    fn from_str(name: &str) -> Result<Self, GgufError> {
        [Self::F32, Self::F16, Self::Q8_0]
            .into_iter()
            .find(|weights| weights.as_str() == name)
            .ok_or_else(|| GgufError::UnknownWeightType {
                found: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_back_from_its_name() {
        for weights in [WeightType::F32, WeightType::F16, WeightType::Q8_0] {
            assert_eq!(weights.to_string().parse::<WeightType>().unwrap(), weights);
            let json = serde_json::to_string(&weights).unwrap();
            assert_eq!(json, format!("\"{weights}\""));
            assert_eq!(serde_json::from_str::<WeightType>(&json).unwrap(), weights);
        }
    }

    #[test]
    fn another_name_is_refused_with_the_three_there_are() {
        let error = "q4_k_m".parse::<WeightType>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown weight type `q4_k_m`: expected `f32`, `f16` or `q8_0`"
        );
    }
}

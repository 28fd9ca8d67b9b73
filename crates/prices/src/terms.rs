use serde::{Deserialize, Serialize};

use crate::{CostError, Ratio};

/// How fast a request was answered, as the provider's answer says; it may be another one than was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// At once, at the list's price.
    #[default]
    #[serde(alias = "default")]
    Standard,
    /// In a batch, within a day.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    #[serde(alias = "fast")]
    Priority,
}

impl ServiceTier {
    /// Every tier.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    /// The tier's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

/// The tier that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedTier {
    /// None is named, or the provider is to choose.
    Auto,
    /// Standard and no other.
    Standard,
    /// A batch.
    Batch,
    /// Flex, which may be answered as standard.
    Flex,
    /// Priority, which may be answered as standard.
    Priority,
}

impl AskedTier {
    /// The tiers that the answer may come at.
    pub fn possible(self) -> &'static [ServiceTier] {
        use ServiceTier::{Batch, Flex, Priority, Standard};
        match self {
            Self::Auto => &[Standard, Flex, Priority],
            Self::Standard => &[Standard],
            Self::Batch => &[Batch],
            Self::Flex => &[Flex, Standard],
            Self::Priority => &[Priority, Standard],
        }
    }
}

/// Where a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Anywhere.
    #[default]
    Global,
    /// Only in a region that the customer chose.
    Regional,
}

/// What an answer's price depends on beside its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The tier that the answer came at.
    pub tier: ServiceTier,
    /// Where it was made.
    pub region: Region,
}

/// What a request asks for, before its answer's terms are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskedTerms {
    /// The tier.
    pub tier: AskedTier,
    /// Where it is to be answered.
    pub region: Region,
}

/// What the list's price is multiplied by; `None` where there is no such price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multipliers {
    /// In a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Ratio>,
    /// When there is room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<Ratio>,
    /// Before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Ratio>,
    /// In a region that the customer chose, on top of the tier's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regional: Option<Ratio>,
}

impl Multipliers {
    /// Returns the tier's, if it has a price.
    pub fn tier(&self, tier: ServiceTier) -> Option<Ratio> {
        match tier {
            ServiceTier::Standard => Some(Ratio::ONE),
            ServiceTier::Batch => self.batch,
            ServiceTier::Flex => self.flex,
            ServiceTier::Priority => self.priority,
        }
    }

    /// Returns the region's, if it has a price.
    pub fn region(&self, region: Region) -> Option<Ratio> {
        match region {
            Region::Global => Some(Ratio::ONE),
            Region::Regional => self.regional,
        }
    }

    /// Returns what to multiply with, and what to divide by.
    pub(crate) fn of(&self, terms: Terms) -> Result<(u128, u128), CostError> {
        let tier = self.tier(terms.tier).ok_or(CostError::NoTerms {
            terms: terms.tier.name(),
        })?;
        let region = self
            .region(terms.region)
            .ok_or(CostError::NoTerms { terms: "regional" })?;
        let product = |one: u32, other: u32| u128::from(one) * u128::from(other);
        Ok((
            product(tier.numerator(), region.numerator()),
            product(tier.denominator(), region.denominator()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_as_providers_call_them() {
        for (text, tier) in [
            (r#""default""#, ServiceTier::Standard),
            (r#""standard""#, ServiceTier::Standard),
            (r#""fast""#, ServiceTier::Priority),
            (r#""batch""#, ServiceTier::Batch),
        ] {
            assert_eq!(serde_json::from_str::<ServiceTier>(text).unwrap(), tier);
        }
        assert!(serde_json::from_str::<ServiceTier>(r#""scale""#).is_err());
    }

    #[test]
    fn a_region_is_paid_on_top_of_the_tier() {
        let multipliers = Multipliers {
            priority: Some("2/1".parse().unwrap()),
            regional: Some("11/10".parse().unwrap()),
            ..Multipliers::default()
        };
        let terms = Terms {
            tier: ServiceTier::Priority,
            region: Region::Regional,
        };
        assert_eq!(multipliers.of(terms), Ok((22, 10)));
        let flex = Terms {
            tier: ServiceTier::Flex,
            ..terms
        };
        assert_eq!(
            multipliers.of(flex),
            Err(CostError::NoTerms { terms: "flex" })
        );
    }
}

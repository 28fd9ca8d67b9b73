use llmopt_domain::Picodollars;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// An amount as it is shown: dollars, as a decimal number in a text, because a number of JSON would not keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Dollars(String);

impl Dollars {
    /// Shows picodollars that may be below nothing.
    pub(crate) fn signed(picodollars: i64) -> Self {
        // Its magnitude is at most the greatest amount, or one more.
        let amount = Picodollars::new(picodollars.unsigned_abs()).unwrap_or(Picodollars::MAX);
        let sign = if picodollars < 0 { "-" } else { "" };
        Self(format!("{sign}{}", amount.to_decimal()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Picodollars> for Dollars {
    fn from(amount: Picodollars) -> Self {
        Self(amount.to_decimal())
    }
}

impl PartialSchema for Dollars {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^-?[0-9]{1,7}\.[0-9]{2,12}$"))
            .description(Some("US dollars, exact."))
            .examples(["12.50"])
            .into()
    }
}

impl ToSchema for Dollars {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_whole_and_debts_with_their_sign() {
        for (picodollars, shown) in [
            (0, "0.00"),
            (-1, "-0.000000000001"),
            (12_500_000_000_000, "12.50"),
            (i64::MIN, "-9223372.036854775807"),
        ] {
            assert_eq!(Dollars::signed(picodollars).as_str(), shown);
        }
    }
}

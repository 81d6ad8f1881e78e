//! OpenAPI schemas of numbers and codes, with the limits of their types.
//!
//! A schema describes a number as the service writes it. Parsers also accept additional leading and trailing zeros.

use std::sync::LazyLock;

use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::{Amount, Currency, Money, Quantity, Rate, RateSource, UnitPrice};

macro_rules! schema {
    ($type:ident, $description:literal, $schema:expr $(, uses $used:ident)?) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some($description)).into()
            }
        }

        impl ToSchema for $type {
            $(fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push(($used::name().into_owned(), $used::schema()));
            })?
        }
    };
}

schema!(
    Amount,
    "A signed amount with the decimals of its currency, which another field or key names.",
    decimal("-?", Amount::LIMIT, Amount::MAX_SCALE, "-12.30")
);

schema!(
    Money,
    "A signed amount of money with exactly the decimals of its currency: two for EUR, none for JPY, three for KWD.",
    in_currency(decimal("-?", Money::LIMIT, Amount::MAX_SCALE, "15.30")),
    uses Currency
);

/// The schema of a field: an amount that is not negative.
pub fn not_negative() -> ObjectBuilder {
    let amount = decimal("", Money::LIMIT, Amount::MAX_SCALE, "100.00");
    amount.description(Some("Zero or above, with at most the decimals of the currency."))
}

/// The schema of a field: an amount of money above zero.
pub fn above_zero() -> ObjectBuilder {
    let amount = decimal(r"(?!0+(\.0+)?$)", Money::LIMIT, Amount::MAX_SCALE, "15.30");
    in_currency(amount).description(Some("An amount of money above zero, with at most the decimals of its currency."))
}

schema!(
    UnitPrice,
    "The price of one piece. It may be finer than the minor unit of its currency.",
    in_currency(decimal("", UnitPrice::LIMIT, UnitPrice::MAX_SCALE, "0.125")),
    uses Currency
);

schema!(
    Rate,
    "An exchange rate: units of one currency for one unit of another, above zero.",
    decimal(r"(?!0+(\.0+)?$)", Rate::LIMIT, Rate::MAX_SCALE, "1.1734")
);

schema!(
    Quantity,
    "A number of pieces.",
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(Quantity::LIMIT)).examples([3])
);

schema!(
    RateSource,
    "The publisher of a rate: `ecb` (European Central Bank) or `manual` (set through the API).",
    text().pattern(Some("^[ -~]{1,64}$")).examples(["ecb", "manual"])
);

schema!(
    Currency,
    "An ISO 4217 currency code: all current currencies that can be used for payments, and withdrawn ones for which the \
     ECB has published rates.",
    text().enum_values(Some(CODES.iter().map(String::as_str))).examples(["EUR"])
);

/// The schema of a field: a map keyed by currency.
pub fn by_currency(value: impl Into<AdditionalProperties<Schema>>, description: &str) -> ObjectBuilder {
    let key = Ref::from_schema_name(Currency::name());
    let key = utoipa::openapi::AllOfBuilder::new().item(key).build();
    ObjectBuilder::new().description(Some(description)).property_names(Some(key)).additional_properties(Some(value))
}

/// All supported currency codes, sorted.
static CODES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let letters = || ('A'..='Z').map(String::from);
    let all = letters().flat_map(|one| letters().map(move |two| format!("{one}{two}")));
    let all = all.flat_map(|two| letters().map(move |three| format!("{two}{three}")));
    all.filter(|code| code.parse::<Currency>().is_ok()).collect()
});

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A plain decimal as a string: at most `limit`, which is a power of ten, with at most `scale` decimals.
fn decimal(sign: &str, limit: i128, scale: u32, example: &str) -> ObjectBuilder {
    let digits = limit.ilog10();
    let pattern = format!(r"^{sign}([0-9]{{1,{digits}}}(\.[0-9]{{1,{scale}}})?|{limit}(\.0{{1,{scale}}})?)$");
    let format = SchemaFormat::Custom("decimal".to_owned());
    text().format(Some(format)).pattern(Some(pattern)).examples([example])
}

/// An object with an amount and its currency.
fn in_currency(amount: ObjectBuilder) -> ObjectBuilder {
    let currency = Ref::from_schema_name(Currency::name());
    let both = ObjectBuilder::new().property("amount", amount).property("currency", currency);
    both.required("amount").required("currency").additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_currency_is_listed() {
        assert!(CODES.is_sorted() && (150..200).contains(&CODES.len()), "{CODES:?}");
        for code in ["EUR", "GBP", "JPY", "KWD", "CLF", "HRK", "ZAR"] {
            assert!(CODES.iter().any(|listed| listed == code), "{code}");
        }
    }

    #[test]
    fn the_pattern_of_a_decimal_enforces_its_limits() {
        let RefOr::T(Schema::Object(rate)) = Rate::schema() else { panic!("the schema of a rate is not inline") };
        let expected = r"^(?!0+(\.0+)?$)([0-9]{1,9}(\.[0-9]{1,10})?|1000000000(\.0{1,10})?)$";
        assert_eq!(rate.pattern.as_deref(), Some(expected));
    }
}

//! Overdrafts: how far below zero an account may go.

use money::{Amount, Currency, Invalid, Money};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::string_enum::string_enum;

/// The default fee for crossing the limit: five units of the currency.
const FEE_DEFAULT: &str = "5";

string_enum!(
    /// What happens to a payment that would take the account below its limit.
    pub enum OverdraftPolicy {
        /// The payment is refused.
        Refuse = "refuse",
        /// The payment is posted. A fee is posted each time the limit is crossed.
        Fee = "fee",
    }
);

/// The terms of an account's overdraft in one currency. In all other currencies the account may not go below zero.
///
/// In JSON `{"limit":"100.00","currency":"EUR","policy":"fee","fee":"5.00"}`; the default fee is 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct Overdraft {
    // Invariant: both amounts have the same currency, and neither is negative.
    limit: Money,
    /// `None`: payments beyond the limit are refused.
    fee: Option<Money>,
}

impl Overdraft {
    /// How far below zero the account may go; not negative.
    pub fn limit(&self) -> Money {
        self.limit
    }

    /// The fee for crossing the limit. `None`: the limit cannot be crossed.
    pub fn fee(&self) -> Option<Money> {
        self.fee
    }
}

/// The reason why overdraft terms are invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOverdraft {
    /// The limit is not a valid amount of its currency.
    #[error("limit: {0}")]
    Limit(Invalid),
    /// The fee is not a valid amount of the limit's currency.
    #[error("fee: {0}")]
    Fee(Invalid),
    /// The limit or the fee, named here, is negative.
    #[error("{0} is negative")]
    Negative(&'static str),
    /// A fee is given, but the policy is not `fee`.
    #[error("fee: only allowed with \"policy\":\"fee\"")]
    FeeWithoutPolicy,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
struct Shape {
    limit: Amount,
    currency: Currency,
    policy: OverdraftPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fee: Option<Amount>,
}

/// Two alternatives, since only the policy `fee` allows a fee.
impl PartialSchema for Overdraft {
    fn schema() -> RefOr<Schema> {
        let shape = |policy: OverdraftPolicy| {
            let policy = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([policy.to_string()]));
            let shape = ObjectBuilder::new().property("limit", money::not_negative());
            let shape = shape.property("currency", Ref::from_schema_name(Currency::name())).property("policy", policy);
            let shape = ["limit", "currency", "policy"].into_iter().fold(shape, ObjectBuilder::required);
            shape.additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let refuse = shape(OverdraftPolicy::Refuse).description(Some("Payments beyond the limit are refused."));
        let fee = shape(OverdraftPolicy::Fee).property("fee", money::not_negative());
        let fee = fee.description(Some(
            "Payments beyond the limit are posted. Each crossing of the limit costs the fee, by default 5.",
        ));
        let description =
            "How far below zero an account may go in one currency. In all other currencies it may not go below zero.";
        OneOfBuilder::new().item(refuse).item(fee).description(Some(description)).into()
    }
}

impl ToSchema for Overdraft {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Currency::name().into_owned(), Currency::schema()));
    }
}

money::object!(Shape, "an overdraft terms object");

impl TryFrom<Shape> for Overdraft {
    type Error = InvalidOverdraft;

    fn try_from(shape: Shape) -> Result<Self, InvalidOverdraft> {
        let limit = Money::new(shape.limit, shape.currency).map_err(InvalidOverdraft::Limit)?;
        let parse_fee = |fee: Amount| Money::new(fee, shape.currency).map_err(InvalidOverdraft::Fee);
        let fee = match (shape.policy, shape.fee) {
            (OverdraftPolicy::Refuse, None) => None,
            (OverdraftPolicy::Refuse, Some(_)) => return Err(InvalidOverdraft::FeeWithoutPolicy),
            (OverdraftPolicy::Fee, Some(fee)) => Some(parse_fee(fee)?),
            (OverdraftPolicy::Fee, None) => {
                Some(Money::parse(FEE_DEFAULT, shape.currency).map_err(InvalidOverdraft::Fee)?)
            }
        };
        if limit.amount().is_negative() {
            return Err(InvalidOverdraft::Negative("limit"));
        }
        if fee.is_some_and(|fee| fee.amount().is_negative()) {
            return Err(InvalidOverdraft::Negative("fee"));
        }
        Ok(Self { limit, fee })
    }
}

impl From<Overdraft> for Shape {
    fn from(Overdraft { limit, fee }: Overdraft) -> Self {
        let policy = if fee.is_some() { OverdraftPolicy::Fee } else { OverdraftPolicy::Refuse };
        Self { limit: limit.amount(), currency: limit.currency(), policy, fee: fee.map(Money::amount) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<&str, &str>) {
        let read = serde_json::from_str::<Overdraft>(json);
        let written = read.map(|overdraft| serde_json::to_string(&overdraft).unwrap());
        match (written, expected) {
            (Ok(written), Ok(expected)) => assert_eq!(written, expected, "{json}"),
            (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{json}: {error}"),
            (written, expected) => panic!("{json}: expected {expected:?}, found {written:?}"),
        }
    }

    #[test]
    fn terms_are_written_in_one_form() {
        let refuse = r#"{"limit":"100.00","currency":"EUR","policy":"refuse"}"#;
        check(refuse, Ok(refuse));
        let fee = r#"{"limit":"100.00","currency":"EUR","policy":"fee","fee":"5.00"}"#;
        check(fee, Ok(fee));
        check(r#"{"limit":"100","currency":"EUR","policy":"fee"}"#, Ok(fee));
        check(
            r#"{"policy":"fee","currency":"JPY","limit":"0"}"#,
            Ok(r#"{"limit":"0","currency":"JPY","policy":"fee","fee":"5"}"#),
        );
    }

    #[test]
    fn invalid_terms_are_refused_with_the_reason() {
        check(r#"{"limit":"-1","currency":"EUR","policy":"refuse"}"#, Err("limit is negative"));
        check(r#"{"limit":"1.001","currency":"EUR","policy":"refuse"}"#, Err("limit: "));
        check(r#"{"limit":"1","currency":"EUR","policy":"refuse","fee":"1"}"#, Err("fee: only allowed with"));
        check(r#"{"limit":"1","currency":"JPY","policy":"fee","fee":"0.5"}"#, Err("fee: "));
        check(r#"{"limit":"1","currency":"EUR","policy":"fee","fee":"-5"}"#, Err("fee is negative"));
        check(r#"{"limit":"1","currency":"EUR","policy":"forgive"}"#, Err("unknown variant"));
        check(r#"{"limit":"1","currency":"EUR"}"#, Err("missing field `policy`"));
        check(r#"{"limit":"1","currency":"EUR","policy":"refuse","more":1}"#, Err("unknown field `more`"));
        check(r#"["1","EUR","refuse"]"#, Err("invalid type: sequence"));
    }
}

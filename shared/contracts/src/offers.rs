//! JSON of offers.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use money::{Percent, UnitPrice};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::string_enum::string_enum;
use crate::{InvalidName, Sku};

string_enum!(
    /// The order of allocating stock and charging the customer, for when demand exceeds capacity.
    pub enum Constraint {
        /// Charge immediately and compensate later.
        Loose = "loose",
        /// Allocate first, then charge.
        Strict = "strict",
    }
    default Loose
);

/// The terms of an offer: price, capacity, compensation. Body of `PUT /offers/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct OfferTerms {
    /// The price of one piece.
    pub price: UnitPrice,
    /// The number of pieces, at most 1,000,000,000; null for unlimited.
    #[serde(default, deserialize_with = "capacity_within_limit")]
    #[schema(format = "uint64", maximum = 1_000_000_000_u64)]
    pub capacity: Option<u64>,
    /// What happens when demand exceeds capacity.
    #[serde(default)]
    pub constraint: Constraint,
    /// The percentage that may be sold above capacity, at most 1,000.
    #[serde(default, deserialize_with = "overbooking_within_limit")]
    #[schema(format = "uint32", maximum = 1_000)]
    pub overbooking_percent: u32,
    /// The voucher for a line that is lost, as a percentage of the money returned, at most 100.
    #[serde(default)]
    #[schema(value_type = u16, maximum = 100)]
    pub voucher_percent: Percent,
    /// Whether a purchase line may set its own unit price.
    #[serde(default)]
    pub open_price: bool,
    /// What is tried, in order, for a line that has no stock or loses it: 1 to 8 steps without repetition, the last of
    /// them `refund` or `back_order`.
    #[serde(default = "refund_only", deserialize_with = "ladder")]
    #[schema(min_items = 1, max_items = 8)]
    pub compensation: Vec<Compensation>,
    /// The day of the service, which begins at 00:00 UTC. The terms of a cancellation depend on it.
    #[serde(default, deserialize_with = "day_of_four_digits")]
    pub service_date: Option<NaiveDate>,
    /// What a cancellation returns.
    #[serde(default)]
    pub cancellation: CancellationTerms,
}

money::object!(OfferTerms, "an offer terms object");

/// The maximum capacity of an offer, in pieces.
const CAPACITY_MAX: u64 = 1_000_000_000;
/// The maximum overbooking, in percent.
const OVERBOOKING_MAX: u32 = 1_000;
/// The maximum number of steps of a ladder.
const LADDER_MAX: usize = 8;

impl OfferTerms {
    /// The terms of an offer that sets only its price.
    pub fn unlimited(price: UnitPrice) -> Self {
        Self {
            price,
            capacity: None,
            constraint: Constraint::default(),
            overbooking_percent: 0,
            voucher_percent: Percent::ZERO,
            open_price: false,
            compensation: refund_only(),
            service_date: None,
            cancellation: CancellationTerms::default(),
        }
    }

    /// The number of pieces that may be allocated: the capacity and its overbooking, rounded down. `None` for
    /// unlimited.
    pub fn limit(&self) -> Option<u64> {
        self.capacity.map(|capacity| capacity * (100 + u64::from(self.overbooking_percent)) / 100)
    }
}

/// A step of what is tried for a line that has no stock: `upgrade:SKU`, `back_order` or `refund`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Compensation {
    /// Another product at no extra charge.
    Upgrade(Sku),
    /// The line stays paid and waits until there is capacity.
    BackOrder,
    /// The money of the line is returned.
    Refund,
}

const UPGRADE: &str = "upgrade:";

/// The reason why a text is no step of a ladder.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCompensation {
    /// The text has none of the known forms.
    #[error("unknown compensation; use `upgrade:SKU`, `back_order` or `refund`")]
    Unknown,
    /// The SKU after `upgrade:` is not valid.
    #[error("the SKU of the upgrade has {0}")]
    Sku(InvalidName),
}

impl fmt::Display for Compensation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upgrade(sku) => write!(f, "{UPGRADE}{sku}"),
            Self::BackOrder => f.write_str("back_order"),
            Self::Refund => f.write_str("refund"),
        }
    }
}

impl FromStr for Compensation {
    type Err = InvalidCompensation;

    fn from_str(text: &str) -> Result<Self, InvalidCompensation> {
        match (text, text.strip_prefix(UPGRADE)) {
            (_, Some(sku)) => sku.parse().map(Self::Upgrade).map_err(InvalidCompensation::Sku),
            ("back_order", _) => Ok(Self::BackOrder),
            ("refund", _) => Ok(Self::Refund),
            _ => Err(InvalidCompensation::Unknown),
        }
    }
}

impl From<Compensation> for String {
    fn from(step: Compensation) -> Self {
        step.to_string()
    }
}

impl TryFrom<String> for Compensation {
    type Error = InvalidCompensation;

    fn try_from(text: String) -> Result<Self, InvalidCompensation> {
        text.parse()
    }
}

impl PartialSchema for Compensation {
    fn schema() -> RefOr<Schema> {
        let inside = Sku::MAX - 2;
        let pattern = format!("^(refund|back_order|{UPGRADE}[!-~]([ -~]{{0,{inside}}}[!-~])?)$");
        let steps = "`upgrade:SKU`: another product at no extra charge; `back_order`: the line waits until there is \
                     capacity; `refund`: its money is returned.";
        let step = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(steps));
        step.examples(["refund"]).into()
    }
}

impl ToSchema for Compensation {}

/// What a cancellation returns, per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancellationTerms {
    /// The share of the money that is returned.
    #[schema(value_type = u16, maximum = 100)]
    pub refund_percent: Percent,
    /// Until when, in seconds before the day of the service. Without such a day there is no end.
    #[schema(format = "uint32", maximum = 4_294_967_295_u32)]
    pub until_s_before: u32,
    /// The share of the money that is returned after that.
    #[schema(value_type = u16, maximum = 100)]
    pub late_refund_percent: Percent,
}

impl Default for CancellationTerms {
    fn default() -> Self {
        Self { refund_percent: Percent::ALL, until_s_before: 0, late_refund_percent: Percent::ZERO }
    }
}

impl CancellationTerms {
    /// The share of the money that a cancellation at this time returns.
    pub fn refund_percent(&self, service_date: Option<NaiveDate>, at: DateTime<Utc>) -> Percent {
        let start = service_date.and_then(|date| date.and_hms_opt(0, 0, 0)).map(|start| start.and_utc());
        let before = TimeDelta::seconds(self.until_s_before.into());
        let is_late = start.is_some_and(|start| start.checked_sub_signed(before).is_none_or(|end| end < at));
        if is_late { self.late_refund_percent } else { self.refund_percent }
    }

    /// Whether these are the terms of an offer that sets none.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn refund_only() -> Vec<Compensation> {
    vec![Compensation::Refund]
}

fn capacity_within_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let capacity = Option::<u64>::deserialize(deserializer)?;
    if capacity.is_none_or(|capacity| capacity <= CAPACITY_MAX) {
        return Ok(capacity);
    }
    Err(D::Error::custom(format!("a capacity is at most {CAPACITY_MAX}")))
}

fn overbooking_within_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let percent = u32::deserialize(deserializer)?;
    if percent <= OVERBOOKING_MAX {
        return Ok(percent);
    }
    Err(D::Error::custom(format!("{percent} %; at most {OVERBOOKING_MAX} % may be sold above capacity")))
}

fn day_of_four_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let day = Option::<NaiveDate>::deserialize(deserializer)?;
    if day.is_none_or(|day| (0..=9999).contains(&day.year())) {
        return Ok(day);
    }
    Err(D::Error::custom("outside the years 0000 to 9999"))
}

fn ladder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Compensation>, D::Error> {
    let steps = Vec::<Compensation>::deserialize(deserializer)?;
    let wrong = match steps.split_last() {
        None => Some("no step: it ends with `refund` or `back_order`".to_owned()),
        Some((Compensation::Upgrade(_), _)) => Some("a ladder ends with `refund` or `back_order`".to_owned()),
        Some(_) if steps.len() > LADDER_MAX => Some(format!("{} steps; at most {LADDER_MAX}", steps.len())),
        Some((_, before)) if before.contains(&Compensation::Refund) => {
            Some("nothing is tried after `refund`".to_owned())
        }
        Some(_) => {
            let repeated = steps.iter().enumerate().find(|(at, step)| steps[..*at].contains(step));
            repeated.map(|(_, step)| format!("`{step}` is there twice"))
        }
    };
    wrong.map_or(Ok(steps), |wrong| Err(D::Error::custom(wrong)))
}

/// Body of `POST /offers/{sku}/recall`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RecallRequest {
    /// The number of lost pieces, from 1 to the capacity.
    #[schema(minimum = 1, maximum = 1_000_000_000_u64)]
    #[serde(deserialize_with = "recalled_pieces")]
    pub quantity: u64,
}

money::object!(RecallRequest, "a recall object");

fn recalled_pieces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let pieces = u64::deserialize(deserializer)?;
    if (1..=CAPACITY_MAX).contains(&pieces) {
        return Ok(pieces);
    }
    Err(D::Error::custom(format!("{pieces} pieces; a recall takes 1 to {CAPACITY_MAX}")))
}

/// An offer, as returned by `GET /offers/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The product.
    pub sku: Sku,
    /// The version of the terms: 1, 2, 3 …, for purchases accepted from now on.
    pub version: u64,
    /// The terms.
    #[serde(flatten)]
    pub terms: OfferTerms,
    /// The number of allocated pieces.
    pub allocated: u64,
    /// The number of pieces left; null for unlimited.
    pub available: Option<u64>,
}

/// The schema repeats the properties of the terms. It cannot use `allOf`, since the schema of the terms forbids other
/// properties.
impl PartialSchema for Offer {
    fn schema() -> RefOr<Schema> {
        let number = |kind: SchemaType, what: &str| {
            ObjectBuilder::new().schema_type(kind).minimum(Some(0)).description(Some(what)).into()
        };
        let mut all: Vec<(String, RefOr<Schema>)> = vec![
            ("sku".to_owned(), Ref::from_schema_name(Sku::name()).into()),
            (
                "version".to_owned(),
                number(Type::Integer.into(), "The version of the terms, for purchases accepted from now on."),
            ),
        ];
        if let RefOr::T(Schema::Object(terms)) = OfferTerms::schema() {
            all.extend(terms.properties);
        }
        let or_null = SchemaType::from_iter([Type::Integer, Type::Null]);
        all.push(("allocated".to_owned(), number(Type::Integer.into(), "The number of allocated pieces.")));
        all.push(("available".to_owned(), number(or_null, "The number of pieces left; null for unlimited.")));
        let offer = ObjectBuilder::new().description(Some("An offer: its terms, and the pieces allocated and left."));
        all.into_iter().fold(offer, |offer, (name, schema)| offer.required(&name).property(name, schema)).into()
    }
}

impl ToSchema for Offer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Sku::name().into_owned(), Sku::schema()));
        OfferTerms::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(json: &str) -> Result<OfferTerms, String> {
        let json = format!(r#"{{"price":{{"amount":"1.00","currency":"EUR"}},{json}}}"#);
        serde_json::from_str(&json).map_err(|error| error.to_string())
    }

    fn check(json: &str, expected: Result<Option<u64>, &str>) {
        match (terms(json).map(|terms| terms.limit()), expected) {
            (Ok(limit), expected) => assert_eq!(Ok(limit), expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{json}: {error}"),
            (Err(error), Ok(_)) => panic!("{json}: {error}"),
        }
    }

    #[test]
    fn the_limit_is_the_capacity_and_its_overbooking_rounded_down() {
        check(r#""capacity":null"#, Ok(None));
        check(r#""capacity":19,"overbooking_percent":5"#, Ok(Some(19)));
        check(r#""capacity":20,"overbooking_percent":5"#, Ok(Some(21)));
        check(r#""capacity":1000000000,"overbooking_percent":1000"#, Ok(Some(11_000_000_000)));
        check(r#""capacity":1000000001"#, Err("a capacity is at most 1000000000"));
        check(r#""overbooking_percent":1001"#, Err("at most 1000 % may be sold above capacity"));
        check(r#""voucher_percent":101"#, Err("101 is larger than the limit 100"));
    }

    #[test]
    fn a_ladder_has_an_end_and_no_repetition() {
        check(r#""compensation":["upgrade:DLX","back_order","refund"]"#, Ok(None));
        check(r#""compensation":[]"#, Err("no step: it ends with"));
        check(r#""compensation":["upgrade:DLX"]"#, Err("ends with `refund` or `back_order`"));
        check(r#""compensation":["refund","back_order"]"#, Err("nothing is tried after `refund`"));
        check(r#""compensation":["upgrade:a","upgrade:a","refund"]"#, Err("`upgrade:a` is there twice"));
        check(r#""compensation":["upgrade:","refund"]"#, Err("the SKU of the upgrade has 0 characters"));
        check(r#""compensation":["regret"]"#, Err("unknown compensation"));
    }

    #[test]
    fn a_cancellation_is_late_by_the_day_of_the_service() {
        let json = r#""service_date":"2026-07-10","cancellation":{"until_s_before":60,"late_refund_percent":30}"#;
        let OfferTerms { cancellation, service_date, .. } = terms(json).unwrap();
        let percent = |at: &str| cancellation.refund_percent(service_date, at.parse().unwrap()).get();
        assert_eq!(["2026-07-09T23:59:00Z", "2026-07-09T23:59:01Z"].map(percent), [100, 30]);
        assert!(
            terms(r#""service_date":"-0001-01-01""#).is_err() && terms(r#""service_date":"+10000-01-01""#).is_err()
        );
        assert_eq!(cancellation.refund_percent(None, "2126-01-01T00:00:00Z".parse().unwrap()), Percent::ALL);
    }
}

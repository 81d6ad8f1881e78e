//! The JSON of offers.

use money::UnitPrice;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::Sku;

/// What to do when more is wanted than there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Charge at once, put it right later.
    #[default]
    Loose,
    /// Allocate first, then charge.
    Strict,
}

/// The terms of an offer: body of `PUT /offers/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct OfferTerms {
    /// The price of one piece.
    pub price: UnitPrice,
    /// How many there are; none: unlimited.
    #[serde(default)]
    #[schema(schema_with = only_null)]
    pub capacity: Option<u64>,
    /// What to do when more is wanted.
    #[serde(default)]
    pub constraint: Constraint,
    /// How many percent above capacity may be sold.
    #[serde(default)]
    #[schema(format = "uint32", maximum = 4_294_967_295_u32)]
    pub overbooking_percent: u32,
    /// Voucher for a compensated purchase, in percent of what was charged.
    #[serde(default)]
    #[schema(format = "uint32", maximum = 4_294_967_295_u32)]
    pub voucher_percent: u32,
    /// Whether a line may name its own unit price.
    #[serde(default)]
    pub open_price: bool,
}

money::object!(OfferTerms, "the terms of an offer: an object");

/// An offer as `GET /offers/{sku}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What is offered.
    pub sku: Sku,
    /// Its version: 1, 2, 3 …, for what is accepted from now on.
    pub version: u64,
    /// The terms.
    #[serde(flatten)]
    pub terms: OfferTerms,
    /// How many are taken.
    pub allocated: u64,
    /// How many are left; none: unlimited.
    pub available: Option<u64>,
}

fn only_null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null).description(Some("How many there are. So far always unlimited."))
}

/// The terms are closed to other fields and here stand among others: so not `allOf`, but all their properties.
impl PartialSchema for Offer {
    fn schema() -> RefOr<Schema> {
        let number = |kind: SchemaType, what: &str| {
            ObjectBuilder::new().schema_type(kind).minimum(Some(0)).description(Some(what)).into()
        };
        let mut all: Vec<(String, RefOr<Schema>)> = vec![
            ("sku".to_owned(), Ref::from_schema_name(Sku::name()).into()),
            ("version".to_owned(), number(Type::Integer.into(), "1, 2, 3 …, for what is accepted from now on.")),
        ];
        if let RefOr::T(Schema::Object(terms)) = OfferTerms::schema() {
            all.extend(terms.properties);
        }
        let or_null = SchemaType::from_iter([Type::Integer, Type::Null]);
        all.push(("allocated".to_owned(), number(Type::Integer.into(), "How many are taken.")));
        all.push(("available".to_owned(), number(or_null, "How many are left; null: unlimited.")));
        let offer = ObjectBuilder::new().description(Some("An offer: its terms, and how much of it is left."));
        all.into_iter().fold(offer, |offer, (name, schema)| offer.required(&name).property(name, schema)).into()
    }
}

impl ToSchema for Offer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Sku::name().into_owned(), Sku::schema()));
        OfferTerms::schemas(schemas);
    }
}

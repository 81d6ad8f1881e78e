//! JSON of offers.

use money::UnitPrice;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::Sku;

/// The order of allocating stock and charging the customer, for when demand exceeds capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Charge immediately and compensate later.
    #[default]
    Loose,
    /// Allocate first, then charge.
    Strict,
}

/// The terms of an offer: price, capacity, compensation. Body of `PUT /offers/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct OfferTerms {
    /// The price of one piece.
    pub price: UnitPrice,
    /// The number of pieces; null for unlimited.
    #[serde(default)]
    #[schema(schema_with = only_null)]
    pub capacity: Option<u64>,
    /// What happens when demand exceeds capacity.
    #[serde(default)]
    pub constraint: Constraint,
    /// The percentage that may be sold above capacity.
    #[serde(default)]
    #[schema(format = "uint32", maximum = 4_294_967_295_u32)]
    pub overbooking_percent: u32,
    /// The voucher for a compensated purchase, as a percentage of the charged amount.
    #[serde(default)]
    #[schema(format = "uint32", maximum = 4_294_967_295_u32)]
    pub voucher_percent: u32,
    /// Whether a purchase line may set its own unit price.
    #[serde(default)]
    pub open_price: bool,
}

money::object!(OfferTerms, "an offer terms object");

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

fn only_null() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Null)
        .description(Some("The number of pieces; so far only null (unlimited)."))
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

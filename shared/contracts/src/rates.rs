//! JSON of exchange rates.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use money::{Conversion, Currency, Rate, RateSource, RateVersion};
use serde::{Deserialize, Serialize};
use stage::{Flag, Integer, Json, Text, Time};
use utoipa::ToSchema;

use crate::{HistoryImported, RatesPublished};

/// Rates by base and quote.
pub type RatesByPair = BTreeMap<Currency, BTreeMap<Currency, Rate>>;

stage::row! {
    /// A version of the rates, as the exchange-rate service and every local copy store it. Immutable.
    pub struct RateRow: "rates" {
        key {
            /// The version: 1, 2, 3 …
            version: u64 => Integer,
        }
        value {
            /// When the rates become valid.
            valid_from: DateTime<Utc> => Time,
            /// The source of the rates.
            source: RateSource => Text,
            /// The new or changed rates, by base and quote.
            rates: RatesByPair => Json,
            /// Whether the history is complete from this version on.
            complete: bool => Flag,
        }
    }
}

impl RateRow {
    /// The version, as its own type.
    pub fn version(&self) -> RateVersion {
        RateVersion(self.version)
    }
}

impl From<&RatesPublished> for RateRow {
    fn from(fact: &RatesPublished) -> Self {
        let RatesPublished { version, valid_from, source, rates } = fact.clone();
        Self { version: version.0, valid_from, source, rates, complete: false }
    }
}

impl From<&HistoryImported> for RateRow {
    fn from(fact: &HistoryImported) -> Self {
        let HistoryImported { version, source, imported_at } = fact.clone();
        Self { version: version.0, valid_from: imported_at, source, rates: BTreeMap::new(), complete: true }
    }
}

/// The query parameters of `GET /rates` and `GET /rates/{base}/{quote}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// The time of validity to look up; the default is now.
    #[serde(default, deserialize_with = "crate::time::optional_time")]
    pub at: Option<DateTime<Utc>>,
}

/// Body of `PUT /rates/{base}/{quote}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RatePut {
    /// Units of the quote currency for one unit of the base currency.
    pub rate: Rate,
    /// When the rate becomes valid.
    #[serde(deserialize_with = "crate::time::time")]
    pub valid_from: DateTime<Utc>,
}

money::object!(RatePut, "a rate object");

/// The exchange rate of a conversion, for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateQuote {
    /// The base currency, of which the rate prices one unit.
    pub base: Currency,
    /// The quote currency, in which the rate is expressed.
    pub quote: Currency,
    /// Units of `quote` for one unit of `base`: as published, or a quotient of published rates with 12 significant
    /// digits.
    #[schema(format = "decimal", pattern = r"^[0-9]+(\.[0-9]+)?$", examples("1.1734"))]
    pub rate: String,
    /// When the rate becomes valid; for a quotient of two rates, the earlier time.
    pub valid_from: DateTime<Utc>,
    /// The publisher of the rate.
    pub source: RateSource,
}

impl RateQuote {
    /// The rate of a conversion. `None` if both currencies are the same.
    pub fn of(conversion: &Conversion) -> Option<Self> {
        let (base, quote) = conversion.pair()?;
        let (valid_from, source) = (conversion.valid_from()?, conversion.source()?.clone());
        Some(Self { base, quote, rate: conversion.display_rate(), valid_from, source })
    }
}

/// The result of an import, as counts of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// The rates in the file.
    pub read: u64,
    /// Rates for a time at which the currency had no rate.
    pub new: u64,
    /// Rates that replace a different rate of the same time.
    pub changed: u64,
    /// Rates that were already known.
    pub unchanged: u64,
}

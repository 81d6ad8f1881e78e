//! JSON of exchange rates.

use chrono::{DateTime, Utc};
use money::Rate;
use serde::{Deserialize, Deserializer, Serialize};

use std::collections::BTreeMap;

use money::{Currency, RateSource, RateVersion};
use stage::{Flag, Integer, Json, Text, Time};

use crate::{HistoryImported, RatesPublished, ShownRate};

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
    #[serde(default, deserialize_with = "crate::purchases::optional_time")]
    pub at: Option<DateTime<Utc>>,
}

/// Body of `PUT /rates/{base}/{quote}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RatePut {
    /// Units of the quote currency for one unit of the base currency.
    pub rate: Rate,
    /// When the rate becomes valid.
    #[serde(deserialize_with = "time")]
    pub valid_from: DateTime<Utc>,
}

money::object!(RatePut, "a rate object");

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    crate::purchases::parse_time(&String::deserialize(deserializer)?)
}

/// A rate, as returned by `GET /rates/{base}/{quote}`.
pub type RateQuote = ShownRate;

/// The result of an import, as counts of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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

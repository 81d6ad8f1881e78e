//! The JSON of exchange rates.

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
    /// A version of the rates, as its owner and every copy keep it. Never changed.
    pub struct RateRow: "rates" {
        key {
            /// 1, 2, 3 …
            version: u64 => Integer,
        }
        value {
            /// From when on.
            valid_from: DateTime<Utc> => Time,
            /// Who set them.
            source: RateSource => Text,
            /// Only those that are new or changed.
            rates: RatesByPair => Json,
            /// Whether the history is complete from this version on.
            complete: bool => Flag,
        }
    }
}

impl RateRow {
    /// Its version.
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

/// The query of `GET /rates` and `GET /rates/{base}/{quote}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// The moment to look at; none: now.
    #[serde(default, deserialize_with = "crate::purchases::in_microseconds")]
    pub at: Option<DateTime<Utc>>,
}

/// Body of `PUT /rates/{base}/{quote}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RatePut {
    /// Units of quote for one base.
    pub rate: Rate,
    /// From when on.
    #[serde(deserialize_with = "moment")]
    pub valid_from: DateTime<Utc>,
}

money::object!(RatePut, "a rate: an object");

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    crate::purchases::moment(&String::deserialize(deserializer)?)
}

/// A rate as `GET /rates/{base}/{quote}` shows it.
pub type RateQuote = ShownRate;

/// What an import came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// Rates in the file.
    pub read: u64,
    /// Of these, those of a day for which the currency had no rate.
    pub new: u64,
    /// Of these, those that replace another rate of the same day.
    pub changed: u64,
    /// Of these, those that say what was known already.
    pub unchanged: u64,
}

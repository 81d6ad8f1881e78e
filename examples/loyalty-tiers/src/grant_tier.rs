//! `grant-tier`: customers with 10 points are silver, with 100 gold.
//!
//! The stage keeps a row per customer who has a tier. It writes only when the tier changes, and it emits nothing.

use std::fmt;
use std::str::FromStr;

use contracts::CustomerId;
use loyalty::award::{POINTS, PointsAwarded, PointsFact};
use serde::Serialize;
use stage::{Event, Outputs, Partitioning, ReadSet, Row as _, Stage, StageError, Stream, Table, Text, WorkingSet};

/// A tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// From 10 points.
    Silver,
    /// From 100 points.
    Gold,
}

impl Tier {
    /// The tier of this many points, if any.
    pub fn of_points(points: u64) -> Option<Self> {
        match points {
            0..10 => None,
            10..100 => Some(Self::Silver),
            100.. => Some(Self::Gold),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Silver => "silver",
            Self::Gold => "gold",
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "silver" => Ok(Self::Silver),
            "gold" => Ok(Self::Gold),
            other => Err(format!("{other} is no tier")),
        }
    }
}

stage::row! {
    /// The tier of a customer.
    pub struct TierRow: "tiers" {
        key {
            /// The customer.
            customer: CustomerId => Text,
        }
        value {
            /// The tier; it never falls.
            tier: Tier => Text,
        }
    }
}

/// Grants tiers.
pub struct GrantTier;

impl Stage for GrantTier {
    type Input = PointsFact;
    type Output = PointsFact;
    const NAME: &'static str = "grant-tier";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&POINTS];
    const TABLES: &'static [&'static Table] = &[TierRow::TABLE];

    fn read_set(&self, event: &Event<PointsFact>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        let PointsFact::PointsAwarded(PointsAwarded { customer, .. }) = &event.fact;
        reads.row::<TierRow>(&(customer.clone(),));
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<PointsFact>,
        rows: &mut WorkingSet,
        _: &mut Outputs<PointsFact>,
    ) -> Result<(), StageError> {
        let PointsFact::PointsAwarded(PointsAwarded { customer, total, .. }) = &event.fact;
        match Tier::of_points(*total) {
            Some(tier) => rows.put(&TierRow { customer: customer.clone(), tier }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

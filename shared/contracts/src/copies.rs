//! JSON of local copies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A local copy of another service's facts, as returned by `GET /copies`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LocalCopy {
    /// The name of the copy: `rates`.
    pub copy: String,
    /// The service that publishes the facts: `exchange-rate`.
    pub of: String,
    /// The newest version in the copy; 0 when the copy is empty.
    #[schema(minimum = 0)]
    pub version: u64,
    /// Whether the copy holds the complete history. Once true, it stays true.
    pub is_complete: bool,
    /// The latest time from which a version in the copy is valid; null when the copy is empty.
    #[schema(required)]
    pub newest_valid_from: Option<DateTime<Utc>>,
    /// When this service committed the newest version; null when the copy is empty.
    #[schema(required)]
    pub applied_at: Option<DateTime<Utc>>,
    /// Seconds since `applied_at`. The age grows both when nothing new is published and when nothing arrives.
    #[schema(required)]
    pub age_seconds: Option<f64>,
}

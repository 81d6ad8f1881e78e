//! The JSON of local copies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A service's local copy of another's facts, as `GET /copies` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LocalCopy {
    /// Its name: `rates`.
    pub copy: String,
    /// The service that publishes what is copied: `exchange-rate`.
    pub of: String,
    /// The newest version in the copy; 0: none.
    #[schema(minimum = 0)]
    pub version: u64,
    /// Whether it has had everything that there was when it began. Once it has, it has for ever.
    pub is_complete: bool,
    /// The latest moment from which on something in the copy holds.
    #[schema(required)]
    pub newest_valid_from: Option<DateTime<Utc>>,
    /// When the newest version was committed here.
    #[schema(required)]
    pub applied_at: Option<DateTime<Utc>>,
    /// Seconds since then. It grows while nothing new is published, whether there is nothing or nothing arrives.
    #[schema(required)]
    pub age_seconds: Option<f64>,
}

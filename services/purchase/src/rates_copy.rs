//! The state of the local copy of the rates: its newest version, whether it is complete, and its age.

mod metrics;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::web::Condition;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use contracts::{LocalCopy, RateRow};
use dataflow::{Store, StoreError};
use stage::Row as _;

use crate::copy_rates::CopyRates;

/// The name of the copy, also of its table and in its metrics.
const RATES: &str = "rates";
/// Number of versions read at a time.
const VERSIONS_MAX: usize = 1_000;

/// The state of the copy of the rates, updated with every commit of the copy. Clones share it.
#[derive(Clone, Debug)]
pub struct RatesCopy {
    known: Arc<Mutex<Known>>,
    complete: Condition,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// 0 if there is none.
    version: u64,
    /// Once true, it stays true.
    is_complete: bool,
    newest_valid_from: Option<DateTime<Utc>>,
    applied_at: Option<DateTime<Utc>>,
}

impl RatesCopy {
    /// The state of an empty copy. The condition is met when the history is complete.
    pub fn new(complete: Condition) -> Self {
        Self { known: Arc::default(), complete }
    }

    /// Adds the state of the stored copy to what was seen since the start. Call it only after claiming the copy: later
    /// commits of another instance would not be seen here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let applied_at = dataflow::last_applied_at::<CopyRates>(store).await?;
        let mut after = None;
        loop {
            let rows = store.rows::<RateRow>(&[], after.as_deref(), VERSIONS_MAX).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(RateRow::key_cells(&(last.version,)));
            self.add(rows, applied_at);
        }
    }

    /// Adds versions, and the time of their commit if it is known.
    pub fn add(&self, versions: impl IntoIterator<Item = RateRow>, applied_at: Option<DateTime<Utc>>) {
        let mut known = self.known();
        for RateRow { version, valid_from, complete, .. } in versions {
            known.version = known.version.max(version);
            known.applied_at = known.applied_at.max(applied_at.map(|at| at.trunc_subsecs(6)));
            // The end of the history is a version without rates.
            if complete {
                known.is_complete = true;
                self.complete.met();
            } else {
                known.newest_valid_from = known.newest_valid_from.max(Some(valid_from));
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the copy has the whole history, so that purchases may be accepted.
    pub fn is_complete(&self) -> bool {
        self.known().is_complete
    }

    /// The state in the JSON of `GET /copies`.
    pub fn view(&self, now: DateTime<Utc>) -> LocalCopy {
        let known = *self.known();
        let Known { version, is_complete, newest_valid_from, applied_at } = known;
        let (copy, of, age_seconds) = (RATES.to_owned(), contracts::RATES.service.to_owned(), known.age_seconds(now));
        LocalCopy { copy, of, version, is_complete, newest_valid_from, applied_at, age_seconds }
    }
}

impl Known {
    #[allow(clippy::cast_precision_loss)] // Exact for 285,000 years of milliseconds.
    fn age_seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        let age = (now - self.applied_at?).max(TimeDelta::zero());
        Some(age.num_milliseconds() as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use ::web::Readiness;

    use super::*;

    pub(super) fn empty() -> RatesCopy {
        RatesCopy::new(Readiness::default().require("rates", ""))
    }

    pub(super) fn version(version: u64, valid_from: &str, complete: bool) -> RateRow {
        let (source, rates) = ("ecb".parse().unwrap(), [].into());
        RateRow { version, valid_from: valid_from.parse().unwrap(), source, rates, complete }
    }

    fn check(copy: &RatesCopy, now: &str, expected: &str) {
        let view = copy.view(now.parse().unwrap());
        assert_eq!(serde_json::to_string(&view).unwrap(), expected);
    }

    #[test]
    fn an_empty_copy_has_no_times() {
        let copy = empty();
        let expected = r#"{"copy":"rates","of":"exchange-rate","version":0,"is_complete":false,"newest_valid_from":null,"applied_at":null,"age_seconds":null}"#;
        check(&copy, "2026-10-30T12:00:00Z", expected);
    }

    #[test]
    fn the_newest_version_and_its_age_are_shown() {
        let copy = empty();
        copy.add([version(1, "2026-10-30T00:00:00Z", false), version(2, "2026-10-29T00:00:00Z", false)], None);
        assert!(!copy.is_complete() && !copy.complete.is_met());
        let applied_at = "2026-11-24T12:00:00.123456789Z".parse().unwrap();
        copy.add([version(3, "2026-11-24T12:00:00Z", true)], Some(applied_at));
        assert!(copy.is_complete() && copy.complete.is_met());
        let expected = |age: &str| {
            format!(
                r#"{{"copy":"rates","of":"exchange-rate","version":3,"is_complete":true,"newest_valid_from":"2026-10-30T00:00:00Z","applied_at":"2026-11-24T12:00:00.123456Z","age_seconds":{age}}}"#
            )
        };
        check(&copy, "2026-11-24T12:00:12.423456Z", &expected("12.3"));
        check(&copy, "2026-11-24T11:00:00Z", &expected("0.0"));
        copy.add([], Some(applied_at + TimeDelta::hours(1)));
        check(&copy, "2026-11-24T12:00:12.423456Z", &expected("12.3"));
    }
}

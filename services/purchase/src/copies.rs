//! The state and the age of the local copy of the rates, for `GET /copies` and the metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::web::Condition;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use contracts::{LocalCopy, RateRow};
use dataflow::{Store, StoreError};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts, Registry};
use stage::{BatchNumber, Consumed, Partition, Producer, Row as _, Stage as _};

use crate::copy_rates::CopyRates;

/// The name of the copy, also of its table and in its metrics.
const RATES: &str = "rates";
/// The service that publishes the rates.
const EXCHANGE_RATE: &str = "exchange-rate";
/// Number of versions read at a time.
const VERSIONS_MAX: usize = 1_000;
/// Number of batch records read at a time.
const RECORDS_MAX: u64 = 100;

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
        let applied_at = last_applied(store).await?;
        let mut after = None;
        loop {
            let rows = store.rows::<RateRow>(&[], after.as_deref(), VERSIONS_MAX).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(RateRow::key_cells(&(last.version,)));
            self.see(rows, applied_at);
        }
    }

    /// Adds versions, and the time of their commit if it is known.
    pub fn see(&self, versions: impl IntoIterator<Item = RateRow>, applied_at: Option<DateTime<Utc>>) {
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
    pub fn shown(&self, now: DateTime<Utc>) -> LocalCopy {
        let known = *self.known();
        let Known { version, is_complete, newest_valid_from, applied_at } = known;
        let (copy, of, age_seconds) = (RATES.to_owned(), EXCHANGE_RATE.to_owned(), known.age_seconds(now));
        LocalCopy { copy, of, version, is_complete, newest_valid_from, applied_at, age_seconds }
    }

    /// Registers the metrics. Each scrape computes them.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help).const_label("copy", RATES));
        let age = gauge("local_copy_age_seconds", "Time since the newest version of a local copy was committed.")?;
        let newest = gauge(
            "local_copy_newest_valid_from_timestamp_seconds",
            "Time from which the newest rates of a local copy are valid.",
        )?;
        registry.register(Box::new(Metrics { copy: self.clone(), age, newest }))
    }
}

impl Known {
    #[allow(clippy::cast_precision_loss)] // Exact for 285,000 years of milliseconds.
    fn age_seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        let age = (now - self.applied_at?).max(TimeDelta::zero());
        Some(age.num_milliseconds() as f64 / 1_000.0)
    }
}

/// Computed by each scrape, so that nothing has to update them in between.
struct Metrics {
    copy: RatesCopy,
    age: Gauge,
    newest: Gauge,
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.age.desc(), self.newest.desc()].concat()
    }

    #[allow(clippy::cast_precision_loss)] // Exact for 285 million years of seconds.
    fn collect(&self) -> Vec<MetricFamily> {
        let known = *self.copy.known();
        let mut families = Vec::new();
        if let Some(age) = known.age_seconds(Utc::now()) {
            self.age.set(age);
            families.extend(self.age.collect());
        }
        if let Some(newest) = known.newest_valid_from {
            self.newest.set(newest.timestamp() as f64);
            families.extend(self.newest.collect());
        }
        families
    }
}

/// When the copy was last changed: the time of its newest batch record that is not a claim. There is one claim per
/// start, so few records are read.
async fn last_applied(store: &Store) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut last = None;
    for partition in CopyRates::PARTITIONING.partitions(store.meta().partitions) {
        last = last.max(last_of(store, partition).await?);
    }
    Ok(last)
}

async fn last_of(store: &Store, partition: Partition) -> Result<Option<DateTime<Utc>>, StoreError> {
    let owner = Producer::new(CopyRates::NAME, partition);
    let mut end = store.newest(&owner).await?.map_or(0, |record| record.number.0);
    while end > 0 {
        let from = end.saturating_sub(RECORDS_MAX - 1).max(1);
        let limit = usize::try_from(end - from + 1).unwrap_or(usize::MAX);
        for record in store.records(&owner, BatchNumber(from), limit).await?.into_iter().rev() {
            let damaged =
                |why: String| StoreError::Damaged(format!("batch record {} of {owner}: {why}", record.number.0));
            match record.parse_consumed().map_err(|error| damaged(error.to_string()))? {
                Consumed::Claim => {}
                Consumed::Frames(_) | Consumed::Requests(_) => {
                    let time = record.committed_at.parse();
                    return time.map(Some).map_err(|error: chrono::ParseError| damaged(error.to_string()));
                }
            }
        }
        end = from - 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use ::web::Readiness;

    use super::*;

    fn nothing() -> RatesCopy {
        RatesCopy::new(Readiness::default().require("rates", ""))
    }

    fn version(version: u64, valid_from: &str, complete: bool) -> RateRow {
        let (source, rates) = ("ecb".parse().unwrap(), [].into());
        RateRow { version, valid_from: valid_from.parse().unwrap(), source, rates, complete }
    }

    fn check(copy: &RatesCopy, now: &str, expected: &str) {
        let shown = copy.shown(now.parse().unwrap());
        assert_eq!(serde_json::to_string(&shown).unwrap(), expected);
    }

    #[test]
    fn an_empty_copy_has_no_times_and_no_metrics() {
        let copy = nothing();
        let expected = r#"{"copy":"rates","of":"exchange-rate","version":0,"is_complete":false,"newest_valid_from":null,"applied_at":null,"age_seconds":null}"#;
        check(&copy, "2026-10-30T12:00:00Z", expected);
        let registry = Registry::new();
        copy.register(&registry).unwrap();
        assert!(registry.gather().is_empty());
    }

    #[test]
    fn the_newest_version_and_its_age_are_shown() {
        let copy = nothing();
        copy.see([version(1, "2026-10-30T00:00:00Z", false), version(2, "2026-10-29T00:00:00Z", false)], None);
        assert!(!copy.is_complete() && !copy.complete.is_met());
        let applied_at = "2026-11-24T12:00:00.123456789Z".parse().unwrap();
        copy.see([version(3, "2026-11-24T12:00:00Z", true)], Some(applied_at));
        assert!(copy.is_complete() && copy.complete.is_met());
        let shown = |age: &str| {
            format!(
                r#"{{"copy":"rates","of":"exchange-rate","version":3,"is_complete":true,"newest_valid_from":"2026-10-30T00:00:00Z","applied_at":"2026-11-24T12:00:00.123456Z","age_seconds":{age}}}"#
            )
        };
        check(&copy, "2026-11-24T12:00:12.423456Z", &shown("12.3"));
        check(&copy, "2026-11-24T11:00:00Z", &shown("0.0"));
        copy.see([], Some(applied_at + TimeDelta::hours(1)));
        check(&copy, "2026-11-24T12:00:12.423456Z", &shown("12.3"));
    }

    #[test]
    fn each_scrape_computes_the_metrics() {
        let (copy, registry) = (nothing(), Registry::new());
        copy.register(&registry).unwrap();
        copy.see([version(1, "2026-10-30T00:00:00Z", false)], Some(Utc::now() - TimeDelta::hours(1)));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert_eq!(value("local_copy_newest_valid_from_timestamp_seconds{copy=\"rates\"}"), Some(1_793_318_400.0));
        let age = value("local_copy_age_seconds{copy=\"rates\"}").unwrap();
        assert!((3_600.0..3_660.0).contains(&age), "{age}");
    }
}

//! `GET /copies`, and the same as figures: how far the local copy of the rates is, and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::{Data, Json};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use contracts::{LocalCopy, RateRow};
use dataflow::{Store, StoreError};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts, Registry};
use stage::{BatchNumber, Change, Codec, Flag, Integer, Partition, Producer, Read, Row as _, Stage as _, Time};

use crate::copy_rates::CopyRates;
use crate::http::Purchases;

/// The name of the copy, of its table and in its figures.
const RATES: &str = "rates";
/// Who publishes them.
const EXCHANGE_RATE: &str = "exchange-rate";
/// Batch records looked through at a time.
const RECORDS_MAX: u64 = 100;

/// The local copies, and how old they are.
///
/// A purchase is priced with the copy of the rates: no other service is asked.
#[utoipa::path(
    get, path = "/copies", tag = "copies", operation_id = "list_copies",
    responses((status = 200, description = "The copies.", body = [LocalCopy]))
)]
pub async fn get(purchases: Data<Purchases>) -> Json<Vec<LocalCopy>> {
    Json(vec![purchases.copy.rates.shown(purchases.copy.is_complete(), Utc::now())])
}

/// How far the copy of the rates is. Every commit of the copy is seen here; clones share it.
#[derive(Clone, Debug, Default)]
pub struct RatesCopy(Arc<Mutex<Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// 0: none.
    version: u64,
    newest_valid_from: Option<DateTime<Utc>>,
    applied_at: Option<DateTime<Utc>>,
}

impl RatesCopy {
    /// Takes note of versions, and of when they were committed if that is known.
    pub fn see(&self, changes: &[Change], applied_at: Option<DateTime<Utc>>) {
        let mut known = self.known();
        for change in changes.iter().filter(|change| change.table.name == RateRow::TABLE.name) {
            // Only these columns: at a start there are thousands of rows, and the rates themselves are long.
            let version = change.cell("version").and_then(<Integer as Codec<u64>>::from_cell);
            let valid_from = change.cell("valid_from").and_then(<Time as Codec<DateTime<Utc>>>::from_cell);
            let is_end = change.cell("complete").and_then(<Flag as Codec<bool>>::from_cell);
            known.version = known.version.max(version.unwrap_or_default());
            known.applied_at = known.applied_at.max(applied_at.map(|at| at.trunc_subsecs(6)));
            // The end of the history is a version, but no rates.
            if is_end == Some(false) {
                known.newest_valid_from = known.newest_valid_from.max(valid_from);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, is_complete: bool, now: DateTime<Utc>) -> LocalCopy {
        let known = *self.known();
        let Known { version, newest_valid_from, applied_at } = known;
        let (copy, of, age_seconds) = (RATES.to_owned(), EXCHANGE_RATE.to_owned(), known.age_seconds(now));
        LocalCopy { copy, of, version, is_complete, newest_valid_from, applied_at, age_seconds }
    }

    /// Shows it in the figures, as it is when they are asked for.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help).const_label("copy", RATES));
        let age = gauge("local_copy_age_seconds", "Since the newest version of a local copy was committed here.")?;
        let newest = gauge("local_copy_newest_valid_from_timestamp_seconds", "The newest that a local copy has.")?;
        registry.register(Box::new(Figures { copy: self.clone(), age, newest }))
    }
}

impl Known {
    #[allow(clippy::cast_precision_loss)] // Milliseconds of 285,000 years.
    fn age_seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        let age = (now - self.applied_at?).max(TimeDelta::zero());
        Some(age.num_milliseconds() as f64 / 1_000.0)
    }
}

/// Computed for each look at the figures; nothing has to keep them right in between.
struct Figures {
    copy: RatesCopy,
    age: Gauge,
    newest: Gauge,
}

impl Collector for Figures {
    fn desc(&self) -> Vec<&Desc> {
        [self.age.desc(), self.newest.desc()].concat()
    }

    #[allow(clippy::cast_precision_loss)] // Seconds of 285 million years.
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

/// When the copy was last changed, by its batch records: the newest that is not only a claim. There is a claim for each
/// start, so that not many are looked at.
///
/// # Errors
/// [`StoreError`].
pub async fn last_applied(store: &Store) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut last = None;
    for partition in CopyRates::SPREAD.partitions(store.meta().partitions) {
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
            match record.parse_read().map_err(|error| damaged(error.to_string()))? {
                Read::Claim => {}
                Read::Frames(_) | Read::Requests(_) => {
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
    use stage::Write;

    use super::*;

    fn version(version: u64, valid_from: &str, complete: bool) -> Change {
        let (source, rates) = ("ecb".parse().unwrap(), [].into());
        let row = RateRow { version, valid_from: valid_from.parse().unwrap(), source, rates, complete };
        Change { table: RateRow::TABLE, write: Write::Insert, cells: row.to_cells() }
    }

    fn check(copy: &RatesCopy, now: &str, expected: &str) {
        let shown = copy.shown(true, now.parse().unwrap());
        assert_eq!(serde_json::to_string(&shown).unwrap(), expected);
    }

    #[test]
    fn a_copy_of_nothing_says_so() {
        let copy = RatesCopy::default();
        let expected = r#"{"copy":"rates","of":"exchange-rate","version":0,"is_complete":true,"newest_valid_from":null,"applied_at":null,"age_seconds":null}"#;
        check(&copy, "2026-10-30T12:00:00Z", expected);
        let registry = Registry::new();
        copy.register(&registry).unwrap();
        assert!(registry.gather().is_empty());
    }

    #[test]
    fn the_newest_of_all_versions_and_their_age_are_shown() {
        let copy = RatesCopy::default();
        copy.see(&[version(1, "2026-10-30T00:00:00Z", false), version(2, "2026-10-29T00:00:00Z", false)], None);
        let applied_at = "2026-11-24T12:00:00.123456789Z".parse().unwrap();
        copy.see(&[version(3, "2026-11-24T12:00:00Z", true)], Some(applied_at));
        let shown = |age: &str| {
            format!(
                r#"{{"copy":"rates","of":"exchange-rate","version":3,"is_complete":true,"newest_valid_from":"2026-10-30T00:00:00Z","applied_at":"2026-11-24T12:00:00.123456Z","age_seconds":{age}}}"#
            )
        };
        check(&copy, "2026-11-24T12:00:12.423456Z", &shown("12.3"));
        check(&copy, "2026-11-24T11:00:00Z", &shown("0.0"));
        copy.see(&[], Some(applied_at + TimeDelta::hours(1)));
        check(&copy, "2026-11-24T12:00:12.423456Z", &shown("12.3"));
    }

    #[test]
    fn the_figures_are_of_the_moment_in_which_they_are_asked_for() {
        let (copy, registry) = (RatesCopy::default(), Registry::new());
        copy.register(&registry).unwrap();
        copy.see(&[version(1, "2026-10-30T00:00:00Z", false)], Some(Utc::now() - TimeDelta::hours(1)));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert_eq!(value("local_copy_newest_valid_from_timestamp_seconds{copy=\"rates\"}"), Some(1_793_318_400.0));
        let age = value("local_copy_age_seconds{copy=\"rates\"}").unwrap();
        assert!((3_600.0..3_660.0).contains(&age), "{age}");
    }
}

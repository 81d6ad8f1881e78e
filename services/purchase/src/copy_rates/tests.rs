use contracts::{HistoryImported, RatesByPair, RatesPublished};
use money::{RateSource, RateVersion};
use stage::{PartitionCount, partition_of};
use stage_harness::{StageHarness, cut, event};

use super::*;

fn ecb() -> RateSource {
    "ecb".parse().unwrap()
}

fn published(version: u64, day: &str, rate: &str) -> RatesFact {
    let one = [("GBP".parse().unwrap(), rate.parse().unwrap())].into();
    let rates: RatesByPair = [("EUR".parse().unwrap(), one)].into();
    let valid_from = format!("{day}T00:00:00Z").parse().unwrap();
    RatesFact::RatesPublished(RatesPublished { version: RateVersion(version), valid_from, source: ecb(), rates })
}

fn imported(version: u64) -> RatesFact {
    let imported_at = "2011-12-09T12:50:00Z".parse().unwrap();
    RatesFact::HistoryImported(HistoryImported { version: RateVersion(version), source: ecb(), imported_at })
}

/// Expects rows `version day rate`, and `version day complete` for the end of the history.
fn check(facts: &[RatesFact], expected: &[&str]) {
    for size in [1, 2, usize::MAX] {
        let partitions = PartitionCount::new(8).unwrap();
        let mut harness = StageHarness::new(CopyRates, partition_of(RATES_KEY, partitions), partitions);
        for batch in cut(facts.to_vec(), &[size]) {
            let told = |fact: RatesFact| event("import", chrono::DateTime::UNIX_EPOCH, fact);
            harness.read_facts(&RATES, &batch.into_iter().map(told).collect::<Vec<_>>()).unwrap();
        }
        let rows = harness.rows::<RateRow>().unwrap();
        assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), expected);
        assert_eq!(rows, facts.iter().filter_map(row_of).collect::<Vec<_>>());
        assert!(harness.state().frames.is_empty());
        assert_eq!(harness.replay(CopyRates).unwrap(), *harness.state());
    }
}

fn shown(row: &RateRow) -> String {
    let rates = row.rates.values().flat_map(|quotes| quotes.values()).map(ToString::to_string);
    let rates = if row.complete { "complete".to_owned() } else { rates.collect() };
    format!("{} {} {rates}", row.version, row.valid_from.date_naive())
}

fn row_of(fact: &RatesFact) -> Option<RateRow> {
    match fact {
        RatesFact::RatesPublished(rates) => Some(RateRow::from(rates)),
        RatesFact::HistoryImported(history) => Some(RateRow::from(history)),
    }
}

#[test]
fn every_version_is_kept_as_it_was_published() {
    check(&[], &[]);
    check(&[published(1, "2010-12-01", "0.848")], &["1 2010-12-01 0.848"]);
    let corrected = [published(1, "2010-12-01", "0.848"), published(2, "2010-12-01", "0.849")];
    check(&corrected, &["1 2010-12-01 0.848", "2 2010-12-01 0.849"]);
}

#[test]
fn rows_are_in_the_order_of_their_versions() {
    let facts: Vec<_> = (1..=12).map(|version| published(version, "2010-12-01", "0.848")).collect();
    let expected: Vec<_> = (1..=12).map(|version| format!("{version} 2010-12-01 0.848")).collect();
    check(&facts, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_copy_is_complete_once_the_history_is_imported() {
    let facts = [published(1, "2010-12-01", "0.848"), imported(2), published(3, "2011-12-12", "0.85")];
    check(&facts, &["1 2010-12-01 0.848", "2 2011-12-09 complete", "3 2011-12-12 0.85"]);
}

#[test]
fn a_second_row_of_a_version_is_refused() {
    let partitions = PartitionCount::new(1).unwrap();
    let mut harness = StageHarness::new(CopyRates, partition_of(RATES_KEY, partitions), partitions);
    let told = |fact: RatesFact| event("import", chrono::DateTime::UNIX_EPOCH, fact);
    harness.read_facts(&RATES, &[told(published(1, "2010-12-01", "0.848"))]).unwrap();
    let again = harness.read_facts(&RATES, &[told(published(1, "2010-12-01", "0.9"))]);
    assert!(matches!(again, Err(StageError::Exists { table: "rates", .. })));
}

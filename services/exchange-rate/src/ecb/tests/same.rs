//! All formats have the same rates for the same day.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::parse;
use crate::ecb::{BUILT_IN, Day};

fn days(file: &[u8]) -> BTreeMap<NaiveDate, Day> {
    parse(file).unwrap().days.into_iter().map(|day| (day.date, day)).collect()
}

#[test]
fn every_day_of_the_other_formats_is_in_the_history_with_the_same_rates() {
    let history = days(BUILT_IN);
    for file in [super::csv::DAILY, super::xml::DAILY, super::xml::NINETY_DAYS] {
        for (date, day) in days(file) {
            assert_eq!(Some(&day), history.get(&date), "{date}");
        }
    }
}

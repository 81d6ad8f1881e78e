//! The history of exchange rates in two dimensions: the time from which a rate is valid, and the version that published
//! it.
//!
//! Structure: one list per published pair, ordered by `valid_from` and then by version. A lookup is a binary search in
//! up to four lists. An entry takes 20 bytes, so the ECB's whole history (221,702 numbers) takes 6.4 MB. An entry
//! refers to its publication by index, since all rates of a publication share version, time and source.
//!
//! Guarantee: a lookup at a captured version depends only on the facts up to that version. Repeating a calculation with
//! the version that it recorded always gives the same result.
//!
//! The book never forgets a rate, never interpolates, never judges whether a rate is too old, and never uses a rate
//! that becomes valid after the requested time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{Conversion, Currency, PublishedRate, Rate, RateSource, RateVersion};

/// All versions of all published rates, in memory.
#[derive(Clone, Debug, Default)]
pub struct RateBook {
    // Invariant: ordered by version, without duplicates.
    publications: Vec<Publication>,
    // Invariant: each list is ordered by the `(valid_from, version)` of its entries' publications.
    pairs: BTreeMap<(Currency, Currency), Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct Publication {
    version: RateVersion,
    valid_from: DateTime<Utc>,
    source: RateSource,
}

#[derive(Clone, Debug)]
struct Entry {
    rate: Rate,
    publication: u32,
}

const _: () = assert!(size_of::<Entry>() == 20, "the documented size of the book assumes 20 bytes");

impl RateBook {
    /// Adds the rates of one version, by base and quote, all valid from the same time. Versions arrive in increasing
    /// order; a version that is not above the newest one is a duplicate and is ignored.
    pub fn insert(
        &mut self,
        version: RateVersion,
        valid_from: DateTime<Utc>,
        source: &RateSource,
        rates: &BTreeMap<Currency, BTreeMap<Currency, Rate>>,
    ) {
        if version <= self.newest_version() {
            return;
        }
        let Ok(publication) = u32::try_from(self.publications.len()) else {
            unreachable!("four billion publications do not fit into memory")
        };
        self.publications.push(Publication { version, valid_from, source: source.clone() });
        for (base, quotes) in rates {
            for (quote, rate) in quotes {
                let entries = self.pairs.entry((*base, *quote)).or_default();
                let place = valid_until(&self.publications, entries, valid_from);
                entries.insert(place, Entry { rate: *rate, publication });
            }
        }
    }

    /// The newest version in the book; 0 when the book is empty.
    #[must_use]
    pub fn newest_version(&self) -> RateVersion {
        self.publications.last().map_or(RateVersion::default(), |publication| publication.version)
    }

    /// The conversion from `base` into `quote` at a time, as known at the version `captured`: the newest of the pair
    /// itself, its inverse and the cross through the euro (as old as its older rate). A tie is resolved in that order.
    /// `None` when no rate was valid at that time. The caller decides whether the rate is too old.
    #[must_use]
    pub fn as_of(
        &self,
        base: Currency,
        quote: Currency,
        at: DateTime<Utc>,
        captured: RateVersion,
    ) -> Option<Conversion> {
        if base == quote {
            return Some(Conversion::Same);
        }
        let published = |base, quote| self.published(base, quote, at, captured);
        let cross = || {
            let (to_base, to_quote) = (published(Currency::EUR, base)?, published(Currency::EUR, quote)?);
            Some(Conversion::Cross { to_base, to_quote })
        };
        let direct = published(base, quote).map(Conversion::Direct);
        let inverse = published(quote, base).map(Conversion::Inverse);
        // `max_by_key` takes the last of equally new conversions.
        [cross(), inverse, direct].into_iter().flatten().max_by_key(Conversion::valid_from)
    }

    /// The rates of all published pairs that were valid at a time, as known at the version `captured`; ordered by base
    /// and quote.
    #[must_use]
    pub fn all_as_of(&self, at: DateTime<Utc>, captured: RateVersion) -> Vec<PublishedRate> {
        self.pairs.keys().filter_map(|(base, quote)| self.published(*base, *quote, at, captured)).collect()
    }

    fn published(
        &self,
        base: Currency,
        quote: Currency,
        at: DateTime<Utc>,
        captured: RateVersion,
    ) -> Option<PublishedRate> {
        let entries = self.pairs.get(&(base, quote))?;
        let valid = &entries[..valid_until(&self.publications, entries, at)];
        // Skips entries that are newer than the captured version. There are none unless an old calculation is repeated.
        valid.iter().rev().find_map(|entry| {
            let Publication { version, valid_from, source } = &self.publications[entry.publication as usize];
            let known = *version <= captured;
            known.then(|| PublishedRate {
                base,
                quote,
                rate: entry.rate,
                valid_from: *valid_from,
                source: source.clone(),
            })
        })
    }
}

/// The number of entries that are valid from `at` or earlier.
fn valid_until(publications: &[Publication], entries: &[Entry], at: DateTime<Utc>) -> usize {
    entries.partition_point(|entry| publications[entry.publication as usize].valid_from <= at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    use super::RateBook;
    use crate::{Conversion, Currency, PublishedRate, RateSource, RateVersion};

    fn day(day: u8) -> DateTime<Utc> {
        "2010-12-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(i64::from(day) - 1)
    }

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn ecb() -> RateSource {
        "ecb".parse().unwrap()
    }

    /// A publication: version, day, and rates such as `EUR/GBP 0.848`.
    type Fact = (u64, u8, &'static [&'static str]);

    fn book(facts: &[Fact]) -> RateBook {
        let mut book = RateBook::default();
        for (version, valid_from, rates) in facts {
            let mut by_base: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
            for text in *rates {
                let (pair, rate) = text.split_once(' ').unwrap();
                let (base, quote) = pair.split_once('/').unwrap();
                by_base.entry(currency(base)).or_default().insert(currency(quote), rate.parse().unwrap());
            }
            book.insert(RateVersion(*version), day(*valid_from), &ecb(), &by_base);
        }
        book
    }

    fn text(conversion: &Conversion) -> String {
        let shown = |p: &PublishedRate| format!("{}/{} {}", p.base, p.quote, p.rate);
        match conversion {
            Conversion::Same => "same".to_owned(),
            Conversion::Direct(published) => format!("direct {}", shown(published)),
            Conversion::Inverse(published) => format!("inverse {}", shown(published)),
            Conversion::Cross { to_base, to_quote } => {
                format!("cross {}, {}", shown(to_base), shown(to_quote))
            }
        }
    }

    /// Looks up `pair` at noon of a day, at a captured version.
    fn check(facts: &[Fact], (pair, at, captured): (&str, u8, u64), expected: &str) {
        let (base, quote) = pair.split_once('/').unwrap();
        let noon = day(at) + TimeDelta::hours(12);
        let found = book(facts).as_of(currency(base), currency(quote), noon, RateVersion(captured));
        assert_eq!(found.as_ref().map_or("none".to_owned(), text), expected);
    }

    #[test]
    fn the_newest_rate_that_is_already_valid_is_used() {
        let facts: &[Fact] = &[(1, 1, &["EUR/GBP 0.84"]), (2, 2, &["EUR/GBP 0.85"]), (3, 6, &["EUR/GBP 0.86"])];
        check(facts, ("EUR/GBP", 1, 3), "direct EUR/GBP 0.84");
        check(facts, ("EUR/GBP", 2, 3), "direct EUR/GBP 0.85");
        check(facts, ("EUR/GBP", 5, 3), "direct EUR/GBP 0.85");
        check(facts, ("EUR/GBP", 30, 3), "direct EUR/GBP 0.86");
        check(facts, ("EUR/GBP", 0, 3), "none");
        check(facts, ("EUR/JPY", 5, 3), "none");
    }

    #[test]
    fn a_rate_is_valid_exactly_from_its_time_on() {
        let book = book(&[(1, 2, &["EUR/GBP 0.85"])]);
        let found = |at| book.as_of(Currency::EUR, Currency::GBP, at, RateVersion(1));
        assert!(found(day(2)).is_some());
        assert!(found(day(2) - TimeDelta::nanoseconds(1)).is_none());
    }

    #[test]
    fn a_rate_published_after_the_captured_version_is_not_seen() {
        let facts: &[Fact] = &[(1, 1, &["EUR/GBP 0.84"]), (2, 2, &["EUR/GBP 0.85"]), (3, 3, &["EUR/GBP 0.86"])];
        check(facts, ("EUR/GBP", 9, 2), "direct EUR/GBP 0.85");
        check(facts, ("EUR/GBP", 9, 1), "direct EUR/GBP 0.84");
        check(facts, ("EUR/GBP", 9, 0), "none");
    }

    #[test]
    fn a_correction_for_the_same_time_replaces_the_rate_from_its_version_on() {
        let facts: &[Fact] = &[(1, 1, &["EUR/GBP 0.84"]), (2, 2, &["EUR/GBP 0.85"]), (3, 1, &["EUR/GBP 0.99"])];
        check(facts, ("EUR/GBP", 1, 3), "direct EUR/GBP 0.99");
        check(facts, ("EUR/GBP", 1, 2), "direct EUR/GBP 0.84");
        check(facts, ("EUR/GBP", 2, 3), "direct EUR/GBP 0.85");
    }

    #[test]
    fn a_rate_for_an_earlier_day_may_be_published_late() {
        let facts: &[Fact] = &[(1, 5, &["EUR/GBP 0.85"]), (2, 3, &["EUR/GBP 0.83"]), (3, 1, &["EUR/GBP 0.81"])];
        check(facts, ("EUR/GBP", 2, 3), "direct EUR/GBP 0.81");
        check(facts, ("EUR/GBP", 4, 3), "direct EUR/GBP 0.83");
        check(facts, ("EUR/GBP", 4, 1), "none");
        check(facts, ("EUR/GBP", 5, 3), "direct EUR/GBP 0.85");
    }

    #[test]
    fn a_tie_goes_to_the_pair_then_its_inverse_then_the_cross() {
        let cross = ["EUR/GBP 0.84", "EUR/USD 1.3"];
        let with = |version: u64, at: u8, rates: &'static [&'static str]| (version, at, rates);
        let cross_only: &[Fact] = &[(1, 1, &["EUR/GBP 0.84", "EUR/USD 1.3"])];
        check(cross_only, ("GBP/USD", 1, 9), &format!("cross {}, {}", cross[0], cross[1]));
        let inverse: &[Fact] = &[cross_only[0], with(2, 1, &["USD/GBP 0.6"])];
        check(inverse, ("GBP/USD", 1, 9), "inverse USD/GBP 0.6");
        let direct: &[Fact] = &[cross_only[0], inverse[1], with(3, 1, &["GBP/USD 1.6"])];
        check(direct, ("GBP/USD", 1, 9), "direct GBP/USD 1.6");
        check(direct, ("USD/GBP", 1, 9), "direct USD/GBP 0.6");
    }

    #[test]
    fn the_newest_of_pair_inverse_and_cross_is_used() {
        let facts: &[Fact] = &[
            (1, 1, &["GBP/USD 1.6"]),
            (2, 2, &["USD/GBP 0.6"]),
            (3, 3, &["EUR/USD 1.3"]),
            (4, 4, &["EUR/GBP 0.84"]),
            (5, 5, &["USD/GBP 0.61"]),
        ];
        check(facts, ("GBP/USD", 1, 9), "direct GBP/USD 1.6");
        check(facts, ("GBP/USD", 2, 9), "inverse USD/GBP 0.6");
        check(facts, ("GBP/USD", 3, 9), "inverse USD/GBP 0.6");
        check(facts, ("GBP/USD", 4, 9), "cross EUR/GBP 0.84, EUR/USD 1.3");
        check(facts, ("GBP/USD", 5, 9), "inverse USD/GBP 0.61");
    }

    #[test]
    fn a_cross_is_as_old_as_its_older_rate() {
        let facts: &[Fact] = &[(1, 1, &["EUR/GBP 0.84"]), (2, 2, &["GBP/USD 1.6"]), (3, 9, &["EUR/USD 1.3"])];
        check(facts, ("GBP/USD", 9, 9), "direct GBP/USD 1.6");
    }

    #[test]
    fn a_pair_with_the_euro_needs_no_cross() {
        let facts: &[Fact] = &[(1, 1, &["EUR/GBP 0.84"])];
        check(facts, ("GBP/EUR", 1, 1), "inverse EUR/GBP 0.84");
        check(facts, ("GBP/GBP", 1, 1), "same");
        check(&[], ("GBP/GBP", 1, 0), "same");
    }

    #[test]
    fn a_duplicate_version_changes_nothing() {
        let facts: &[Fact] = &[
            (1, 1, &["EUR/GBP 0.84"]),
            (3, 2, &["EUR/GBP 0.85"]),
            (3, 2, &["EUR/GBP 0.99"]),
            (2, 2, &["EUR/GBP 0.98"]),
        ];
        check(facts, ("EUR/GBP", 2, 9), "direct EUR/GBP 0.85");
        assert_eq!(book(facts).newest_version(), RateVersion(3));
        assert_eq!(book(&[]).newest_version(), RateVersion(0));
    }

    #[test]
    fn all_published_pairs_are_listed_in_order() {
        let book = book(&[(1, 1, &["EUR/USD 1.3", "EUR/GBP 0.84"]), (2, 2, &["CHF/EUR 0.7", "EUR/USD 1.4"])]);
        let listed = |at, captured| {
            let rates = book.all_as_of(day(at), RateVersion(captured));
            rates.iter().map(|p| format!("{}/{} {}", p.base, p.quote, p.rate)).collect::<Vec<_>>()
        };
        assert_eq!(listed(2, 2), ["CHF/EUR 0.7", "EUR/GBP 0.84", "EUR/USD 1.4"]);
        assert_eq!(listed(2, 1), ["EUR/GBP 0.84", "EUR/USD 1.3"]);
        assert!(listed(0, 2).is_empty());
    }

    proptest! {
        #[test]
        fn a_lookup_finds_the_same_rate_as_a_scan_of_all_facts(
            facts in prop::collection::vec((1..=9_u8, 1..=99_u8), 1..60),
            at in 0..=10_u8,
            captured in 0..=60_u64,
        ) {
            let mut book = RateBook::default();
            let mut newest = None;
            for ((valid_from, cents), version) in facts.iter().zip(1..) {
                let rate = format!("0.{cents:02}").parse().unwrap();
                let rates = BTreeMap::from([(Currency::EUR, BTreeMap::from([(Currency::GBP, rate)]))]);
                book.insert(RateVersion(version), day(*valid_from), &ecb(), &rates);
                if *valid_from <= at && version <= captured {
                    newest = newest.max(Some((*valid_from, version, rate)));
                }
            }
            let found = book.as_of(Currency::EUR, Currency::GBP, day(at), RateVersion(captured));
            let expected = newest.map(|(valid_from, _, rate)| (day(valid_from), rate));
            let found = found.map(|conversion| match conversion {
                Conversion::Direct(published) => (published.valid_from, published.rate),
                other => panic!("{other:?}"),
            });
            prop_assert_eq!(found, expected);
        }
    }
}

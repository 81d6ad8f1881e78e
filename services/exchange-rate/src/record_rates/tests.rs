use std::collections::BTreeMap;

use contracts::RatePut;
use money::{Currency, Rate, RateBook};
use proptest::prelude::*;
use stage::{Partition, PartitionCount};
use stage_harness::{StageHarness, cut, event};

use super::*;

/// A request with moments such as `2010-12-01 EUR/GBP 0.848 EUR/USD 1.3115`.
fn set_rates(source: &str, moments: &[&str], completes_history: bool) -> Event<RecordRatesInput> {
    let moments = moments.iter().map(|text| moment(text)).collect();
    let request = SetRates { source: source.parse().unwrap(), moments, completes_history };
    event("import", "2011-12-09T12:50:00Z".parse().unwrap(), RecordRatesInput::SetRates(request))
}

fn moment(text: &str) -> Moment {
    let words: Vec<_> = text.split(' ').collect();
    let mut rates = RatesByPair::new();
    for pair_and_rate in words[1..].chunks(2) {
        let (base, quote) = pair_and_rate[0].split_once('/').unwrap();
        let quotes = rates.entry(base.parse().unwrap()).or_default();
        quotes.insert(quote.parse().unwrap(), pair_and_rate[1].parse().unwrap());
    }
    Moment { valid_from: format!("{}T00:00:00Z", words[0]).parse().unwrap(), rates }
}

fn history(moments: &[&str]) -> Event<RecordRatesInput> {
    set_rates("ecb", moments, true)
}

fn import(moments: &[&str]) -> Event<RecordRatesInput> {
    set_rates("ecb", moments, false)
}

fn put(moment: &str) -> Event<RecordRatesInput> {
    set_rates("manual", &[moment], false)
}

/// `version source day EUR/GBP=0.848 …`, or `version source complete`.
fn shown(fact: &RatesFact) -> String {
    match fact {
        RatesFact::RatesPublished(published) => {
            let RatesPublished { version, valid_from, source, rates } = published;
            let pair = |base: &Currency, (quote, rate): (&Currency, &Rate)| format!(" {base}/{quote}={rate}");
            let quotes = rates.iter().flat_map(|(base, quotes)| quotes.iter().map(|one| pair(base, one)));
            format!("{version} {source} {}{}", valid_from.date_naive(), quotes.collect::<String>())
        }
        RatesFact::HistoryImported(history) => format!("{} {} complete", history.version, history.source),
    }
}

struct Ran {
    harness: StageHarness<RecordRates>,
    replies: Vec<Imported>,
}

fn run(requests: &[Event<RecordRatesInput>], sizes: &[usize]) -> Ran {
    let harness = StageHarness::new(RecordRates, Partition(0), PartitionCount::new(2).unwrap());
    let mut ran = Ran { harness, replies: Vec::new() };
    for batch in cut(requests.to_vec(), sizes) {
        ran.replies.extend(ran.harness.submit(batch).unwrap());
    }
    ran
}

impl Ran {
    fn emitted(&self) -> Vec<RatesFact> {
        self.harness.emitted(&RATES).unwrap().into_iter().map(|event| event.fact).collect()
    }

    /// Checks what holds after any requests.
    fn check(&self) {
        let (emitted, rows) = (self.emitted(), self.harness.rows::<RateRow>().unwrap());
        let row = |fact: &RatesFact| match fact {
            RatesFact::RatesPublished(published) => RateRow::from(published),
            RatesFact::HistoryImported(history) => RateRow::from(history),
        };
        assert_eq!(emitted.iter().map(row).collect::<Vec<_>>(), rows);
        assert!((1..).zip(&rows).all(|(version, row)| row.version == version), "versions have gaps");
        assert!(rows.iter().filter(|row| row.complete).count() <= 1);
        let newest = self.harness.rows::<NewestRow>().unwrap();
        let newest: Vec<_> = newest.iter().map(|row| (row.version, row.complete)).collect();
        let last = rows.last().map(|row| (row.version, rows.iter().any(|row| row.complete)));
        assert_eq!(newest, Vec::from_iter(last));
        assert_eq!(self.harness.replay(RecordRates).unwrap(), *self.harness.state());
    }
}

/// Expects `read new changed unchanged` for each request, and the published facts, for any sizes of batches.
fn check(requests: &[Event<RecordRatesInput>], counts: &[&str], published: &[&str]) {
    for size in [1, 2, usize::MAX] {
        let ran = run(requests, &[size]);
        let reply = |a: &Imported| format!("{} {} {} {}", a.read, a.new, a.changed, a.unchanged);
        assert_eq!(ran.replies.iter().map(reply).collect::<Vec<_>>(), counts);
        assert_eq!(ran.emitted().iter().map(shown).collect::<Vec<_>>(), published);
        ran.check();
    }
}

const TWO_DAYS: &[&str] = &["2010-12-01 EUR/GBP 0.848 EUR/USD 1.3115", "2010-12-02 EUR/GBP 0.846"];
const PUBLISHED: &[&str] = &["1 ecb 2010-12-01 EUR/GBP=0.848 EUR/USD=1.3115", "2 ecb 2010-12-02 EUR/GBP=0.846"];

#[test]
fn the_first_import_publishes_every_moment_and_completes_the_history() {
    check(&[history(TWO_DAYS)], &["3 3 0 0"], &[PUBLISHED, &["3 ecb complete"]].concat());
    check(&[import(TWO_DAYS)], &["3 3 0 0"], PUBLISHED);
    check(&[import(&[])], &["0 0 0 0"], &[]);
    check(&[import(&["2010-12-01"])], &["0 0 0 0"], &[]);
}

#[test]
fn the_same_rates_again_change_nothing() {
    check(&[import(TWO_DAYS), import(TWO_DAYS)], &["3 3 0 0", "3 0 0 3"], PUBLISHED);
    check(&[history(TWO_DAYS), history(TWO_DAYS)], &["3 3 0 0", "3 0 0 3"], &[PUBLISHED, &["3 ecb complete"]].concat());
    let digits = put("2010-12-01 EUR/GBP 0.8480");
    check(&[import(TWO_DAYS), digits], &["3 3 0 0", "1 0 0 1"], PUBLISHED);
}

#[test]
fn a_request_that_changes_nothing_leaves_no_record() {
    let ran = run(&[history(TWO_DAYS), history(TWO_DAYS), import(&[]), put("2010-12-02 EUR/GBP 0.846")], &[1]);
    assert_eq!(ran.harness.state().records.len(), 1);
}

#[test]
fn a_correction_publishes_only_what_has_changed() {
    let corrected = import(&["2010-12-01 EUR/GBP 0.849 EUR/USD 1.3115 EUR/JPY 110.5", "2010-12-02 EUR/GBP 0.846"]);
    let published = [PUBLISHED, &["3 ecb 2010-12-01 EUR/GBP=0.849 EUR/JPY=110.5"]].concat();
    check(&[import(TWO_DAYS), corrected], &["3 3 0 0", "4 1 1 2"], &published);
}

#[test]
fn a_rate_that_is_set_back_is_a_new_version() {
    let there_and_back = [put("2010-12-01 EUR/GBP 0.8"), put("2010-12-01 EUR/GBP 0.9"), put("2010-12-01 EUR/GBP 0.8")];
    let published =
        ["1 manual 2010-12-01 EUR/GBP=0.8", "2 manual 2010-12-01 EUR/GBP=0.9", "3 manual 2010-12-01 EUR/GBP=0.8"];
    check(&there_and_back, &["1 1 0 0", "1 0 1 0", "1 0 1 0"], &published);
}

#[test]
fn setting_one_pair_keeps_the_others_of_its_moment() {
    let set = [
        import(TWO_DAYS),
        put("2010-12-01 EUR/ISK 290"),
        put("2010-12-01 GBP/EUR 1.18"),
        put("2010-12-03 EUR/GBP 0.846"),
        import(TWO_DAYS),
    ];
    let new =
        ["3 manual 2010-12-01 EUR/ISK=290", "4 manual 2010-12-01 GBP/EUR=1.18", "5 manual 2010-12-03 EUR/GBP=0.846"];
    check(&set, &["3 3 0 0", "1 1 0 0", "1 1 0 0", "1 1 0 0", "3 0 0 3"], &[PUBLISHED, &new].concat());
}

#[test]
fn the_history_is_completed_once() {
    let twice = [history(&TWO_DAYS[..1]), history(TWO_DAYS)];
    let published = [PUBLISHED[0], "2 ecb complete", "3 ecb 2010-12-02 EUR/GBP=0.846"];
    check(&twice, &["2 2 0 0", "3 1 0 2"], &published);
    check(
        &[history(&[]), import(&TWO_DAYS[1..])],
        &["0 0 0 0", "1 1 0 0"],
        &["1 ecb complete", "2 ecb 2010-12-02 EUR/GBP=0.846"],
    );
}

#[test]
fn any_moment_that_can_be_set_can_be_stored_and_read_back() {
    let put = |at| serde_json::from_value::<RatePut>(serde_json::json!({ "rate": "0.8", "valid_from": at }));
    for at in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2016-12-31T23:59:60Z", "1969-12-31T23:59:59.1234567Z"] {
        let RatePut { rate, valid_from } = put(at).unwrap();
        let rates = [(Currency::EUR, [(Currency::GBP, rate)].into())].into();
        let moments = vec![Moment { valid_from, rates }];
        let request = SetRates { source: "manual".parse().unwrap(), moments, completes_history: false };
        let request = event("put", "2011-12-09T12:50:00Z".parse().unwrap(), RecordRatesInput::SetRates(request));
        let ran = run(&[request.clone(), request], &[1]);
        assert_eq!(ran.replies.iter().map(|reply| reply.unchanged).collect::<Vec<_>>(), [0, 1], "{at}");
        ran.check();
    }
    for at in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01", "2010-12-01"] {
        assert!(put(at).is_err(), "{at}");
    }
}

#[test]
fn a_long_history_is_cut_into_frames_in_order() {
    let days =
        (0..2_500).map(|n| format!("{:04}-{:02}-{:02} EUR/GBP 0.8", 1999 + n / 336, n / 28 % 12 + 1, n % 28 + 1));
    let days: Vec<_> = days.collect();
    let days: Vec<_> = days.iter().map(String::as_str).collect();
    let ran = run(&[history(&days)], &[1]);
    assert_eq!(ran.replies, [Imported { read: 2_500, new: 2_500, changed: 0, unchanged: 0 }]);
    let facts: Vec<_> = ran.harness.state().frames.iter().map(|frame| frame.facts).collect();
    assert_eq!(facts, [1_000, 1_000, 501]);
    ran.check();
}

fn any_request() -> impl Strategy<Value = Event<RecordRatesInput>> {
    let day = prop::sample::select(vec!["2010-12-01", "2010-12-02", "2010-12-03"]);
    let pair = prop::sample::select(vec!["EUR/GBP", "EUR/USD", "GBP/EUR"]);
    let rate = prop::sample::select(vec!["0.8", "0.9"]);
    let moment = (day, prop::collection::vec((pair, rate), 0..3)).prop_map(|(day, rates)| {
        rates.iter().fold(day.to_owned(), |text, (pair, rate)| format!("{text} {pair} {rate}"))
    });
    (prop::collection::vec(moment, 0..4), prop::bool::weighted(0.2)).prop_map(|(moments, complete)| {
        let moments: Vec<_> = moments.iter().map(String::as_str).collect();
        set_rates("ecb", &moments, complete)
    })
}

proptest! {
    #[test]
    fn the_published_rates_add_up_to_the_last_requested_ones(
        requests in prop::collection::vec(any_request(), 0..20),
        sizes in prop::collection::vec(1..5_usize, 1..4),
    ) {
        let (ran, alone) = (run(&requests, &sizes), run(&requests, &[1]));
        ran.check();
        prop_assert_eq!((&ran.replies, ran.emitted()), (&alone.replies, alone.emitted()));
        let mut last = BTreeMap::new();
        for Event { fact: RecordRatesInput::SetRates(request), .. } in &requests {
            for Moment { valid_from, rates } in &request.moments {
                for (base, quotes) in rates {
                    last.extend(quotes.iter().map(|(quote, rate)| ((*valid_from, *base, *quote), *rate)));
                }
            }
        }
        let mut book = RateBook::default();
        for row in ran.harness.rows::<RateRow>().unwrap() {
            book.insert(row.version(), row.valid_from, &row.source, &row.rates);
        }
        for ((valid_from, base, quote), rate) in last {
            let known = book.all_as_of(valid_from, book.newest_version());
            let known = known.iter().find(|known| (known.base, known.quote) == (base, quote)).unwrap();
            prop_assert_eq!((known.rate, known.valid_from), (rate, valid_from));
        }
    }
}

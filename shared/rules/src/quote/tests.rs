use contracts::RatesByPair;

use super::*;

/// Where the price of a line comes from.
#[derive(Clone, Copy)]
enum Priced {
    /// The offer's price.
    Closed(&'static str),
    /// The offer's price, which is not open, and the line's own price.
    ClosedBut(&'static str, &'static str),
    /// The offer's price, which is open, and the line's own price.
    Open(&'static str, &'static str),
    /// There is no offer.
    Nothing,
}
use Priced::{Closed, ClosedBut, Nothing, Open};

const DAY: &[&str] = &["2010-12-01 EUR/GBP 0.848", "2010-12-01 EUR/USD 1.3115", "2010-12-01 EUR/JPY 110.5"];

fn price(text: &str) -> UnitPrice {
    let (amount, currency) = text.split_once(' ').unwrap();
    UnitPrice::parse(amount, currency.parse().unwrap()).unwrap()
}

fn line(quantity: u32, priced: Priced) -> (LineRequest, Option<OfferTerms>) {
    let (offered, own, open_price) = match priced {
        Closed(price) => (Some(price), None, false),
        ClosedBut(price, own) => (Some(price), Some(own), false),
        Open(price, own) => (Some(price), Some(own), true),
        Nothing => (None, None, false),
    };
    let line = LineRequest {
        sku: "85123A".parse().unwrap(),
        quantity: money::Quantity::new(quantity).unwrap(),
        unit_price: own.map(price),
    };
    let terms = serde_json::json!({ "price": offered.map(price), "open_price": open_price });
    (line, offered.map(|_| serde_json::from_value(terms).unwrap()))
}

/// Rates such as `2010-12-01 EUR/GBP 0.848`; their versions are 1, 2, 3 …
fn book(rates: &[&str]) -> RateBook {
    let mut book = RateBook::default();
    for (version, text) in (1..).zip(rates) {
        let [day, pair, rate] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (base, quote) = pair.split_once('/').unwrap();
        let one = [(quote.parse().unwrap(), rate.parse().unwrap())].into();
        let rates: RatesByPair = [(base.parse().unwrap(), one)].into();
        let valid_from = format!("{day}T00:00:00Z").parse().unwrap();
        book.insert(RateVersion(version), valid_from, &"ecb".parse().unwrap(), &rates);
    }
    book
}

fn quoted(rates: &[&str], lines: &[(u32, Priced)], pay_in: &str, at: &str) -> Result<Charge, Reason> {
    let (lines, offers): (Vec<_>, Vec<_>) = lines.iter().map(|(quantity, priced)| line(*quantity, *priced)).unzip();
    let book = book(rates);
    quote(&lines, pay_in.parse().unwrap(), &offers, at.parse().unwrap(), &book, book.newest_version())
}

/// Expects `total = charged`, or the code of a reason.
fn check_at(rates: &[&str], lines: &[(u32, Priced)], pay_in: &str, at: &str, expected: &str) {
    let quoted = quoted(rates, lines, pay_in, at);
    let shown = quoted.map_or_else(|reason| reason.code.to_string(), |c| format!("{} = {}", c.total, c.charged));
    assert_eq!(shown, expected, "{rates:?} {pay_in} {at}");
}

fn check(lines: &[(u32, Priced)], pay_in: &str, expected: &str) {
    check_at(DAY, lines, pay_in, "2010-12-01T08:26:00Z", expected);
}

#[test]
fn a_purchase_is_summed_converted_and_rounded_once() {
    check(&[(1, Closed("39.75 GBP"))], "EUR", "39.75 GBP = 46.88 EUR"); // exactly 46.875
    check(&[(6, Closed("2.55 GBP")), (6, Closed("3.39 GBP"))], "GBP", "35.64 GBP = 35.64 GBP");
    check(&[(1, Closed("0.004 GBP")), (1, Closed("0.004 GBP"))], "GBP", "0.01 GBP = 0.01 GBP");
    check(&[(3, Closed("0.415 GBP"))], "GBP", "1.24 GBP = 1.24 GBP"); // a tie, rounded to the even penny
    check(&[(5, Closed("0.415 GBP"))], "GBP", "2.08 GBP = 2.08 GBP");
    check(&[(1, Closed("0.005 GBP"))], "EUR", "0.00 GBP = 0.01 EUR"); // 0.00589…: rounded separately
}

#[test]
fn direct_inverse_and_cross_rates_are_used() {
    check(&[(1, Closed("10 EUR"))], "EUR", "10.00 EUR = 10.00 EUR");
    check(&[(1, Closed("10 EUR"))], "GBP", "10.00 EUR = 8.48 GBP");
    check(&[(1, Closed("8.48 GBP"))], "EUR", "8.48 GBP = 10.00 EUR");
    check(&[(1, Closed("39.75 GBP"))], "USD", "39.75 GBP = 61.48 USD");
    check(&[(1, Closed("39.75 GBP"))], "JPY", "39.75 GBP = 5180 JPY");
}

#[test]
fn the_newest_rate_is_used_and_the_direct_one_if_equally_new() {
    let at =
        |rates: &[&str], expected| check_at(rates, &[(1, Closed("1 GBP"))], "EUR", "2010-12-05T00:00:00Z", expected);
    at(&["2010-12-01 EUR/GBP 0.5", "2010-12-01 GBP/EUR 3"], "1.00 GBP = 3.00 EUR");
    at(&["2010-12-02 EUR/GBP 0.5", "2010-12-01 GBP/EUR 3"], "1.00 GBP = 2.00 EUR");
    at(&["2010-12-01 EUR/GBP 0.5", "2010-12-02 GBP/EUR 3"], "1.00 GBP = 3.00 EUR");
    let cross = ["2010-12-01 EUR/GBP 0.5", "2010-12-02 EUR/USD 1", "2010-12-01 USD/GBP 0.1"];
    check_at(&cross, &[(1, Closed("1 GBP"))], "USD", "2010-12-05T00:00:00Z", "1.00 GBP = 10.00 USD");
}

#[test]
fn a_rate_may_be_used_for_seven_utc_days() {
    let at = |time, expected| check_at(DAY, &[(1, Closed("39.75 GBP"))], "EUR", time, expected);
    at("2010-12-01T00:00:00Z", "39.75 GBP = 46.88 EUR");
    at("2010-12-08T23:59:59.999999Z", "39.75 GBP = 46.88 EUR");
    at("2010-12-09T00:00:00Z", "stale_rate");
    at("2010-12-09T00:30:00+01:00", "39.75 GBP = 46.88 EUR");
    at("2010-12-08T23:30:00-01:00", "stale_rate");
    check_at(DAY, &[(1, Closed("39.75 GBP"))], "GBP", "2030-01-01T00:00:00Z", "39.75 GBP = 39.75 GBP");
}

#[test]
fn a_cross_rate_is_stale_when_one_of_its_rates_is() {
    let rates = ["2010-12-01 EUR/GBP 0.848", "2010-12-08 EUR/USD 1.3115"];
    let at = |time, expected| check_at(&rates, &[(1, Closed("39.75 GBP"))], "USD", time, expected);
    at("2010-12-08T00:00:00Z", "39.75 GBP = 61.48 USD");
    at("2010-12-09T00:00:00Z", "stale_rate");
}

#[test]
fn a_future_rate_is_never_used() {
    let rates = ["2010-12-01 EUR/GBP 0.848", "2010-12-03 EUR/GBP 0.5"];
    let at = |time, expected| check_at(&rates, &[(1, Closed("39.75 GBP"))], "EUR", time, expected);
    at("2010-11-30T23:59:59Z", "no_rate");
    at("2010-12-02T23:59:59.999999Z", "39.75 GBP = 46.88 EUR");
    at("2010-12-03T00:00:00Z", "39.75 GBP = 79.50 EUR");
}

#[test]
fn every_refusal_has_its_code() {
    check(&[(1, Nothing)], "EUR", "unknown_offer");
    check(&[(1, Closed("1 GBP")), (1, Nothing)], "GBP", "unknown_offer");
    check(&[(1, ClosedBut("1 GBP", "0.50 GBP"))], "GBP", "price_not_open");
    check(&[(1, ClosedBut("1 GBP", "1 GBP"))], "GBP", "price_not_open");
    check(&[(1, Open("1 GBP", "0.50 EUR"))], "GBP", "price_not_open");
    check(&[(1, Closed("1 GBP")), (1, Closed("1 EUR"))], "GBP", "mixed_currencies");
    check(&[(1, Closed("1 GBP"))], "ISK", "no_rate");
    check(&[(1, Closed("1 ISK"))], "EUR", "no_rate");
    check_at(DAY, &[(1, Closed("1 GBP"))], "EUR", "2011-12-09T12:50:00Z", "stale_rate");
    check(&[(1_000_000, Closed("1000000000 GBP"))], "GBP", "amount_too_large");
    check(&[], "EUR", "unknown_offer");
}

#[test]
fn an_open_price_may_be_set_by_the_line() {
    check(&[(2, Open("1 GBP", "0.50 GBP"))], "GBP", "1.00 GBP = 1.00 GBP");
    check(&[(2, Open("1 GBP", "0 GBP"))], "GBP", "0.00 GBP = 0.00 GBP");
    check(&[(2, Open("1 GBP", "7.123456 GBP"))], "GBP", "14.25 GBP = 14.25 GBP");
}

#[test]
fn a_price_may_be_zero() {
    check(&[(3, Closed("0 GBP"))], "GBP", "0.00 GBP = 0.00 GBP");
    check(&[(3, Closed("0 GBP"))], "EUR", "0.00 GBP = 0.00 EUR");
    check(&[(1, Closed("0.000001 GBP"))], "EUR", "0.00 GBP = 0.00 EUR");
}

#[test]
fn the_largest_amount_is_charged_and_never_exceeded() {
    check(&[(1_000, Closed("1000000000 GBP"))], "GBP", "1000000000000.00 GBP = 1000000000000.00 GBP");
    check(&[(1_000, Closed("1000000000 GBP")), (1, Closed("0.000001 GBP"))], "GBP", "amount_too_large");
    check(&[(848, Closed("1000000000 GBP"))], "EUR", "848000000000.00 GBP = 1000000000000.00 EUR");
    check(&[(849, Closed("1000000000 GBP"))], "EUR", "amount_too_large");
}

#[test]
fn two_thousand_lines_are_summed_exactly() {
    check(&[(7, Closed("0.000001 GBP")); 2_000], "GBP", "0.01 GBP = 0.01 GBP"); // 0.014
    check(&[(1, Closed("500000000 GBP")); 2_000], "GBP", "1000000000000.00 GBP = 1000000000000.00 GBP");
    check(&[(1, Closed("500000000.01 GBP")); 2_000], "GBP", "amount_too_large");
}

#[test]
fn a_refusal_names_the_missing_or_stale_rate() {
    let detail = |pay_in, at| quoted(DAY, &[(1, Closed("1 GBP"))], pay_in, at).unwrap_err().detail;
    let stale = "the newest rate from GBP to EUR was 8 days old at 2010-12-09 00:00:00 UTC; 7 are allowed";
    assert_eq!(detail("EUR", "2010-12-09T00:00:00Z"), stale);
    let none = "no rate from GBP to ISK was known for 2010-12-01 00:00:00 UTC";
    assert_eq!(detail("ISK", "2010-12-01T00:00:00Z"), none);
}

#[test]
fn versions_after_the_captured_one_are_not_used() {
    let book = book(&["2010-12-01 EUR/GBP 0.848", "2010-12-01 EUR/GBP 0.5"]);
    let (wanted, offer) = line(1, Closed("39.75 GBP"));
    let (lines, pay_in) = ([wanted], "EUR".parse().unwrap());
    let at = "2010-12-02T00:00:00Z".parse().unwrap();
    let charged = |captured| {
        let offers = std::slice::from_ref(&offer);
        quote(&lines, pay_in, offers, at, &book, RateVersion(captured)).map(|c| c.charged.to_string())
    };
    assert_eq!(charged(0).unwrap_err().code, ReasonCode::NoRate);
    assert_eq!(charged(1), Ok("46.88 EUR".to_owned()));
    assert_eq!(charged(2), Ok("79.50 EUR".to_owned()));
}

//! What the terms of offers say about stock and cancellations.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

/// The number of pieces that may be allocated; `None` if unlimited.
pub fn limit(terms: &Value) -> Option<u64> {
    let (capacity, overbooking) = (terms["capacity"].as_u64()?, terms["overbooking_percent"].as_u64()?);
    Some(capacity + capacity * overbooking / 100)
}

/// Whether the stock is limited.
pub fn is_limited(terms: &Value) -> bool {
    !terms["capacity"].is_null()
}

/// Whether the stock is limited, and allocated before anybody is charged.
pub fn is_strict(terms: &Value) -> bool {
    is_limited(terms) && terms["constraint"] == "strict"
}

/// The products that a line may be upgraded to.
pub fn upgrades(terms: &Value) -> impl Iterator<Item = &str> {
    let steps = terms["compensation"].as_array().into_iter().flatten().filter_map(Value::as_str);
    steps.filter_map(|step| step.strip_prefix("upgrade:"))
}

/// Whether a purchase is refused although nobody was asked: it is loose and must be whole, and the visible stock of a
/// product whose lines can only be refunded is not enough. `offers` are the terms of each line's offer.
pub fn is_refused_by_sight(request: &Value, offers: &[&Value], allocated: &Value) -> bool {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    let lines = || request["lines"].as_array().into_iter().flatten().zip(offers);
    for (line, _) in lines() {
        let (sku, quantity) = (line["sku"].as_str(), line["quantity"].as_u64());
        *wanted.entry(sku.unwrap_or_default()).or_default() += quantity.unwrap_or_default();
    }
    let is_gone = |(line, terms): (&Value, &&Value)| {
        let sku = line["sku"].as_str().unwrap_or_default();
        let visible = allocated[sku].as_u64().unwrap_or_default();
        let only_refunds = terms["compensation"].as_array().is_some_and(|steps| steps.len() == 1);
        only_refunds
            && terms["compensation"][0] == "refund"
            && limit(terms).is_some_and(|limit| visible + wanted[sku] > limit)
    };
    let is_excused = request["partial"] == true || offers.iter().any(|terms| is_strict(terms));
    !is_excused && lines().any(is_gone)
}

/// The percentage that a cancellation at this time returns.
pub fn refund_percent(terms: &Value, at: DateTime<Utc>) -> Option<u64> {
    let cancellation = &terms["cancellation"];
    let day: Option<NaiveDate> = terms["service_date"].as_str().and_then(|day| day.parse().ok());
    let before = TimeDelta::seconds(cancellation["until_s_before"].as_i64()?);
    let is_late = day.is_some_and(|day| at > day.and_time(NaiveTime::MIN).and_utc() - before);
    cancellation[if is_late { "late_refund_percent" } else { "refund_percent" }].as_u64()
}

//! A business refusal is an outcome, not an HTTP error. It moves no money.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{ReasonCode, Status};
use serde_json::{Value, json};

use super::harness::{Client, Corner, System, balances_are, money, timestamp};

/// Buys, expects a refusal, looks at it from all sides.
async fn check(client: &Client, corner: &Corner, name: &str, order: &Value, expected: ReasonCode) {
    let answer = client.buy(&corner.name(name), order).await.is(201);
    let rejected = answer.purchase();
    let reason = rejected.reason.clone().unwrap_or_else(|| panic!("{name} was not refused: {rejected:?}"));
    assert_eq!((rejected.status, reason.code), (Status::Rejected, expected), "{name}");
    assert!(!reason.detail.is_empty(), "{name}");
    assert_eq!((rejected.total, rejected.charged, &rejected.rate), (None, None, &None), "{name}");
    let [step] = rejected.history.as_slice() else { panic!("{name}: {:?}", rejected.history) };
    assert_eq!((step.status, &step.reason), (Status::Rejected, &rejected.reason), "{name}");
    assert_eq!(answer.header("location"), Some(format!("/purchases/{}", rejected.id).as_str()), "{name}");
    assert_eq!(client.shown(&rejected.id).await, rejected, "{name}");
    assert_eq!(client.buy(&corner.name(name), order).await.is(201).body, answer.body, "{name}");
    assert_eq!(client.account_of(rejected.customer.as_str()).await, None, "{name}: money was touched");
}

fn order(corner: &Corner, name: &str, pay_in: &str, lines: &Value, at: DateTime<Utc>) -> Value {
    json!({"customer": corner.name(name), "pay_in": pay_in, "lines": lines, "occurred_at": timestamp(at)})
}

#[tokio::test]
async fn what_nobody_offers_is_refused_even_if_other_lines_are_offered() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku, unknown) = (&system.client, corner.name("lantern"), corner.name("unknown"));
    client.offer_for(&sku, "15.30", "GBP").await;
    let only = corner.order(&corner.name("alice"), "GBP", &[&unknown]);
    check(client, &corner, "only", &only, ReasonCode::UnknownOffer).await;
    let among = corner.order(&corner.name("bob"), "GBP", &[&sku, &unknown]);
    check(client, &corner, "among", &among, ReasonCode::UnknownOffer).await;

    client.offer_for(&unknown, "1.00", "GBP").await;
    check(client, &corner, "only", &only, ReasonCode::UnknownOffer).await;
    client.buy(&corner.name("later"), &only).await.is(201).purchase().charged.expect("it is offered now");
    system.finish().await;
}

#[tokio::test]
async fn without_a_rate_or_with_one_older_than_seven_days_a_purchase_is_refused() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.offer_for(&sku, "10.00", "GBP").await;
    let lines = json!([{"sku": sku, "quantity": 1}]);
    let none = order(&corner, "alice", "BTN", &lines, corner.moment);
    check(client, &corner, "none", &none, ReasonCode::NoRate).await;

    client.set_rate("GBP/EUR", "1.5", corner.moment).await;
    client.rate_is_copied(&corner, "GBP/EUR", "1.5", corner.moment).await;
    let midnight = corner.moment.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let (last, first_stale) =
        (midnight + TimeDelta::days(8) - TimeDelta::microseconds(1), midnight + TimeDelta::days(8));
    let seven = order(&corner, "bob", "EUR", &lines, last);
    let bought = client.buy(&corner.name("seven"), &seven).await.is(201).purchase();
    assert_eq!((bought.status, bought.charged), (Status::Settled, Some(money("15.00 EUR"))));
    let eight = order(&corner, "carol", "EUR", &lines, first_stale);
    check(client, &corner, "eight", &eight, ReasonCode::StaleRate).await;
    // A moment before the rate holds, only the history's last one is there: long ago.
    let before = order(&corner, "dave", "EUR", &lines, corner.moment - TimeDelta::microseconds(1));
    check(client, &corner, "before", &before, ReasonCode::StaleRate).await;
    system.finish().await;
}

#[tokio::test]
async fn a_line_may_name_its_price_only_where_the_offer_is_open_and_only_in_its_currency() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, closed, open) = (&system.client, corner.name("closed"), corner.name("open"));
    client.offer_for(&closed, "10.00", "GBP").await;
    client.offer(&open, &json!({"price": {"amount": "10.00", "currency": "GBP"}, "open_price": true})).await;
    let lines = |sku: &str, amount: &str, currency: &str| json!([{"sku": sku, "quantity": 3, "unit_price": {"amount": amount, "currency": currency}}]);
    for (name, lines) in [
        ("closed", lines(&closed, "9.99", "GBP")),
        ("closed-same", lines(&closed, "10.00", "GBP")),
        ("other-currency", lines(&open, "10.00", "EUR")),
    ] {
        let order = order(&corner, name, "GBP", &lines, corner.moment);
        check(client, &corner, name, &order, ReasonCode::PriceNotOpen).await;
    }
    let own = order(&corner, "alice", "GBP", &lines(&open, "0.005", "GBP"), corner.moment);
    let bought = client.buy(&corner.name("own"), &own).await.is(201).purchase();
    assert_eq!(bought.charged, Some(money("0.02 GBP")), "0.015, half to even");
    balances_are(client, bought.customer.as_str(), &[("GBP", "-0.02")]).await;
    system.finish().await;
}

#[tokio::test]
async fn lines_priced_in_two_currencies_are_refused() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, pounds, euros) = (&system.client, corner.name("pounds"), corner.name("euros"));
    client.offer_for(&pounds, "10.00", "GBP").await;
    client.offer_for(&euros, "10.00", "EUR").await;
    let order = corner.order(&corner.name("alice"), "GBP", &[&pounds, &euros]);
    check(client, &corner, "mixed", &order, ReasonCode::MixedCurrencies).await;
    system.finish().await;
}

#[tokio::test]
async fn a_total_beyond_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("palace"));
    client.offer_for(&sku, "1000000000", "GBP").await;
    let of = |name: &str, quantity: u32| {
        order(&corner, name, "GBP", &json!([{"sku": sku, "quantity": quantity}]), corner.moment)
    };
    check(client, &corner, "above", &of("alice", 1_001), ReasonCode::AmountTooLarge).await;
    check(client, &corner, "most", &of("bob", 1_000_000), ReasonCode::AmountTooLarge).await;
    let bought = client.buy(&corner.name("at"), &of("carol", 1_000)).await.is(201).purchase();
    assert_eq!(bought.charged, Some(money("1000000000000.00 GBP")));

    // The total fits, what it is worth in the other currency does not.
    client.set_rate("GBP/EUR", "1000", corner.moment).await;
    client.rate_is_copied(&corner, "GBP/EUR", "1000", corner.moment).await;
    let mut euros = of("dave", 2);
    euros["pay_in"] = json!("EUR");
    check(client, &corner, "converted", &euros, ReasonCode::AmountTooLarge).await;
    system.finish().await;
}

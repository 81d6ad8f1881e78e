//! A purchase that is rejected for a business reason is an outcome, not an HTTP error. It moves no money.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{ReasonCode, Status};
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System, assert_balances, money, timestamp};

/// Buys, and asserts that the purchase is rejected for this reason, everywhere and also on a retry.
async fn check(client: &Client, namespace: &Namespace, name: &str, order: &Value, expected: ReasonCode) {
    let response = client.buy(&namespace.name(name), order).await.expect_status(201);
    let rejected = response.purchase();
    let reason = rejected.reason.clone().unwrap_or_else(|| panic!("{name} was not rejected: {rejected:?}"));
    assert_eq!((rejected.status, reason.code), (Status::Rejected, expected), "{name}");
    assert!(!reason.detail.is_empty(), "{name}");
    assert_eq!((rejected.total, rejected.charged, &rejected.rate), (None, None, &None), "{name}");
    let [step] = rejected.history.as_slice() else { panic!("{name}: {:?}", rejected.history) };
    assert_eq!((step.status, &step.reason), (Status::Rejected, &rejected.reason), "{name}");
    assert_eq!(response.header("location"), Some(format!("/purchases/{}", rejected.id).as_str()), "{name}");
    assert_eq!(client.get_purchase(&rejected.id).await, rejected, "{name}");
    assert_eq!(client.buy(&namespace.name(name), order).await.expect_status(201).body, response.body, "{name}");
    assert_eq!(client.customer_account(rejected.customer.as_str()).await, None, "{name}: money was touched");
}

fn order(namespace: &Namespace, name: &str, pay_in: &str, lines: &Value, at: DateTime<Utc>) -> Value {
    json!({"customer": namespace.name(name), "pay_in": pay_in, "lines": lines, "occurred_at": timestamp(at)})
}

#[tokio::test]
async fn a_purchase_with_an_unknown_offer_is_rejected_even_if_other_lines_are_offered() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, unknown) = (&system.client, namespace.name("lantern"), namespace.name("unknown"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let only = namespace.order(&namespace.name("alice"), "GBP", &[&unknown]);
    check(client, &namespace, "only", &only, ReasonCode::UnknownOffer).await;
    let among = namespace.order(&namespace.name("bob"), "GBP", &[&sku, &unknown]);
    check(client, &namespace, "among", &among, ReasonCode::UnknownOffer).await;

    client.put_priced_offer(&unknown, "1.00", "GBP").await;
    check(client, &namespace, "only", &only, ReasonCode::UnknownOffer).await;
    client.buy(&namespace.name("later"), &only).await.expect_status(201).purchase().charged.expect("it is offered now");
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_without_a_rate_or_with_one_older_than_seven_days_is_rejected() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "10.00", "GBP").await;
    let lines = json!([{"sku": sku, "quantity": 1}]);
    let none = order(&namespace, "alice", "BTN", &lines, namespace.moment);
    check(client, &namespace, "none", &none, ReasonCode::NoRate).await;

    client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "GBP/EUR", "1.5", namespace.moment).await;
    let midnight = namespace.moment.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let (last, first_stale) =
        (midnight + TimeDelta::days(8) - TimeDelta::microseconds(1), midnight + TimeDelta::days(8));
    let seven = order(&namespace, "bob", "EUR", &lines, last);
    let bought = client.buy(&namespace.name("seven"), &seven).await.expect_status(201).purchase();
    assert_eq!((bought.status, bought.charged), (Status::Settled, Some(money("15.00 EUR"))));
    let eight = order(&namespace, "carol", "EUR", &lines, first_stale);
    check(client, &namespace, "eight", &eight, ReasonCode::StaleRate).await;
    // A moment before this rate is valid, the newest rate is the last one of the built-in history, which is stale.
    let before = order(&namespace, "dave", "EUR", &lines, namespace.moment - TimeDelta::microseconds(1));
    check(client, &namespace, "before", &before, ReasonCode::StaleRate).await;
    system.finish().await;
}

#[tokio::test]
async fn a_line_may_set_its_price_only_if_the_offer_has_an_open_price_and_only_in_its_currency() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, closed, open) = (&system.client, namespace.name("closed"), namespace.name("open"));
    client.put_priced_offer(&closed, "10.00", "GBP").await;
    client.put_offer(&open, &json!({"price": {"amount": "10.00", "currency": "GBP"}, "open_price": true})).await;
    let lines = |sku: &str, amount: &str, currency: &str| json!([{"sku": sku, "quantity": 3, "unit_price": {"amount": amount, "currency": currency}}]);
    for (name, lines) in [
        ("closed", lines(&closed, "9.99", "GBP")),
        ("closed-same", lines(&closed, "10.00", "GBP")),
        ("other-currency", lines(&open, "10.00", "EUR")),
    ] {
        let order = order(&namespace, name, "GBP", &lines, namespace.moment);
        check(client, &namespace, name, &order, ReasonCode::PriceNotOpen).await;
    }
    let own = order(&namespace, "alice", "GBP", &lines(&open, "0.005", "GBP"), namespace.moment);
    let bought = client.buy(&namespace.name("own"), &own).await.expect_status(201).purchase();
    assert_eq!(bought.charged, Some(money("0.02 GBP")), "0.015, half to even");
    assert_balances(client, bought.customer.as_str(), &[("GBP", "-0.02")]).await;
    system.finish().await;
}

#[tokio::test]
async fn lines_with_prices_in_two_currencies_are_rejected() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, pounds, euros) = (&system.client, namespace.name("pounds"), namespace.name("euros"));
    client.put_priced_offer(&pounds, "10.00", "GBP").await;
    client.put_priced_offer(&euros, "10.00", "EUR").await;
    let order = namespace.order(&namespace.name("alice"), "GBP", &[&pounds, &euros]);
    check(client, &namespace, "mixed", &order, ReasonCode::MixedCurrencies).await;
    system.finish().await;
}

#[tokio::test]
async fn a_total_above_the_limit_is_rejected_and_one_at_the_limit_is_not() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("palace"));
    client.put_priced_offer(&sku, "1000000000", "GBP").await;
    let of = |name: &str, quantity: u32| {
        order(&namespace, name, "GBP", &json!([{"sku": sku, "quantity": quantity}]), namespace.moment)
    };
    check(client, &namespace, "above", &of("alice", 1_001), ReasonCode::AmountTooLarge).await;
    check(client, &namespace, "most", &of("bob", 1_000_000), ReasonCode::AmountTooLarge).await;
    let bought = client.buy(&namespace.name("at"), &of("carol", 1_000)).await.expect_status(201).purchase();
    assert_eq!(bought.charged, Some(money("1000000000000.00 GBP")));

    // The total is within the limit, but the converted amount is not.
    client.set_rate("GBP/EUR", "1000", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "GBP/EUR", "1000", namespace.moment).await;
    let mut euros = of("dave", 2);
    euros["pay_in"] = json!("EUR");
    check(client, &namespace, "converted", &euros, ReasonCode::AmountTooLarge).await;
    system.finish().await;
}

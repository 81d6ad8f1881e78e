//! Exchange rates as of a moment, and corrections that do not change finished purchases.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::RateQuote;
use money::PublishedRate;
use serde_json::Value;

use super::harness::{Client, Namespace, System, money, timestamp};

async fn check(client: &Client, namespace: &Namespace, pair: &str, hours: i64, expected: &str) {
    let response = client.rate_at(pair, namespace.moment + TimeDelta::hours(hours)).await.expect_status(200);
    let RateQuote { base, quote, rate, valid_from, source } = response.json();
    assert_eq!(format!("{base}/{quote}"), pair);
    let age = (valid_from - namespace.moment).num_hours();
    assert_eq!(format!("{rate} since {age} from {source}"), expected, "{pair} after {hours} hours");
}

#[tokio::test]
async fn a_rate_is_the_newest_of_the_pair_its_inverse_and_the_cross_as_of_a_moment() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let from = |hours: i64| namespace.moment + TimeDelta::hours(hours);
    let set = client.set_rate("EUR/USD", "1.25", from(0)).await;
    assert_eq!((set.rate.as_str(), set.valid_from, set.source.to_string()), ("1.25", from(0), "manual".to_owned()));
    check(client, &namespace, "EUR/USD", 0, "1.25 since 0 from manual").await;
    check(client, &namespace, "EUR/USD", 48, "1.25 since 0 from manual").await;
    check(client, &namespace, "USD/EUR", 1, "0.800000000000 since 0 from manual").await;

    client.set_rate("EUR/JPY", "160", from(1)).await;
    check(client, &namespace, "USD/JPY", 1, "128.000000000 since 0 from manual").await;
    client.set_rate("USD/JPY", "130", from(0)).await;
    check(client, &namespace, "USD/JPY", 1, "130 since 0 from manual").await;
    client.set_rate("JPY/USD", "0.008", from(2)).await;
    check(client, &namespace, "USD/JPY", 1, "130 since 0 from manual").await;
    check(client, &namespace, "USD/JPY", 2, "125.000000000 since 2 from manual").await;
    client.set_rate("EUR/USD", "3", from(3)).await;
    check(client, &namespace, "USD/EUR", 3, "0.333333333333 since 3 from manual").await;
    check(client, &namespace, "USD/EUR", 2, "0.800000000000 since 0 from manual").await;

    let before: RateQuote =
        client.rate_at("EUR/USD", from(0) - TimeDelta::microseconds(1)).await.expect_status(200).json();
    assert!(before.valid_from < from(-24), "{before:?}");
    let history: RateQuote =
        client.rate_at("EUR/GBP", "2010-12-01T08:26:00Z".parse().unwrap()).await.expect_status(200).json();
    let found = (history.rate.as_str(), timestamp(history.valid_from), history.source.to_string());
    assert_eq!(found, ("0.8393", "2010-12-01T00:00:00Z".to_owned(), "ecb".to_owned()));
    system.finish().await;
}

#[tokio::test]
async fn all_rates_are_listed_as_of_a_moment_and_a_pair_without_rates_is_not_found() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    client.set_rate("EUR/USD", "1.25", namespace.moment).await;
    let at = |time| format!("{}/rates?at={}", client.addresses.exchange_rate, timestamp(time));
    let listed: Vec<PublishedRate> = client.get(&at(namespace.moment)).await.expect_status(200).json();
    let dollars = listed.iter().find(|rate| rate.base.to_string() == "EUR" && rate.quote.to_string() == "USD").unwrap();
    assert_eq!((dollars.rate.to_string(), dollars.valid_from), ("1.25".to_owned(), namespace.moment));
    let now: Vec<PublishedRate> =
        client.get(&format!("{}/rates", client.addresses.exchange_rate)).await.expect_status(200).json();
    assert!(now.len() >= 29, "the ECB publishes 29 or more: {}", now.len());
    let before: Vec<PublishedRate> =
        client.get(&at("1998-12-31T00:00:00Z".parse().unwrap())).await.expect_status(200).json();
    // Other scenarios may import files with days long before the ECB's first.
    let long_before = "1900-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let of_ecb = before.iter().filter(|rate| rate.source.to_string() == "ecb" && rate.valid_from > long_before).count();
    assert_eq!(of_ecb, 0, "the ECB's first rates are of 1999-01-04");
    for pair in ["EUR/BTN", "BTN/EUR", "BTN/USD"] {
        client.rate_at(pair, namespace.moment).await.expect_status(404).problem();
    }
    system.finish().await;
}

#[tokio::test]
async fn setting_the_same_rate_again_changes_nothing() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let first = client.set_rate("EUR/USD", "1.25", namespace.moment).await;
    assert_eq!(client.set_rate("EUR/USD", "1.250", namespace.moment).await.valid_from, first.valid_from);
    let at = namespace.moment;
    assert_eq!(client.rate_at("EUR/USD", at).await.expect_status(200).json::<RateQuote>(), first);
    system.finish().await;
}

#[tokio::test]
async fn a_corrected_rate_applies_to_later_purchases_and_changes_no_finished_one() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "10.00", "GBP").await;
    let mut bought = Vec::new();
    for rate in ["1.5", "1.4"] {
        client.set_rate("GBP/EUR", rate, namespace.moment).await;
        client.wait_for_rate_copy(&namespace, "GBP/EUR", rate, namespace.moment).await;
        let (key, order) = (namespace.name(rate), namespace.order(&namespace.name("alice"), "EUR", &[&sku]));
        bought.push((client.buy(&key, &order).await.expect_status(201), key, order));
    }
    let charged: Vec<_> = bought.iter().map(|(response, ..)| response.purchase().charged.unwrap()).collect();
    assert_eq!(charged, [money("15.00 EUR"), money("14.00 EUR")]);
    for (response, key, order) in &bought {
        assert_eq!(client.buy(key, order).await.expect_status(201).body, response.body);
        let shown = client.get(&format!("{}{}", client.addresses.purchase, response.header("location").unwrap())).await;
        assert_eq!(shown.json::<Value>(), response.json::<Value>());
    }
    system.finish().await;
}

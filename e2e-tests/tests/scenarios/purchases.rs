//! Single purchases: prices, currency conversion, postings, waiting for the outcome, history.

use chrono::Utc;
use contracts::{AccountId, Status};
use serde_json::json;

use super::harness::{Namespace, System, assert_balances, describe_line, money, timestamp};

#[tokio::test]
async fn a_purchase_in_the_offers_currency_debits_the_customer_and_credits_the_merchant() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer, key) = (&system.client, namespace.name("alice"), namespace.name("buy"));
    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "15.30", "GBP").await;

    let order = json!({"customer": customer, "pay_in": "GBP", "occurred_at": timestamp(namespace.moment),
        "lines": [{"sku": sku, "quantity": 6}, {"sku": sku, "quantity": 1}]});
    let bought = client.buy(&key, &order).await.expect_status(201).purchase();

    assert_eq!((bought.status, &bought.reason, &bought.rate), (Status::Settled, &None, &None));
    assert_eq!((bought.total, bought.charged), (Some(money("107.10 GBP")), Some(money("107.10 GBP"))));
    assert_eq!((bought.request_id.0.as_str(), bought.customer.as_str()), (key.as_str(), customer.as_str()));
    assert_eq!((bought.occurred_at, bought.pay_in.to_string()), (namespace.moment, "GBP".to_owned()));
    let lines: Vec<_> = bought.lines.iter().map(describe_line).collect();
    assert_eq!(lines, [format!("{sku} × 6 at 15.30 GBP"), format!("{sku} × 1 at 15.30 GBP")]);
    assert_eq!(client.get_purchase(&bought.id).await, bought);

    assert_balances(client, &customer, &[("GBP", "-107.10")]).await;
    let account = AccountId::of_customer(&bought.customer);
    assert_eq!(client.postings(&account, &key, 1).await, ["debit 107.10 GBP"]);
    assert_eq!(client.postings(&AccountId::merchant(), &key, 1).await, ["credit 107.10 GBP"]);
    assert_eq!(client.postings(&AccountId::fx(), &key, 0).await, Vec::<String>::new());
    system.finish().await;
}

/// 39.75 / 0.848 is exactly 46.875, a tie. With a rounded inverse of the rate it is no longer a tie, and the result is
/// 46.87 or 46.88 by luck.
#[tokio::test]
async fn a_purchase_in_another_currency_is_posted_through_fx_and_rounded_once_half_to_even() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer, key) = (&system.client, namespace.name("alice"), namespace.name("buy"));
    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "39.75", "GBP").await;
    client.set_rate("EUR/GBP", "0.848", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.848", namespace.moment).await;

    let bought = client.buy(&key, &namespace.order(&customer, "EUR", &[&sku])).await.expect_status(201).purchase();

    assert_eq!((bought.total, bought.charged), (Some(money("39.75 GBP")), Some(money("46.88 EUR"))));
    let rate = bought.rate.clone().unwrap();
    assert_eq!((rate.base.to_string(), rate.quote.to_string()), ("GBP".to_owned(), "EUR".to_owned()));
    assert_eq!((rate.rate.as_str(), rate.valid_from), ("1.17924528302", namespace.moment));
    assert_eq!(rate.source.to_string(), "manual");

    assert_balances(client, &customer, &[("EUR", "-46.88")]).await;
    let account = AccountId::of_customer(&bought.customer);
    assert_eq!(client.postings(&account, &key, 1).await, ["debit 46.88 EUR"]);
    let mut fx_postings = client.postings(&AccountId::fx(), &key, 2).await;
    fx_postings.sort();
    assert_eq!(fx_postings, ["credit 46.88 EUR", "debit 39.75 GBP"]);
    assert_eq!(client.postings(&AccountId::merchant(), &key, 1).await, ["credit 39.75 GBP"]);
    system.finish().await;
}

#[tokio::test]
async fn a_tie_is_rounded_to_the_even_neighbour_in_currencies_with_zero_two_and_three_decimals() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    for (currency, unit_price, expected) in [
        ("GBP", "0.125", "0.12 GBP"),
        ("GBP", "0.135", "0.14 GBP"),
        ("GBP", "0.1250001", ""),
        ("GBP", "0.125001", "0.13 GBP"),
        ("JPY", "2.5", "2 JPY"),
        ("JPY", "3.5", "4 JPY"),
        ("KWD", "1.0005", "1.000 KWD"),
        ("KWD", "1.0015", "1.002 KWD"),
    ] {
        let (sku, customer) = (namespace.name(format!("s-{unit_price}")), namespace.name(format!("c-{unit_price}")));
        let terms = json!({"price": {"amount": unit_price, "currency": currency}});
        if expected.is_empty() {
            client.put(&client.offer_url(&sku), &terms).await.expect_status(422);
            continue;
        }
        client.put_offer(&sku, &terms).await;
        let order = namespace.order(&customer, currency, &[&sku]);
        let bought = client.buy(&namespace.name(unit_price), &order).await.purchase();
        assert_eq!((bought.total, bought.charged), (Some(money(expected)), Some(money(expected))), "{unit_price}");
    }
    system.finish().await;
}

#[tokio::test]
async fn the_response_waits_for_the_outcome_only_with_a_prefer_header() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let order = namespace.order(&namespace.name("alice"), "GBP", &[&sku]);

    let waited = client.buy(&namespace.name("waits"), &order).await.expect_status(201);
    assert_eq!(waited.header("preference-applied"), Some("wait=30"));
    assert_eq!(waited.purchase().status, Status::Settled);

    let at_once = client.send(client.purchase_request(&namespace.name("does-not"), &order)).await;
    assert_eq!(at_once.header("preference-applied"), None);
    let accepted = at_once.purchase();
    assert!(matches!(accepted.status, Status::Confirmed | Status::Settled), "{accepted:?}");
    assert_eq!(accepted.charged, Some(money("15.30 GBP")), "the price is final when the purchase is accepted");
    let settled = client.wait_for_outcome(&accepted.id).await;
    assert_eq!(settled.status, Status::Settled);
    assert_eq!(settled.history[0], accepted.history[0], "a step of the history does not change");

    let too_long = client.purchase_request(&namespace.name("greedy"), &order).header("Prefer", "wait=9999");
    assert_eq!(client.send(too_long).await.header("preference-applied"), Some("wait=30"));
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_has_a_location_and_a_history_with_times() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let before = Utc::now();
    let response = client.buy(&namespace.name("buy"), &namespace.order(&namespace.name("alice"), "GBP", &[&sku])).await;
    let after = Utc::now();

    let purchase = response.purchase();
    assert_eq!(response.header("location"), Some(format!("/purchases/{}", purchase.id).as_str()));
    let steps: Vec<_> = purchase.history.iter().map(|step| step.status).collect();
    assert_eq!(steps, [Status::Confirmed, Status::Settled]);
    let times: Vec<_> = purchase.history.iter().map(|step| step.at).collect();
    // The services may run on a machine with another clock.
    let slack = chrono::TimeDelta::seconds(2);
    assert!(before - slack <= times[0] && times[0] <= times[1] && times[1] <= after + slack, "{before} {times:?}");

    let mut now = namespace.order(&namespace.name("bob"), "GBP", &[&sku]);
    now.as_object_mut().unwrap().remove("occurred_at");
    let occurred_at = client.buy(&namespace.name("now"), &now).await.purchase().occurred_at;
    assert!(before - slack <= occurred_at && occurred_at <= Utc::now() + slack, "{occurred_at}");
    client
        .get(&format!("{}/purchases/{}", client.addresses.purchase, namespace.name("nobody-bought")))
        .await
        .expect_status(404)
        .problem();
    system.finish().await;
}

#[tokio::test]
async fn entries_are_numbered_and_come_in_pages() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, customer) = (&system.client, namespace.name("lantern"), namespace.name("alice"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let lines = (1..=25).map(|number| {
        let mut order = namespace.order(&customer, "GBP", &[&sku]);
        order["request_id"] = json!(namespace.name(number));
        order
    });
    let results = client.buy_batch(&lines.collect::<Vec<_>>(), 30).await;
    assert!(results.iter().all(|result| result.http_status == 201), "{results:?}");

    let account = AccountId::of_customer(&customer.parse().unwrap());
    let all = client.entries_page(&account, "").await;
    assert_eq!((all.entries.len(), all.next), (25, None));
    let numbers: Vec<_> = all.entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=25).collect::<Vec<_>>());
    for (query, expected, next) in [
        ("?limit=10", 1..=10, Some(10)),
        ("?after=10&limit=10", 11..=20, Some(20)),
        ("?after=20&limit=10", 21..=25, None),
        ("?after=20&limit=5", 21..=25, None),
        ("?after=24&limit=1", 25..=25, None),
        ("?limit=1000", 1..=25, None),
        ("?after=3&limit=2", 4..=5, Some(5)),
    ] {
        let page = client.entries_page(&account, query).await;
        let numbers: Vec<_> = page.entries.iter().map(|entry| entry.number).collect();
        assert_eq!((numbers, page.next), (expected.collect::<Vec<_>>(), next), "{query}");
    }
    for beyond in ["?after=25", "?after=18446744073709551615"] {
        let page = client.entries_page(&account, beyond).await;
        assert_eq!((page.entries.len(), page.next), (0, None), "{beyond}");
    }
    assert_balances(client, &customer, &[("GBP", "-382.50")]).await;
    system.finish().await;
}

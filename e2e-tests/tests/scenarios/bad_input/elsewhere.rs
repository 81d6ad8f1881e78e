//! Bad offers, rates, queries, paths and methods.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, assert_no_effect, check, shop};

#[tokio::test]
async fn bad_offers_and_rates_are_refused() {
    let Shop { system, namespace, .. } = shop().await;
    let client = &system.client;
    let offer = |field: &str, value: Value| {
        let mut terms = json!({"price": {"amount": "15.30", "currency": "GBP"}});
        terms[field] = value;
        (client.offer_url(&namespace.name("bad")), terms)
    };
    let price = |amount: &str| offer("price", json!({"amount": amount, "currency": "GBP"}));
    let rate = |pair: &str, rate: &str, from: &str| {
        (format!("{}/rates/{pair}", client.addresses.exchange_rate), json!({"rate": rate, "valid_from": from}))
    };
    let noon = "2100-01-01T12:00:00Z";
    for ((url, body), status, place) in [
        (offer("colour", json!("red")), 400, "/colour"),
        (offer("capacity", json!(1_000_000_001)), 422, "/capacity"),
        (offer("capacity", json!(-1)), 422, "/capacity"),
        (offer("overbooking_percent", json!(1001)), 422, "/overbooking_percent"),
        (offer("voucher_percent", json!(101)), 422, "/voucher_percent"),
        (offer("service_date", json!("2026-02-30")), 422, "/service_date"),
        (offer("cancellation", json!({"refund_percent": -1})), 422, "/cancellation/refund_percent"),
        (offer("cancellation", json!({"fee": 1})), 400, "/cancellation/fee"),
        (offer("compensation", json!([])), 422, "/compensation"),
        (offer("compensation", json!(["refund", "back_order"])), 422, "/compensation"),
        (offer("compensation", json!(["back_order", "back_order"])), 422, "/compensation"),
        (offer("compensation", json!(["upgrade:nobody's"])), 422, "/compensation"),
        (offer("compensation", json!(["upgrade:nobody's", "refund"])), 422, "/compensation/0"),
        (offer("compensation", json!(["upgrade:", "refund"])), 422, "/compensation/0"),
        (offer("compensation", json!(["apologise"])), 422, "/compensation/0"),
        (offer("constraint", json!("tight")), 422, "/constraint"),
        (offer("overbooking_percent", json!(-1)), 422, "/overbooking_percent"),
        (offer("open_price", json!("yes")), 400, "/open_price"),
        (offer("price", Value::Null), 400, "/price"),
        (offer("price", json!({"amount": "1.00"})), 400, "/price/currency"),
        (offer("price", json!({"amount": "1.00", "currency": "XXX"})), 422, "/price/currency"),
        (price("0.0000001"), 422, "/price"),
        (price("-1"), 422, "/price"),
        (price("1000000001"), 422, "/price"),
        (price(""), 422, "/price/amount"),
        ((client.offer_url(&"x".repeat(65)), offer("open_price", json!(false)).1), 422, "sku"),
        ((client.offer_url("é"), offer("open_price", json!(false)).1), 422, "sku"),
        (rate("EUR/EUR", "1", noon), 422, "quote"),
        (rate("EUR/XXX", "1", noon), 422, "quote"),
        (rate("euro/USD", "1", noon), 422, "base"),
        (rate("EUR/USD", "0", noon), 422, "/rate"),
        (rate("EUR/USD", "-1", noon), 422, "/rate"),
        (rate("EUR/USD", "1e5", noon), 422, "/rate"),
        (rate("EUR/USD", &"9".repeat(40), noon), 422, "/rate"),
        (rate("EUR/USD", "1.1", "soon"), 422, "/valid_from"),
    ] {
        let what = format!("{url} {body}");
        check(client, client.request(Method::PUT, &url).json(&body), status, Some(place), &what).await;
    }
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

#[tokio::test]
async fn bad_queries_and_paths_are_refused() {
    let Shop { system, namespace, .. } = shop().await;
    let client = &system.client;
    let (rates, purchase, ledger) =
        (&client.addresses.exchange_rate, &client.addresses.purchase, &client.addresses.ledger);
    for (url, status, place) in [
        (format!("{ledger}/accounts/merchant/entries?limit=0"), 422, Some("limit")),
        (format!("{ledger}/accounts/merchant/entries?limit=1001"), 422, Some("limit")),
        (format!("{ledger}/accounts/merchant/entries?limit=many"), 422, Some("limit")),
        (format!("{ledger}/accounts/merchant/entries?after=-1"), 422, Some("after")),
        (format!("{ledger}/accounts/merchant/entries?before=1"), 400, Some("before")),
        (format!("{ledger}/accounts/merchant/entries?limit=1&limit=2"), 400, Some("limit")),
        (format!("{ledger}/accounts/{}", namespace.name("nobody")), 404, None),
        (format!("{ledger}/accounts/{}/entries", namespace.name("nobody")), 404, None),
        (format!("{rates}/rates/EUR/USD?at=yesterday"), 422, Some("at")),
        (format!("{rates}/rates/EUR/USD?when=2010-12-01T00:00:00Z"), 400, Some("when")),
        (format!("{rates}/rates?at="), 422, Some("at")),
        (format!("{rates}/rates?at=2010-12-01T00:00:00+01:00"), 422, Some("at")),
        (format!("{rates}/rates?at=2010-12-01T00:00:00"), 422, Some("at")),
        (format!("{rates}/rates/EUR"), 404, None),
        (format!("{purchase}/purchases/%zz"), 400, None),
        (format!("{purchase}/offers/%FF"), 400, None),
        (format!("{purchase}/nothing"), 404, None),
        (format!("{purchase}/"), 404, None),
        (format!("{purchase}/offers/"), 404, None),
    ] {
        check(client, client.request(Method::GET, &url), status, place, &url).await;
    }
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

#[tokio::test]
async fn a_method_that_a_path_does_not_allow_is_refused_with_the_allowed_methods() {
    let Shop { system, namespace, .. } = shop().await;
    let client = &system.client;
    let (rates, purchase, ledger) =
        (&client.addresses.exchange_rate, &client.addresses.purchase, &client.addresses.ledger);
    for (method, url, allowed) in [
        (Method::DELETE, format!("{purchase}/purchases"), "POST"),
        (Method::GET, format!("{purchase}/purchases"), "POST"),
        (Method::POST, format!("{rates}/docs"), "GET, HEAD"),
        (Method::POST, format!("{purchase}/offers/x"), "GET, HEAD, PUT"),
        (Method::POST, format!("{ledger}/trial-balance"), "GET, HEAD"),
        (Method::PUT, format!("{ledger}/accounts/merchant"), "GET, HEAD"),
        (Method::POST, format!("{rates}/rates/EUR/USD"), "GET, HEAD, PUT"),
        (Method::PUT, format!("{rates}/rates"), "GET, HEAD"),
        (Method::POST, format!("{rates}/healthz"), "GET, HEAD"),
    ] {
        let response = client.send(client.request(method, &url)).await.expect_status(405);
        response.problem();
        assert_eq!(response.header("allow"), Some(allowed), "{url}");
    }
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

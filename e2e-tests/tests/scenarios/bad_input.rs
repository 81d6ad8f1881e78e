//! Bad input gets a precise problem, has no effect, and does not harm the service.

mod connections;
mod elsewhere;
mod purchases;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System};

/// Asserts that a bad request gets this status, and that the problem names this place: a JSON Pointer or a parameter.
async fn check(client: &Client, request: RequestBuilder, status: u16, place: Option<&str>, what: &str) {
    let response = client.send(request).await;
    assert_eq!(response.status, status, "{what}: {}", response.body);
    let problem = response.problem();
    let (pointer, parameter) = place.map_or((None, None), |place| match place.starts_with('/') {
        true => (Some(place), None),
        false => (None, Some(place)),
    });
    assert_eq!((problem.pointer.as_deref(), problem.parameter.as_deref()), (pointer, parameter), "{what}: {problem:?}");
    if problem.r#type.ends_with(":malformed-json") {
        assert!(problem.line.is_some() && problem.column.is_some(), "{what}: {problem:?}");
    }
}

/// Asserts that every service is ready, and that the bad requests had no effect.
async fn assert_no_effect(client: &Client, namespace: &Namespace) {
    for url in client.all_urls("/readyz") {
        client.get(&url).await.expect_status(200);
    }
    client.get(&format!("{}/purchases/{}", client.addresses.purchase, namespace.name("key"))).await.expect_status(404);
    assert_eq!(client.customer_account(&namespace.name("alice")).await, None);
    client.get(&client.offer_url(&namespace.name("bad"))).await.expect_status(404);
}

/// A system with an offer, and a valid purchase of it.
struct Shop {
    system: System,
    namespace: Namespace,
    order: Value,
}

async fn shop() -> Shop {
    let (system, namespace) = (System::start().await, Namespace::new());
    let sku = namespace.name("lantern");
    let terms = json!({"price": {"amount": "15.30", "currency": "GBP"}, "open_price": true});
    system.client.put_offer(&sku, &terms).await;
    let order = namespace.order(&namespace.name("alice"), "GBP", &[&sku]);
    Shop { system, namespace, order }
}

#[tokio::test]
async fn a_missing_invalid_or_repeated_idempotency_key_is_refused() {
    let Shop { system, namespace, order } = shop().await;
    let client = &system.client;
    let url = format!("{}/purchases", client.addresses.purchase);
    let (long, unicode) = ("k".repeat(65), "schlüssel".to_owned());
    for keys in [&[] as &[&str], &[""], &["a b"], &[&long], &[&unicode], &["a", "a"]] {
        let mut request = client.request(Method::POST, &url).json(&order);
        for key in keys {
            request = request.header("Idempotency-Key", *key);
        }
        let problem = client.send(request).await.expect_status(400).problem();
        assert_eq!(problem.r#type, "urn:unbundled:problem:idempotency-key", "{keys:?}");
    }
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_or_has_another_media_type_is_refused_with_a_problem() {
    let Shop { system, namespace, order } = shop().await;
    let client = &system.client;
    let purchase = || client.purchase_request(&namespace.name("key"), &order);
    for bytes in [(1 << 20) + 1, 10 << 20] {
        let problem = client.send(purchase().body(vec![b' '; bytes])).await.expect_status(413).problem();
        assert_eq!(problem.limit, Some(1 << 20));
    }
    let [rate, offer] =
        [format!("{}/rates/EUR/USD", client.addresses.exchange_rate), client.offer_url(&namespace.name("bad"))];
    for url in [&rate, &offer] {
        let large =
            client.request(Method::PUT, url).header("Content-Type", "application/json").body(vec![b' '; 10 << 20]);
        check(client, large, 413, None, url).await;
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "nonsense"] {
        let request = client.request(Method::POST, &format!("{}/purchases", client.addresses.purchase));
        let request = request.header("Idempotency-Key", namespace.name("key")).header("Content-Type", kind);
        check(client, request.body(order.to_string()), 415, None, kind).await;
    }
    check(client, purchase().header("Content-Encoding", "gzip"), 415, None, "compressed").await;
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

//! Bad input: a precise problem, nothing half done, the service alive.

mod connections;
mod elsewhere;
mod purchases;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::harness::{Client, Corner, System};

/// What one bad request has to be answered: the status, and the place: a JSON Pointer, or the name of a parameter.
async fn check(client: &Client, request: RequestBuilder, status: u16, place: Option<&str>, what: &str) {
    let answer = client.send(request).await;
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    let problem = answer.problem();
    let (pointer, parameter) = place.map_or((None, None), |place| match place.starts_with('/') {
        true => (Some(place), None),
        false => (None, Some(place)),
    });
    assert_eq!((problem.pointer.as_deref(), problem.parameter.as_deref()), (pointer, parameter), "{what}: {problem:?}");
    if problem.r#type.ends_with(":malformed-json") {
        assert!(problem.line.is_some() && problem.column.is_some(), "{what}: {problem:?}");
    }
}

/// Every service still does its work, and nothing came of the bad requests.
async fn nothing_was_done(client: &Client, corner: &Corner) {
    for url in client.everywhere("/readyz") {
        client.get(&url).await.is(200);
    }
    client.get(&format!("{}/purchases/{}", client.at.purchase, corner.name("key"))).await.is(404);
    assert_eq!(client.account_of(&corner.name("alice")).await, None);
    client.get(&client.offer_url(&corner.name("bad"))).await.is(404);
}

struct Shop {
    system: System,
    corner: Corner,
    order: Value,
}

async fn shop() -> Shop {
    let (system, corner) = (System::start().await, Corner::new());
    let sku = corner.name("lantern");
    let terms = json!({"price": {"amount": "15.30", "currency": "GBP"}, "open_price": true});
    system.client.offer(&sku, &terms).await;
    let order = corner.order(&corner.name("alice"), "GBP", &[&sku]);
    Shop { system, corner, order }
}

#[tokio::test]
async fn a_key_is_required_and_has_to_be_one() {
    let Shop { system, corner, order } = shop().await;
    let client = &system.client;
    let url = format!("{}/purchases", client.at.purchase);
    let (long, unicode) = ("k".repeat(65), "schlüssel".to_owned());
    for keys in [&[] as &[&str], &[""], &["a b"], &[&long], &[&unicode], &["a", "a"]] {
        let mut request = client.ask(Method::POST, &url).json(&order);
        for key in keys {
            request = request.header("Idempotency-Key", *key);
        }
        let problem = client.send(request).await.is(400).problem();
        assert_eq!(problem.r#type, "urn:unbundled:problem:idempotency-key", "{keys:?}");
    }
    nothing_was_done(client, &corner).await;
    system.finish().await;
}

#[tokio::test]
async fn what_is_too_large_or_of_another_media_type_is_refused_readably() {
    let Shop { system, corner, order } = shop().await;
    let client = &system.client;
    let purchase = || client.purchase(&corner.name("key"), &order);
    for bytes in [(1 << 20) + 1, 10 << 20] {
        let problem = client.send(purchase().body(vec![b' '; bytes])).await.is(413).problem();
        assert_eq!(problem.limit, Some(1 << 20));
    }
    let [rate, offer] = [format!("{}/rates/EUR/USD", client.at.exchange_rate), client.offer_url(&corner.name("bad"))];
    for url in [&rate, &offer] {
        let large = client.ask(Method::PUT, url).header("Content-Type", "application/json").body(vec![b' '; 10 << 20]);
        check(client, large, 413, None, url).await;
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "nonsense"] {
        let request = client.ask(Method::POST, &format!("{}/purchases", client.at.purchase));
        let request = request.header("Idempotency-Key", corner.name("key")).header("Content-Type", kind);
        check(client, request.body(order.to_string()), 415, None, kind).await;
    }
    check(client, purchase().header("Content-Encoding", "gzip"), 415, None, "compressed").await;
    nothing_was_done(client, &corner).await;
    system.finish().await;
}

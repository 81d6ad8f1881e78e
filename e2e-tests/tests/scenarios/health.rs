//! What machines ask.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Corner, System};

#[tokio::test]
async fn every_service_is_alive_ready_and_measured() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    for (path, status) in [("/healthz", "alive"), ("/readyz", "ready")] {
        for url in client.everywhere(path) {
            assert_eq!(client.get(&url).await.is(200).json::<Value>(), json!({"status": status}), "{url}");
        }
    }
    client.offer_for(&sku, "1.00", "GBP").await;
    client.buy(&corner.name("buys"), &corner.order(&corner.name("alice"), "GBP", &[&sku])).await.is(201);
    let refused = corner.order(&corner.name("bob"), "GBP", &[&corner.name("unknown")]);
    client.buy(&corner.name("refused"), &refused).await.is(201);

    let [rates, purchase, ledger] = client.everywhere("/metrics");
    let everywhere = [
        "http_requests_total{",
        "http_request_duration_seconds_bucket{",
        "stage_batch_facts_sum{",
        "stage_batch_seconds_sum{",
    ];
    for (url, more) in [
        (rates, &["stage=\"record-rates\""] as &[_]),
        (
            purchase,
            &[
                "stage=\"accept\"",
                "stage=\"settle\"",
                "stage=\"copy-rates\"",
                "stage_lag_frames{",
                "purchases_total{reason=\"\",status=\"settled\"}",
                "route=\"/purchases\",status=\"201\"",
                "purchases_total{reason=\"unknown_offer\",status=\"rejected\"}",
            ],
        ),
        (ledger, &["stage=\"post\"", "stage_lag_frames{"]),
    ] {
        let answer = client.get(&url).await.is(200);
        assert!(
            answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")),
            "{url}"
        );
        for name in everywhere.iter().chain(more) {
            assert!(answer.body.contains(name), "{url} has no {name}:\n{}", answer.body);
        }
    }
    system.finish().await;
}

#[tokio::test]
async fn load_balancers_may_ask_with_head() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.offer_for(&sku, "1.00", "GBP").await;
    let purchase = client.buy(&corner.name("buys"), &corner.order("alice", "GBP", &[&sku])).await.is(201).purchase();
    let mut urls = vec![
        client.offer_url(&sku),
        format!("{}/purchases/{}", client.at.purchase, purchase.id),
        format!("{}/copies", client.at.purchase),
        format!("{}/rates/EUR/GBP?at=2010-12-01T00:00:00Z", client.at.exchange_rate),
        format!("{}/trial-balance", client.at.ledger),
    ];
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        urls.extend(client.everywhere(path));
    }
    for url in urls {
        let (get, head) = (client.get(&url).await, client.send(client.ask(Method::HEAD, &url)).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{url}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{url}");
    }
    system.finish().await;
}

/// A route that is not known must not get a label of its own.
#[tokio::test]
async fn made_up_paths_and_methods_do_not_grow_the_figures() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let path = corner.name("made-up");
    for url in client.everywhere(&format!("/{path}")) {
        client.get(&url).await.is(404).problem();
        client.send(client.ask(Method::from_bytes(b"BREW").unwrap(), &url)).await.is(404);
    }
    for url in client.everywhere("/metrics") {
        let metrics = client.get(&url).await.is(200).body;
        assert!(!metrics.contains(&path) && !metrics.contains("BREW"), "{url}");
        assert!(metrics.contains("route=\"unmatched\",status=\"404\""), "{url}:\n{metrics}");
    }
    system.finish().await;
}

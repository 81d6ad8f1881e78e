//! Health checks, readiness and metrics.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Namespace, System};

#[tokio::test]
async fn every_service_is_alive_and_ready_and_exports_metrics() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    for (path, status) in [("/healthz", "alive"), ("/readyz", "ready")] {
        for url in client.all_urls(path) {
            assert_eq!(client.get(&url).await.expect_status(200).json::<Value>(), json!({"status": status}), "{url}");
        }
    }
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    client
        .buy(&namespace.name("buys"), &namespace.order(&namespace.name("alice"), "GBP", &[&sku]))
        .await
        .expect_status(201);
    let refused = namespace.order(&namespace.name("bob"), "GBP", &[&namespace.name("unknown")]);
    client.buy(&namespace.name("refused"), &refused).await.expect_status(201);

    let [rates, purchase, ledger] = client.all_urls("/metrics");
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
        let response = client.get(&url).await.expect_status(200);
        assert!(
            response.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")),
            "{url}"
        );
        for name in everywhere.iter().chain(more) {
            assert!(response.body.contains(name), "{url} has no {name}:\n{}", response.body);
        }
    }
    system.finish().await;
}

#[tokio::test]
async fn head_requests_get_the_same_status_and_headers_as_get() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    let purchase = client
        .buy(&namespace.name("buys"), &namespace.order("alice", "GBP", &[&sku]))
        .await
        .expect_status(201)
        .purchase();
    let mut urls = vec![
        client.offer_url(&sku),
        format!("{}/purchases/{}", client.addresses.purchase, purchase.id),
        format!("{}/copies", client.addresses.purchase),
        format!("{}/rates/EUR/GBP?at=2010-12-01T00:00:00Z", client.addresses.exchange_rate),
        format!("{}/trial-balance", client.addresses.ledger),
    ];
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        urls.extend(client.all_urls(path));
    }
    for url in urls {
        let (get, head) = (client.get(&url).await, client.send(client.request(Method::HEAD, &url)).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{url}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{url}");
    }
    system.finish().await;
}

/// An unknown path must not create a label value, or clients could create any number of time series.
#[tokio::test]
async fn unknown_paths_and_methods_do_not_create_time_series() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let path = namespace.name("made-up");
    for url in client.all_urls(&format!("/{path}")) {
        client.get(&url).await.expect_status(404).problem();
        client.send(client.request(Method::from_bytes(b"BREW").unwrap(), &url)).await.expect_status(404);
    }
    for url in client.all_urls("/metrics") {
        let metrics = client.get(&url).await.expect_status(200).body;
        assert!(!metrics.contains(&path) && !metrics.contains("BREW"), "{url}");
        assert!(metrics.contains("route=\"unmatched\",status=\"404\""), "{url}:\n{metrics}");
    }
    system.finish().await;
}

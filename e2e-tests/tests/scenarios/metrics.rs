//! What Prometheus reads, on a system that others use too: what is shown, not how much.

use serde_json::Value;

use super::harness::{Corner, System, overdraft};

#[tokio::test]
async fn what_every_service_shows_passes_promtool_and_stands_in_the_documents() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.offer_for(&sku, "10.00", "EUR").await;
    client.set_rate("GBP/EUR", "1.5", corner.moment).await;
    let order = |customer: &str, sku: &str| corner.order(&corner.name(customer), "EUR", &[sku]);
    client.buy(&corner.name("buys"), &order("alice", &sku)).await.is(201);
    client.buy(&corner.name("unknown"), &order("alice", &corner.name("none"))).await.is(201);
    let bob = format!("customer:{}", corner.name("bob"));
    client.send(client.claim(&bob, &overdraft("0.00", "refuse"))).await.is(201);
    client.send(client.claim(&bob, &Value::Null)).await.is(409);
    client.buy(&corner.name("refused"), &order("bob", &sku)).await.is(201);
    for (key, amount) in [("posted", "1.00"), ("overdrawn", "2.00")] {
        client.pay(&corner.name(key), if key == "posted" { "merchant" } else { &bob }, "fees", amount).await.is(201);
    }
    client.pay(&corner.name("nobody"), &corner.name("nobody"), "fees", "1.00").await.is(201);

    for metrics in client.metrics().await {
        metrics.pass_promtool().await;
        metrics.are_documented();
        assert_eq!(metrics.sum("unbundled_build_info", &[("service", metrics.service)]), 1.0);
    }
    system.finish().await;
}

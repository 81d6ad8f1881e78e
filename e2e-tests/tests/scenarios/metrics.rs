//! The exported metrics on a shared system: which there are, not their values.

use serde_json::Value;

use super::harness::{Namespace, System, overdraft};

#[tokio::test]
async fn the_metrics_of_every_service_pass_promtool_and_are_documented() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "10.00", "EUR").await;
    client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
    let order = |customer: &str, sku: &str| namespace.order(&namespace.name(customer), "EUR", &[sku]);
    client.buy(&namespace.name("buys"), &order("alice", &sku)).await.expect_status(201);
    client.buy(&namespace.name("unknown"), &order("alice", &namespace.name("none"))).await.expect_status(201);
    client.bring_back(&namespace.name("back"), &order("alice", &sku)).await.expect_status(201);
    let bob = format!("customer:{}", namespace.name("bob"));
    client.send(client.claim_request(&bob, &overdraft("0.00", "refuse"))).await.expect_status(201);
    client.send(client.claim_request(&bob, &Value::Null)).await.expect_status(409);
    client.buy(&namespace.name("refused"), &order("bob", &sku)).await.expect_status(201);
    for (key, amount) in [("posted", "1.00"), ("overdrawn", "2.00")] {
        client
            .pay(&namespace.name(key), if key == "posted" { "merchant" } else { &bob }, "fees", amount)
            .await
            .expect_status(201);
    }
    client.pay(&namespace.name("nobody"), &namespace.name("nobody"), "fees", "1.00").await.expect_status(201);

    for metrics in client.metrics().await {
        metrics.assert_promtool_passes().await;
        metrics.assert_documented();
        assert_eq!(metrics.sum("unbundled_build_info", &[("service", metrics.service)]), 1.0);
    }
    system.finish().await;
}

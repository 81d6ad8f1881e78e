//! Purchases that earn points in the example services.

use serde_json::Value;

use super::{Client, Namespace, wait_until};

/// Buys 12 pieces that are paid and one that is refused, and returns the customer.
pub async fn earn_points(client: &Client) -> String {
    let namespace = Namespace::new();
    let (customer, sku) = (namespace.name("ann"), namespace.name("tea"));
    client.put_priced_offer(&sku, "2.50", "EUR").await;
    for (number, quantity) in [(1, 5), (2, 7)] {
        let mut order = namespace.order(&customer, "EUR", &[&sku]);
        order["lines"][0]["quantity"] = quantity.into();
        client.buy(&namespace.name(number), &order).await.expect_status(201);
    }
    let unknown = namespace.order(&customer, "EUR", &[&namespace.name("nothing")]);
    client.buy(&namespace.name(3), &unknown).await.expect_status(201);
    customer
}

/// Waits until the customer has these points. Fails at once if there are more.
pub async fn assert_points(client: &Client, loyalty: &str, customer: &str, points: u64) {
    let reached = async || {
        let response = client.get(&format!("{loyalty}/points/{customer}")).await;
        let found = if response.status == 200 { response.json::<Value>()["points"].as_u64().unwrap() } else { 0 };
        assert!(found <= points, "{customer} has {found} points instead of {points}");
        (found == points).then_some(())
    };
    wait_until(&format!("{customer} has {points} points"), reached).await;
}

/// Waits until the customer has this tier.
pub async fn assert_tier(client: &Client, loyalty: &str, customer: &str, tier: &str) {
    let reached = async || {
        let response = client.get(&format!("{loyalty}/tiers/{customer}")).await;
        (response.status == 200 && response.json::<Value>()["tier"] == tier).then_some(())
    };
    wait_until(&format!("{customer} is {tier}"), reached).await;
}

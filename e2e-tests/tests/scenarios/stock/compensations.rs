//! The ladder: upgrade, back order, refund.

use serde_json::json;

use super::super::harness::{Namespace, System, describe};

#[tokio::test]
async fn who_is_over_sold_is_upgraded_at_no_extra_charge_and_then_refunded() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room, suite) = (&system.client, namespace.name("room"), namespace.name("suite"));
    client.put_offer(&suite, &json!({"price": {"amount": "99.00", "currency": "EUR"}, "capacity": 1})).await;
    let ladder = [format!("upgrade:{suite}"), "refund".to_owned()];
    client.put_limited_offer(&room, json!({"capacity": 1, "compensation": ladder})).await;

    let first = client.buy_one(&namespace, "alice", &[&room]).await;
    let second = client.buy_one(&namespace, "bob", &[&room]).await;
    let third = client.buy_one(&namespace, "carol", &[&room]).await;

    assert_eq!([describe(&first), describe(&second)], ["settled held", "settled upgraded"]);
    assert_eq!(second.lines[0].upgraded_to.as_ref().map(|sku| sku.as_str()), Some(suite.as_str()));
    super::wait_for_balance(client, &namespace.name("bob"), "-10.00").await;
    assert_eq!(describe(&third), "compensated sold_out refused, back 10.00 EUR");
    super::wait_for_balance(client, &namespace.name("carol"), "0.00").await;
    system.finish().await;
}

#[tokio::test]
async fn a_back_order_keeps_its_money_and_is_served_by_a_cancellation_in_order() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1, "compensation": ["back_order"]})).await;
    let first = client.buy_one(&namespace, "alice", &[&room]).await;
    let second = client.buy_one(&namespace, "bob", &[&room]).await;
    let third = client.buy_one(&namespace, "carol", &[&room]).await;
    assert_eq!([&first, &second, &third].map(describe), ["settled held", "settled queued", "settled queued"]);
    super::wait_for_balance(client, &namespace.name("bob"), "-10.00").await;

    client.cancel(&first, &json!({})).await.expect_status(201);

    super::wait_for_description(client, &second, "settled held").await;
    assert_eq!(describe(&client.get_purchase(&third.id).await), "settled queued");
    system.finish().await;
}

#[tokio::test]
async fn a_raised_capacity_serves_who_waits() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 0, "compensation": ["back_order"]})).await;
    // What can never be served does not wait.
    assert_eq!(
        describe(&client.buy_one(&namespace, "alice", &[&room]).await),
        "compensated sold_out refused, back 10.00 EUR"
    );
    client.put_limited_offer(&room, json!({"capacity": 1, "compensation": ["back_order"]})).await;
    client.buy_one(&namespace, "bob", &[&room]).await;
    let waiting = client.buy_one(&namespace, "carol", &[&room]).await;
    assert_eq!(describe(&waiting), "settled queued");
    client.put_limited_offer(&room, json!({"capacity": 2, "compensation": ["back_order"]})).await;
    super::wait_for_description(client, &waiting, "settled held").await;
    system.finish().await;
}

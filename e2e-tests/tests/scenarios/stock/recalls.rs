//! Supply that is lost: a strike, a burst pipe.

use contracts::Offer;
use serde_json::json;

use super::super::harness::{Namespace, System, describe};

#[tokio::test]
async fn lost_supply_is_put_right_for_the_newest_in_loose_and_strict_offers() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    for constraint in ["loose", "strict"] {
        let name = |what: &str| format!("{what} {constraint}");
        let room = namespace.name(name("room"));
        client.put_limited_offer(&room, json!({"capacity": 2, "constraint": constraint, "voucher_percent": 50})).await;
        let first = client.buy_one(&namespace, &name("alice"), &[&room]).await;
        let second = client.buy_one(&namespace, &name("bob"), &[&room]).await;

        let key = namespace.name(format!("strike-{constraint}"));
        let left: Offer = client.recall(&key, &room, 1).await.expect_status(201).json();

        assert_eq!((left.terms.capacity, left.allocated, left.available), (Some(1), 1, Some(0)));
        super::wait_for_description(client, &second, "settled lost, back 10.00 EUR, voucher 5.00 EUR").await;
        assert_eq!(describe(&client.get_purchase(&first.id).await), "settled held");
        let again: Offer = client.recall(&key, &room, 1).await.expect_status(201).json();
        assert_eq!(again, left, "the same key is the same recall");
        client.recall(&key, &room, 2).await.expect_status(409);
    }
    system.finish().await;
}

#[tokio::test]
async fn a_recalled_line_goes_down_its_ladder() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room, suite) = (&system.client, namespace.name("room"), namespace.name("suite"));
    client.put_limited_offer(&suite, json!({"capacity": 1})).await;
    let ladder = [format!("upgrade:{suite}"), "back_order".to_owned()];
    let terms = json!({"capacity": 3, "constraint": "strict", "compensation": ladder});
    client.put_limited_offer(&room, terms.clone()).await;
    let oldest = client.buy_one(&namespace, "grace", &[&room]).await;
    let first = client.buy_one(&namespace, "alice", &[&room]).await;
    let second = client.buy_one(&namespace, "bob", &[&room]).await;
    client.recall(&namespace.name("pipe"), &room, 2).await.expect_status(201);
    // The older one is served first.
    super::wait_for_description(client, &first, "settled upgraded").await;
    super::wait_for_description(client, &second, "settled queued").await;
    assert_eq!(describe(&client.get_purchase(&oldest.id).await), "settled held");
    client.put_limited_offer(&room, terms).await;
    super::wait_for_description(client, &second, "settled held").await;
    super::wait_for_balance(client, &namespace.name("bob"), "-10.00").await;
    system.finish().await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_lost() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room, book) = (&system.client, namespace.name("room"), namespace.name("book"));
    client.put_limited_offer(&room, json!({"capacity": 2})).await;
    client.put_limited_offer(&book, json!({})).await;
    for (sku, pieces, status) in
        [(&room, 3, 422), (&room, 0, 422), (&book, 1, 422), (&namespace.name("nothing"), 1, 404)]
    {
        let key = namespace.name(format!("recall-{pieces}-{status}"));
        client.recall(&key, sku, pieces).await.expect_status(status).problem();
    }
    assert_eq!(client.stock(&room).await, (0, Some(2)));
    system.finish().await;
}

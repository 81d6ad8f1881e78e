//! What is sold when demand exceeds capacity: loose and strict offers, whole and partial purchases.

use contracts::{AccountId, Purpose, Status};
use serde_json::json;

use super::super::harness::{Namespace, System, assert_balances, describe};

/// Two buyers who cannot see each other are both charged. One is over-sold: an apology, not an error.
#[tokio::test]
async fn overbooking_is_put_right_by_a_refund_and_a_voucher() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1, "voucher_percent": 10})).await;

    let bought = client.buy_together(&namespace, &["alice", "bob"], &room).await;

    let described: Vec<_> = bought.iter().map(describe).collect();
    let apology = "compensated sold_out refused, back 10.00 EUR, voucher 1.00 EUR";
    assert_eq!(described, ["settled held", apology]);
    let statuses: Vec<_> = bought[1].history.iter().map(|change| change.status).collect();
    assert_eq!(statuses, [Status::Confirmed, Status::Compensated, Status::Compensated]);
    assert_balances(client, &namespace.name("alice"), &[("EUR", "-10.00")]).await;
    super::wait_for_balance(client, &namespace.name("bob"), "1.00").await;
    // Nothing was deleted: the charge and its reverse stand beside each other.
    let entries = client.customer_entries(&namespace.name("bob")).await;
    let purposes: Vec<_> = entries.iter().map(|entry| entry.purpose).collect();
    assert_eq!(purposes, [Purpose::Purchase, Purpose::Refund, Purpose::Voucher]);
    let bob = namespace.name("bob");
    assert_eq!(client.postings(&AccountId::merchant(), &bob, 2).await, ["credit 10.00 EUR", "debit 10.00 EUR"]);
    assert_eq!(client.postings(&AccountId::vouchers(), &bob, 1).await, ["debit 1.00 EUR"]);
    // Whoever comes later sees that it is gone, and is not charged at all.
    assert_eq!(client.stock(&room).await, (1, Some(0)));
    assert_eq!(describe(&client.buy_one(&namespace, "carol", &[&room]).await), "rejected sold_out");
    system.finish().await;
}

#[tokio::test]
async fn a_hotel_may_sell_more_than_it_has() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    let offer = client.put_limited_offer(&room, json!({"capacity": 2, "overbooking_percent": 50})).await;
    assert_eq!((offer.allocated, offer.available), (0, Some(3)));
    let bought = client.buy_together(&namespace, &["a", "b", "c", "d"], &room).await;
    let settled = bought.iter().filter(|purchase| purchase.status == Status::Settled).count();
    assert_eq!((settled, client.stock(&room).await), (3, (3, Some(0))));
    system.finish().await;
}

#[tokio::test]
async fn a_strict_offer_says_sold_out_and_charges_nobody() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1, "constraint": "strict"})).await;
    let bought = client.buy_together(&namespace, &["alice", "bob"], &room).await;
    let described: Vec<_> = bought.iter().map(describe).collect();
    assert_eq!(described, ["settled held", "rejected sold_out refused"]);
    let statuses: Vec<_> = bought[0].history.iter().map(|change| change.status).collect();
    assert_eq!(statuses, [Status::Accepted, Status::Confirmed, Status::Settled]);
    assert_balances(client, &namespace.name("bob"), &[]).await;
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_gets_all_of_its_lines_or_none_unless_some_are_enough() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room, sauna) = (&system.client, namespace.name("room"), namespace.name("sauna"));
    for constraint in ["loose", "strict"] {
        client.put_limited_offer(&room, json!({"capacity": 1, "constraint": constraint})).await;
        client.put_limited_offer(&sauna, json!({"capacity": 0, "constraint": constraint})).await;
        let name = |who: &str| format!("{who} {constraint}");
        let whole = client.buy_one(&namespace, &name("alice"), &[&room, &sauna]).await;
        assert_eq!(whole.status, Status::Rejected, "{whole:?}");
        super::wait_for_stock(client, &room, 0).await;
        let customer = namespace.name(name("bob"));
        let mut order = namespace.order(&customer, "EUR", &[&room, &sauna]);
        order["partial"] = json!(true);
        let some = client.buy(&customer.replace(' ', "-"), &order).await.expect_status(201).purchase();
        let expected =
            if constraint == "loose" { "settled held refused, back 10.00 EUR" } else { "settled held refused" };
        assert_eq!(describe(&some), expected);
        super::wait_for_balance(client, &customer, "-10.00").await;
        client.cancel(&some, &json!({})).await.expect_status(201);
    }
    system.finish().await;
}

/// Each holds one product while it asks for the other, so both may fail; never does anybody keep half.
#[tokio::test]
async fn rivals_for_the_same_two_products_keep_both_or_nothing() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, x, y) = (&system.client, namespace.name("x"), namespace.name("y"));
    for sku in [&x, &y] {
        client.put_limited_offer(sku, json!({"capacity": 1, "constraint": "strict"})).await;
    }
    let (forth, back) = ([x.as_str(), y.as_str()], [y.as_str(), x.as_str()]);
    let (one, other) =
        tokio::join!(client.buy_one(&namespace, "alice", &forth), client.buy_one(&namespace, "bob", &back));
    let settled = [&one, &other].iter().filter(|purchase| purchase.status == Status::Settled).count() as u64;
    assert!(settled <= 1, "{one:?} {other:?}");
    super::wait_for_stock(client, &x, settled).await;
    super::wait_for_stock(client, &y, settled).await;
    system.finish().await;
}

#[tokio::test]
async fn a_payment_that_is_refused_gives_the_stock_back() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client
        .send(client.claim_request(&format!("customer:{}", namespace.name("poor")), &json!(null)))
        .await
        .expect_status(201);
    client.put_limited_offer(&room, json!({"capacity": 1})).await;
    let poor = client.buy_one(&namespace, "poor", &[&room]).await;
    assert_eq!(describe(&poor), "rejected payment_refused released");
    super::wait_for_stock(client, &room, 0).await;
    assert_eq!(describe(&client.buy_one(&namespace, "rich", &[&room]).await), "settled held");
    system.finish().await;
}

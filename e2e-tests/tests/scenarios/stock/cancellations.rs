//! Cancellations: by the terms of the offer, once, and complete only when the stock is free again.

use contracts::CancellationStatus;
use reqwest::Method;
use serde_json::json;

use super::super::harness::{Namespace, System, describe};

#[tokio::test]
async fn cancel_then_buy_the_last_one_always_works() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1, "constraint": "strict"})).await;
    let mut last = client.buy_one(&namespace, "guest 0", &[&room]).await;
    for number in 1..6 {
        let cancelled = client.cancel(&last, &json!({})).await.expect_status(201).purchase();
        assert_eq!(describe(&cancelled), "settled released, back 10.00 EUR, cancellation completed");
        last = client.buy_one(&namespace, &format!("guest {number}"), &[&room]).await;
        assert_eq!(describe(&last), "settled held", "guest {number}");
    }
    system.finish().await;
}

#[tokio::test]
async fn a_second_cancellation_is_the_first_one() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1})).await;
    let bought = client.buy_one(&namespace, "alice", &[&room]).await;
    let all =
        futures_util::future::join_all((0..8).map(|_| async { client.cancel(&bought, &json!({})).await.body })).await;
    assert!(all.iter().all(|body| *body == all[0]), "{all:?}");
    super::wait_for_balance(client, &namespace.name("alice"), "0.00").await;
    assert_eq!(client.customer_entries(&namespace.name("alice")).await.len(), 2);
    system.finish().await;
}

#[tokio::test]
async fn the_terms_of_the_offer_say_what_is_returned() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    let terms = json!({"refund_percent": 90, "until_s_before": 86_400, "late_refund_percent": 25});
    client.put_limited_offer(&room, json!({"capacity": 9, "service_date": "2026-07-10", "cancellation": terms})).await;
    for (customer, at, back) in [
        ("early", "2026-07-08T23:59:59Z", "9.00"),
        ("just in time", "2026-07-09T00:00:00Z", "9.00"),
        ("late", "2026-07-09T00:00:01Z", "2.50"),
    ] {
        let bought = client.buy_one(&namespace, customer, &[&room]).await;
        let cancelled = client.cancel(&bought, &json!({"occurred_at": at})).await.expect_status(201).purchase();
        assert_eq!(describe(&cancelled), format!("settled released, back {back} EUR, cancellation completed"));
    }
    assert_eq!(client.stock(&room).await.0, 0);
    system.finish().await;
}

/// Goods without a limit have no stock to give back, so their money is all there is to it.
#[tokio::test]
async fn a_purchase_without_limited_stock_is_cancelled_at_the_rate_it_was_charged_at() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, book) = (&system.client, namespace.name("book"));
    client.put_priced_offer(&book, "39.75", "GBP").await;
    client.set_rate("EUR/GBP", "0.848", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.848", namespace.moment).await;
    let bought = client.buy_one(&namespace, "alice", &[&book]).await;
    client.set_rate("EUR/GBP", "0.5", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.5", namespace.moment).await;
    let cancelled = client.cancel(&bought, &json!({})).await.expect_status(201).purchase();
    assert_eq!(describe(&cancelled), "settled released, back 46.88 EUR, cancellation completed");
    super::wait_for_balance(client, &namespace.name("alice"), "0.00").await;
    system.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_cancelled() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 0})).await;
    let rejected = client.buy_one(&namespace, "alice", &[&room]).await;
    let refused = client.cancel(&rejected, &json!({})).await.expect_status(201).purchase();
    assert_eq!(refused.cancellation.map(|cancellation| cancellation.status), Some(CancellationStatus::Rejected));
    let url = |id: &str| format!("{}/purchases/{id}/cancellation", client.addresses.purchase);
    let nobody = client.request(Method::POST, &url("nobody")).json(&json!({}));
    client.send(nobody).await.expect_status(404).problem();
    for (body, status) in [(json!({"at": 1}), 400), (json!({"occurred_at": "yesterday"}), 422)] {
        let problem = client.cancel(&rejected, &body).await.expect_status(status).problem();
        assert!(problem.pointer.is_some(), "{problem:?}");
    }
    system.finish().await;
}

#[tokio::test]
async fn a_batch_of_cancellations_has_a_result_for_each_line() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room) = (&system.client, namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 3})).await;
    let mut lines = Vec::new();
    for guest in ["alice", "bob", "carol"] {
        let bought = client.buy_one(&namespace, guest, &[&room]).await;
        lines.push(json!({"request_id": bought.request_id}).to_string());
    }
    let bad = [json!({"request_id": namespace.name("nobody")}), json!({"request_id": "x", "when": 1}), json!({})];
    lines.splice(1..1, bad.iter().map(ToString::to_string));
    lines.push(lines[0].clone());
    let url = format!("{}/purchases/cancellations", client.addresses.purchase);
    let send = async || {
        let request = client.request(Method::POST, &url).header("Content-Type", "application/x-ndjson");
        client.send(request.header("Prefer", "wait=30").body(lines.join("\n"))).await.expect_status(200)
    };
    let response = send().await;
    let results = response.lines();
    let statuses: Vec<_> = results.iter().map(|result| result.http_status).collect();
    assert_eq!(statuses, [201, 404, 400, 400, 201, 201, 201]);
    for result in results.iter().filter(|result| result.http_status == 201) {
        let shown = describe(result.purchase.as_ref().unwrap());
        assert_eq!(shown, "settled released, back 10.00 EUR, cancellation completed");
    }
    assert_eq!(client.stock(&room).await.0, 0);
    assert_eq!(send().await.body, response.body);
    system.finish().await;
}

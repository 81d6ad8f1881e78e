//! Retries are safe: a request has one effect and one response, however often it is sent.

use std::collections::BTreeSet;

use contracts::{AccountId, Purchase, Status};
use serde_json::{Value, json};

use super::harness::{Client, Namespace, Response, System, assert_balances};

/// Sends all purchases concurrently with the same key.
async fn send_concurrently(client: &Client, key: &str, orders: Vec<Value>) -> Vec<Response> {
    let sent = orders.into_iter().map(|order| {
        let (client, key) = (client.clone(), key.to_owned());
        tokio::spawn(async move { client.buy(&key, &order).await })
    });
    let mut responses = Vec::new();
    for sending in sent.collect::<Vec<_>>() {
        responses.push(sending.await.unwrap());
    }
    responses
}

async fn lantern(client: &Client, namespace: &Namespace) -> String {
    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    sku
}

#[tokio::test]
async fn the_same_request_100_times_in_parallel_has_one_effect_and_100_equal_responses() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer, key) = (&system.client, namespace.name("alice"), namespace.name("buy"));
    let order = namespace.order(&customer, "GBP", &[&lantern(client, &namespace).await]);

    let responses = send_concurrently(client, &key, vec![order; 100]).await;

    let distinct: BTreeSet<_> = responses.iter().map(|response| (response.status, &response.body)).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    let locations: BTreeSet<_> = responses.iter().map(|response| response.header("location")).collect();
    assert_eq!(locations.len(), 1);
    let bought = responses[0].clone().expect_status(201).purchase();
    assert_eq!(client.get_purchase(&bought.id).await, bought);
    assert_eq!(client.postings(&AccountId::of_customer(&bought.customer), &key, 1).await, ["debit 15.30 GBP"]);
    assert_eq!(client.postings(&AccountId::merchant(), &key, 1).await, ["credit 15.30 GBP"]);
    // `finish` waits until nothing is in transit, and its audit derives the books again: it would find a second effect.
    system.finish().await;
}

#[tokio::test]
async fn of_two_requests_sent_50_times_each_in_parallel_with_one_key_one_wins_and_the_other_conflicts_50_times() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer, key) = (&system.client, namespace.name("alice"), namespace.name("buy"));
    let one = namespace.order(&customer, "GBP", &[&lantern(client, &namespace).await]);
    let mut two = one.clone();
    two["lines"][0]["quantity"] = json!(2);

    let responses = send_concurrently(client, &key, (0..50).flat_map(|_| [one.clone(), two.clone()]).collect()).await;

    let (won, lost): (Vec<_>, Vec<_>) = responses.iter().enumerate().partition(|(_, response)| response.status != 409);
    assert_eq!((won.len(), lost.len()), (50, 50));
    let parities: BTreeSet<_> = won.iter().map(|(at, _)| at % 2).collect();
    assert_eq!(parities.len(), 1, "both contents won");
    let bodies: BTreeSet<_> = won.iter().map(|(_, response)| &response.body).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for (_, refused) in &lost {
        assert_eq!(refused.problem().r#type, "urn:unbundled:problem:idempotency-conflict");
    }
    let balance = if parities.contains(&0) { "-15.30" } else { "-30.60" };
    assert_balances(client, &customer, &[("GBP", balance)]).await;
    assert_eq!(client.customer_entries(&customer).await.len(), 1);
    system.finish().await;
}

#[tokio::test]
async fn a_retry_of_a_settled_purchase_gets_201_and_the_same_body() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer, key) = (&system.client, namespace.name("alice"), namespace.name("buy"));
    let sku = lantern(client, &namespace).await;
    let order = namespace.order(&customer, "GBP", &[&sku]);
    let first = client.buy(&key, &order).await.expect_status(201);
    // A new price applies only to purchases that are accepted after it.
    client.put_priced_offer(&sku, "99.00", "GBP").await;

    assert_eq!(client.buy(&key, &order).await.expect_status(201).body, first.body);
    assert_eq!(client.send(client.purchase_request(&key, &order)).await.expect_status(201).body, first.body);
    let shown = client
        .get(&format!("{}{}", client.addresses.purchase, first.header("location").unwrap()))
        .await
        .expect_status(200);
    assert_eq!(shown.body, first.body);

    // The order of fields, spaces, another time zone of the same moment and explicit defaults do not matter.
    let spelled = format!(
        r#" {{ "lines":[{{"quantity":1,"sku":"{sku}","unit_price":null}}], "occurred_at":"{}",
           "pay_in":"GBP","customer":"{customer}" }} "#,
        namespace.moment.with_timezone(&chrono::FixedOffset::east_opt(7_200).unwrap()).to_rfc3339()
    );
    let request = client.purchase_request(&key, &Value::Null).body(spelled);
    assert_eq!(client.send(request).await.expect_status(201).body, first.body);

    for (field, other) in [
        ("customer", json!(namespace.name("bob"))),
        ("pay_in", json!("EUR")),
        ("lines", json!([{"sku": sku, "quantity": 2}])),
        ("occurred_at", json!("2010-12-01T08:26:00Z")),
        ("occurred_at", Value::Null),
    ] {
        let mut changed = order.clone();
        changed[field] = other;
        client.buy(&key, &changed).await.expect_status(409).problem();
    }
    assert_eq!(client.customer_entries(&customer).await.len(), 1);
    system.finish().await;
}

#[tokio::test]
async fn a_key_identifies_the_same_purchase_alone_and_in_a_batch() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, customer) = (&system.client, namespace.name("alice"));
    let order = namespace.order(&customer, "GBP", &[&lantern(client, &namespace).await]);
    let numbered = |key: &str, quantity: u32| {
        let mut line = order.clone();
        (line["request_id"], line["lines"][0]["quantity"]) = (json!(key), json!(quantity));
        line
    };
    let (alone, batched) = (namespace.name("alone"), namespace.name("batched"));
    let first = client.buy(&alone, &order).await.expect_status(201).purchase();
    let results = client.buy_batch(&[numbered(&alone, 1), numbered(&alone, 2), numbered(&batched, 1)], 30).await;
    let statuses: Vec<_> = results.iter().map(|result| result.http_status).collect();
    assert_eq!(statuses, [201, 409, 201]);
    assert_eq!(results[0].purchase.as_ref(), Some(&first));
    let again: Purchase = client.buy(&batched, &order).await.expect_status(201).purchase();
    assert_eq!((results[2].purchase.as_ref(), again.status), (Some(&again), Status::Settled));
    assert_eq!(client.customer_entries(&customer).await.len(), 2);
    system.finish().await;
}

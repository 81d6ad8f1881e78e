//! A retry is safe: however often a request comes, it has one effect and one answer.

use std::collections::BTreeSet;

use contracts::{AccountId, Purchase, Status};
use serde_json::{Value, json};

use super::harness::{Answer, Client, Corner, System, balances_are};

/// Sends all at the same time.
async fn all_at_once(client: &Client, key: &str, orders: Vec<Value>) -> Vec<Answer> {
    let sent = orders.into_iter().map(|order| {
        let (client, key) = (client.clone(), key.to_owned());
        tokio::spawn(async move { client.buy(&key, &order).await })
    });
    let mut answers = Vec::new();
    for sending in sent.collect::<Vec<_>>() {
        answers.push(sending.await.unwrap());
    }
    answers
}

async fn lantern(client: &Client, corner: &Corner) -> String {
    let sku = corner.name("lantern");
    client.offer_for(&sku, "15.30", "GBP").await;
    sku
}

#[tokio::test]
async fn the_same_request_100_times_in_parallel_has_one_effect_and_100_equal_answers() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, customer, key) = (&system.client, corner.name("alice"), corner.name("buy"));
    let order = corner.order(&customer, "GBP", &[&lantern(client, &corner).await]);

    let answers = all_at_once(client, &key, vec![order; 100]).await;

    let distinct: BTreeSet<_> = answers.iter().map(|answer| (answer.status, &answer.body)).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    let locations: BTreeSet<_> = answers.iter().map(|answer| answer.header("location")).collect();
    assert_eq!(locations.len(), 1);
    let bought = answers[0].clone().is(201).purchase();
    assert_eq!(client.shown(&bought.id).await, bought);
    assert_eq!(client.postings(&AccountId::of_customer(&bought.customer), &key, 1).await, ["debit 15.30 GBP"]);
    assert_eq!(client.postings(&AccountId::merchant(), &key, 1).await, ["credit 15.30 GBP"]);
    system.finish().await;
    // Counted again when nothing can come any more: `finish` has seen the books quiet and derived them again.
}

#[tokio::test]
async fn under_one_key_two_contents_50_times_each_in_parallel_one_wins_and_the_other_is_told_50_times() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, customer, key) = (&system.client, corner.name("alice"), corner.name("buy"));
    let one = corner.order(&customer, "GBP", &[&lantern(client, &corner).await]);
    let mut two = one.clone();
    two["lines"][0]["quantity"] = json!(2);

    let answers = all_at_once(client, &key, (0..50).flat_map(|_| [one.clone(), two.clone()]).collect()).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(_, answer)| answer.status != 409);
    assert_eq!((won.len(), lost.len()), (50, 50));
    let parities: BTreeSet<_> = won.iter().map(|(at, _)| at % 2).collect();
    assert_eq!(parities.len(), 1, "both contents won");
    let bodies: BTreeSet<_> = won.iter().map(|(_, answer)| &answer.body).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for (_, refused) in &lost {
        assert_eq!(refused.problem().r#type, "urn:unbundled:problem:idempotency-conflict");
    }
    let quantity = if parities.contains(&0) { "-15.30" } else { "-30.60" };
    balances_are(client, &customer, &[("GBP", quantity)]).await;
    assert_eq!(client.entries_of(&customer).await.len(), 1);
    system.finish().await;
}

#[tokio::test]
async fn a_retry_of_a_settled_purchase_is_answered_with_201_and_the_same_body() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, customer, key) = (&system.client, corner.name("alice"), corner.name("buy"));
    let sku = lantern(client, &corner).await;
    let order = corner.order(&customer, "GBP", &[&sku]);
    let first = client.buy(&key, &order).await.is(201);
    // A new price is for what is accepted after it.
    client.offer_for(&sku, "99.00", "GBP").await;

    assert_eq!(client.buy(&key, &order).await.is(201).body, first.body);
    assert_eq!(client.send(client.purchase(&key, &order)).await.is(201).body, first.body);
    let shown = client.get(&format!("{}{}", client.at.purchase, first.header("location").unwrap())).await.is(200);
    assert_eq!(shown.body, first.body);

    // The content counts, not its spelling: order of fields, spaces, a zone of the same moment, defaults.
    let spelled = format!(
        r#" {{ "lines":[{{"quantity":1,"sku":"{sku}","unit_price":null}}], "occurred_at":"{}",
           "pay_in":"GBP","customer":"{customer}" }} "#,
        corner.moment.with_timezone(&chrono::FixedOffset::east_opt(7_200).unwrap()).to_rfc3339()
    );
    let request = client.purchase(&key, &Value::Null).body(spelled);
    assert_eq!(client.send(request).await.is(201).body, first.body);

    for (field, other) in [
        ("customer", json!(corner.name("bob"))),
        ("pay_in", json!("EUR")),
        ("lines", json!([{"sku": sku, "quantity": 2}])),
        ("occurred_at", json!("2010-12-01T08:26:00Z")),
        ("occurred_at", Value::Null),
    ] {
        let mut changed = order.clone();
        changed[field] = other;
        client.buy(&key, &changed).await.is(409).problem();
    }
    assert_eq!(client.entries_of(&customer).await.len(), 1);
    system.finish().await;
}

#[tokio::test]
async fn a_key_is_the_same_alone_and_in_a_batch() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, customer) = (&system.client, corner.name("alice"));
    let order = corner.order(&customer, "GBP", &[&lantern(client, &corner).await]);
    let numbered = |key: &str, quantity: u32| {
        let mut line = order.clone();
        (line["request_id"], line["lines"][0]["quantity"]) = (json!(key), json!(quantity));
        line
    };
    let (alone, batched) = (corner.name("alone"), corner.name("batched"));
    let first = client.buy(&alone, &order).await.is(201).purchase();
    let answers = client.batch(&[numbered(&alone, 1), numbered(&alone, 2), numbered(&batched, 1)], 30).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.http_status).collect();
    assert_eq!(statuses, [201, 409, 201]);
    assert_eq!(answers[0].purchase.as_ref(), Some(&first));
    let again: Purchase = client.buy(&batched, &order).await.is(201).purchase();
    assert_eq!((answers[2].purchase.as_ref(), again.status), (Some(&again), Status::Settled));
    assert_eq!(client.entries_of(&customer).await.len(), 2);
    system.finish().await;
}

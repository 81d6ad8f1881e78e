//! A handle belongs to the claim that comes first.

use contracts::{Account, AccountId};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Client, Corner, System, overdraft, until};

const TAKEN: &str = "urn:unbundled:problem:handle-taken";
const CONFLICT: &str = "urn:unbundled:problem:idempotency-conflict";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_100_claims_of_one_handle_over_several_connections_exactly_one_wins() {
    let (system, corner) = (System::start().await, Corner::new());
    let handle = corner.name("alice");
    // Each client has connections of its own.
    let clients: Vec<_> = (0..4).map(|_| Client::new(system.client.at.clone())).collect();
    let claims: Vec<_> = (0..100)
        .map(|at| {
            let (client, handle) = (clients[at % clients.len()].clone(), handle.clone());
            tokio::spawn(async move { client.send(client.claim(&handle, &Value::Null)).await })
        })
        .collect();
    let (mut won, mut told) = (0, 0);
    for claim in claims {
        let answer = claim.await.unwrap();
        if answer.status == 201 {
            won += 1;
            assert_eq!(answer.json::<Account>().id.to_string(), handle);
        } else {
            assert_eq!(answer.is(409).problem().r#type, TAKEN);
            told += 1;
        }
    }
    assert_eq!((won, told), (1, 99));
    system.finish().await;
}

#[tokio::test]
async fn a_claim_under_a_key_is_answered_the_same_again_and_without_one_each_is_its_own() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, handle) = (&system.client, corner.name("alice"));
    let with_key = |terms: &Value| client.claim(&handle, terms).header("Idempotency-Key", corner.name("claim"));
    let first = client.send(with_key(&overdraft("100", "fee"))).await.is(201);
    let account: Account = first.json();
    assert_eq!(first.header("location"), Some(format!("/accounts/{handle}").as_str()));
    let terms = json!(account.overdraft);
    assert_eq!(terms, json!({"limit": "100.00", "currency": "EUR", "policy": "fee", "fee": "5.00"}));
    assert_eq!(client.account(&account.id).await, Some(account.clone()));
    // The same content, spelled otherwise.
    assert_eq!(client.send(with_key(&terms)).await.is(201).body, first.body);
    assert_eq!(client.send(with_key(&Value::Null)).await.is(409).problem().r#type, CONFLICT);
    assert_eq!(client.send(client.claim(&handle, &overdraft("100", "fee"))).await.is(409).problem().r#type, TAKEN);
    // Who does not want to wait waits all the same: there is nothing else to say.
    let impatient = client.claim(&corner.name("bob"), &Value::Null).header("Prefer", "wait=0");
    client.send(impatient).await.is(201);
    // Who came too late is told the same again.
    let late = |key: &str| client.claim(&handle, &Value::Null).header("Idempotency-Key", corner.name(key));
    let told = client.send(late("late")).await.is(409);
    assert_eq!(client.send(late("late")).await.is(409).body, told.body);
    system.finish().await;
}

#[tokio::test]
async fn the_names_of_the_house_are_taken_and_a_customer_s_only_once_it_was_used() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    for house in ["merchant", "fx", "fees", "vouchers"] {
        assert_eq!(client.send(client.claim(house, &Value::Null)).await.is(409).problem().r#type, TAKEN, "{house}");
    }
    let customer = format!("customer:{}", corner.name("alice"));
    client.send(client.claim(&customer, &overdraft("10.00", "refuse"))).await.is(201);
    assert_eq!(client.send(client.claim(&customer, &Value::Null)).await.is(409).problem().r#type, TAKEN);
    let used = format!("customer:{}", corner.name("bob"));
    client.pay(&corner.name("t"), "merchant", &used, "1.00").await.is(201);
    // The debit shows a moment before the credit, and that is the payee's first use.
    let id: AccountId = used.parse().unwrap();
    until("the account is used", async || client.account(&id).await).await;
    client.send(client.claim(&used, &Value::Null)).await.is(409);
    system.finish().await;
}

#[tokio::test]
async fn a_claim_that_makes_no_sense_is_refused_saying_where() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, handle) = (&system.client, corner.name("alice"));
    let url = format!("{}/accounts", client.at.ledger);
    let check = async |body: Value, status: u16, pointer: Option<&str>| {
        let problem = client.send(client.ask(Method::POST, &url).json(&body)).await.is(status).problem();
        assert_eq!(problem.pointer.as_deref(), pointer, "{body}: {problem:?}");
    };
    check(json!({"handle": ""}), 422, Some("/handle")).await;
    check(json!({"handle": "x".repeat(65)}), 422, Some("/handle")).await;
    check(json!({"handle": "customer:"}), 422, Some("/handle")).await;
    check(json!({"handle": " alice"}), 422, Some("/handle")).await;
    check(json!({"name": handle}), 400, Some("/name")).await;
    check(json!({}), 400, Some("/handle")).await;
    check(json!({"handle": handle, "overdraft": overdraft("-1", "fee")}), 422, Some("/overdraft")).await;
    check(json!({"handle": handle, "overdraft": overdraft("1.001", "fee")}), 422, Some("/overdraft")).await;
    check(json!({"handle": handle, "overdraft": overdraft("1", "forgive")}), 422, Some("/overdraft/policy")).await;
    let bad_key = client.claim(&handle, &Value::Null).header("Idempotency-Key", "a b");
    client.send(bad_key).await.is(400).problem();
    // Nothing came of all that.
    let id: AccountId = handle.parse().unwrap();
    assert_eq!(client.account(&id).await, None);
    system.finish().await;
}

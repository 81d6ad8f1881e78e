//! Claims of account handles: the first claim of a handle wins.

use contracts::{Account, AccountId};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System, overdraft, wait_until};

const TAKEN: &str = "urn:unbundled:problem:handle-taken";
const CONFLICT: &str = "urn:unbundled:problem:idempotency-conflict";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_100_claims_of_one_handle_over_several_connections_exactly_one_wins() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let handle = namespace.name("alice");
    // Each client has its own connection pool.
    let clients: Vec<_> = (0..4).map(|_| Client::new(system.client.addresses.clone())).collect();
    let claims: Vec<_> = (0..100)
        .map(|at| {
            let (client, handle) = (clients[at % clients.len()].clone(), handle.clone());
            tokio::spawn(async move { client.send(client.claim_request(&handle, &Value::Null)).await })
        })
        .collect();
    let (mut won, mut lost) = (0, 0);
    for claim in claims {
        let response = claim.await.unwrap();
        if response.status == 201 {
            won += 1;
            assert_eq!(response.json::<Account>().id.to_string(), handle);
        } else {
            assert_eq!(response.expect_status(409).problem().r#type, TAKEN);
            lost += 1;
        }
    }
    assert_eq!((won, lost), (1, 99));
    system.finish().await;
}

#[tokio::test]
async fn a_retried_claim_with_a_key_gets_the_same_response_and_without_a_key_each_claim_is_new() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, handle) = (&system.client, namespace.name("alice"));
    let with_key =
        |terms: &Value| client.claim_request(&handle, terms).header("Idempotency-Key", namespace.name("claim"));
    let first = client.send(with_key(&overdraft("100", "fee"))).await.expect_status(201);
    let account: Account = first.json();
    assert_eq!(first.header("location"), Some(format!("/accounts/{handle}").as_str()));
    let terms = json!(account.overdraft);
    assert_eq!(terms, json!({"limit": "100.00", "currency": "EUR", "policy": "fee", "fee": "5.00"}));
    assert_eq!(client.account(&account.id).await, Some(account.clone()));
    // The same content with another spelling.
    assert_eq!(client.send(with_key(&terms)).await.expect_status(201).body, first.body);
    assert_eq!(client.send(with_key(&Value::Null)).await.expect_status(409).problem().r#type, CONFLICT);
    assert_eq!(
        client.send(client.claim_request(&handle, &overdraft("100", "fee"))).await.expect_status(409).problem().r#type,
        TAKEN
    );
    // A claim always waits for its outcome, whatever the `Prefer` header is.
    let impatient = client.claim_request(&namespace.name("bob"), &Value::Null).header("Prefer", "wait=0");
    client.send(impatient).await.expect_status(201);
    // A rejected claim gets the same response again.
    let late = |key: &str| client.claim_request(&handle, &Value::Null).header("Idempotency-Key", namespace.name(key));
    let rejected = client.send(late("late")).await.expect_status(409);
    assert_eq!(client.send(late("late")).await.expect_status(409).body, rejected.body);
    system.finish().await;
}

#[tokio::test]
async fn names_of_system_accounts_are_taken_and_the_name_of_a_customer_only_after_its_first_use() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    for system_account in ["merchant", "fx", "fees", "vouchers"] {
        assert_eq!(
            client.send(client.claim_request(system_account, &Value::Null)).await.expect_status(409).problem().r#type,
            TAKEN,
            "{system_account}"
        );
    }
    let customer = format!("customer:{}", namespace.name("alice"));
    client.send(client.claim_request(&customer, &overdraft("10.00", "refuse"))).await.expect_status(201);
    assert_eq!(
        client.send(client.claim_request(&customer, &Value::Null)).await.expect_status(409).problem().r#type,
        TAKEN
    );
    let used = format!("customer:{}", namespace.name("bob"));
    client.pay(&namespace.name("t"), "merchant", &used, "1.00").await.expect_status(201);
    // The credit, which is the first use of the payee's account, is visible a moment after the debit.
    let id: AccountId = used.parse().unwrap();
    wait_until("the account is used", async || client.account(&id).await).await;
    client.send(client.claim_request(&used, &Value::Null)).await.expect_status(409);
    system.finish().await;
}

#[tokio::test]
async fn an_invalid_claim_is_refused_with_a_pointer_to_the_error() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, handle) = (&system.client, namespace.name("alice"));
    let url = format!("{}/accounts", client.addresses.ledger);
    let check = async |body: Value, status: u16, pointer: Option<&str>| {
        let problem = client.send(client.request(Method::POST, &url).json(&body)).await.expect_status(status).problem();
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
    let daily_limit = |amount: &str| json!({"handle": handle, "daily_limit": {"amount": amount, "currency": "EUR"}});
    check(daily_limit("0"), 422, Some("/daily_limit")).await;
    check(daily_limit("-1"), 422, Some("/daily_limit")).await;
    check(daily_limit("1.001"), 422, Some("/daily_limit")).await;
    check(json!({"handle": handle, "daily_limit": "1"}), 400, Some("/daily_limit")).await;
    let bad_key = client.claim_request(&handle, &Value::Null).header("Idempotency-Key", "a b");
    client.send(bad_key).await.expect_status(400).problem();
    // None of these claims has had an effect.
    let id: AccountId = handle.parse().unwrap();
    assert_eq!(client.account(&id).await, None);
    system.finish().await;
}

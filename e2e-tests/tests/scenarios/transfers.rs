//! Transfers: the debit in one partition, the credit in another, without a commit that spans both.

use std::collections::BTreeSet;

use contracts::{AccountId, Purpose, ReasonCode, Side, Status, TransferStatus};
use serde_json::{Value, json};
use stage::{PartitionCount, partition_of};

use super::harness::{Client, Namespace, Response, System, assert_books_balance, overdraft, wait_until};

/// Sends all transfers concurrently.
async fn send_concurrently(client: &Client, transfers: Vec<[String; 4]>) -> Vec<Response> {
    let sent: Vec<_> = transfers
        .into_iter()
        .map(|[key, from, to, amount]| {
            let client = client.clone();
            tokio::spawn(async move { client.pay(&key, &from, &to, &amount).await })
        })
        .collect();
    let mut responses = Vec::new();
    for sending in sent {
        responses.push(sending.await.unwrap());
    }
    responses
}

/// The lowest balance that an account ever had, in cents, and the number of fees among its entries.
async fn lowest_balance_and_fees(client: &Client, account: &AccountId) -> (i64, usize) {
    let (mut balance, mut lowest, mut fees) = (0, 0, 0);
    for entry in client.entries(account).await {
        let cents: i64 = entry.amount.amount().to_string().replace('.', "").parse().unwrap();
        balance += if entry.side == Side::Credit { cents } else { -cents };
        fees += usize::from(entry.purpose == Purpose::OverdraftFee);
        lowest = lowest.min(balance);
    }
    (lowest, fees)
}

/// Opens two accounts that are in different partitions if there are 2, 3 or 8 partitions.
async fn accounts_in_different_partitions(client: &Client, namespace: &Namespace) -> [AccountId; 2] {
    let partition = |name: &str, count| partition_of(name, PartitionCount::new(count).unwrap());
    let differ = |a: &str, b: &str| [2, 3, 8].iter().all(|count| partition(a, *count) != partition(b, *count));
    let payer = "payer";
    let payee = (0..).map(|at| format!("payee{at}")).find(|name| differ(&namespace.name(payer), &namespace.name(name)));
    [
        client.open_account(namespace, payer, &Value::Null).await,
        client.open_account(namespace, &payee.unwrap(), &Value::Null).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_partitions_the_difference_of_the_books_is_zero_at_every_read() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let [payer, payee] = accounts_in_different_partitions(client, &namespace).await;
    client.pay(&namespace.name("fund"), "merchant", payer.as_str(), "500.00").await.expect_status(201);
    wait_until("the payer is funded", async || (client.euro_balance(&payer).await == "500.00").then_some(())).await;

    let transfer =
        |at: usize| [namespace.name(format!("t{at}")), payer.to_string(), payee.to_string(), "5.00".to_owned()];
    let sending = tokio::spawn({
        let (client, transfers) = (client.clone(), (0..100).map(transfer).collect());
        async move { send_concurrently(&client, transfers).await }
    });
    let mut reads = 0;
    while !sending.is_finished() || reads == 0 {
        assert_books_balance(&client.trial_balance().await);
        reads += 1;
    }
    for response in sending.await.unwrap() {
        let transfer = response.expect_status(201).transfer();
        assert_eq!((transfer.status, &transfer.reason), (TransferStatus::Posted, &None));
        assert!(transfer.decided_at.is_some_and(|decided| decided >= transfer.accepted_at));
        assert_eq!(client.get_transfer(&transfer.id).await, transfer);
    }
    wait_until("the payee has all the money", async || (client.euro_balance(&payee).await == "500.00").then_some(()))
        .await;
    assert_eq!(client.euro_balance(&payer).await, "0.00");
    assert_eq!(client.postings(&payer, &namespace.name("t7"), 1).await, ["debit 5.00 EUR"]);
    assert_eq!(client.postings(&payee, &namespace.name("t7"), 1).await, ["credit 5.00 EUR"]);
    // Reading in pages gives the same entries.
    let (mut paged, mut next) = (Vec::new(), Some(0));
    while let Some(after) = next {
        let page = client.entries_page(&payee, &format!("?after={after}&limit=33")).await;
        assert!(page.entries.len() <= 33);
        paged.extend(page.entries);
        next = page.next;
    }
    assert_eq!(paged, client.entries(&payee).await);
    assert_eq!(paged.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    system.finish().await;
}

#[tokio::test]
async fn the_same_transfer_100_times_in_parallel_has_one_effect_and_100_equal_responses() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, key) = (&system.client, namespace.name("t"));
    let alice = client.open_account(&namespace, "alice", &overdraft("1000", "refuse")).await;
    let one = [key.clone(), alice.to_string(), "merchant".to_owned(), "7.00".to_owned()];
    let responses = send_concurrently(client, vec![one; 100]).await;
    let distinct: BTreeSet<_> = responses.iter().map(|response| (response.status, &response.body)).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    assert_eq!(client.entries(&alice).await.len(), 1);
    let other = client.pay(&key, alice.as_str(), "merchant", "8.00").await.expect_status(409).problem();
    assert_eq!(other.r#type, "urn:unbundled:problem:idempotency-conflict");
    // The keys of transfers and of claims are independent.
    client
        .send(client.claim_request(&namespace.name("bob"), &Value::Null).header("Idempotency-Key", &key))
        .await
        .expect_status(201);
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_policy_refuse_concurrent_transfers_never_exceed_the_limit() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let alice = client.open_account(&namespace, "alice", &overdraft("100.00", "refuse")).await;
    let transfer =
        |at: usize| [namespace.name(format!("t{at}")), alice.to_string(), "merchant".to_owned(), "9.00".to_owned()];
    let responses = send_concurrently(client, (0..50).map(transfer).collect()).await;
    let (mut posted, mut refused) = (0, 0);
    for response in responses {
        let transfer = response.expect_status(201).transfer();
        match transfer.status {
            TransferStatus::Posted => posted += 1,
            TransferStatus::Rejected => {
                assert_eq!(transfer.reason.map(|reason| reason.code), Some(ReasonCode::Overdrawn));
                refused += 1;
            }
            TransferStatus::Accepted => panic!("not decided: {}", transfer.id),
        }
    }
    assert_eq!((posted, refused), (11, 39));
    assert_eq!(client.euro_balance(&alice).await, "-99.00");
    assert_eq!(lowest_balance_and_fees(client, &alice).await, (-9_900, 0));
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_policy_fee_concurrent_transfers_are_posted_and_each_crossing_of_the_limit_costs_one_fee() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let alice = client.open_account(&namespace, "alice", &overdraft("100.00", "fee")).await;
    let transfer =
        |at: usize| [namespace.name(format!("t{at}")), alice.to_string(), "merchant".to_owned(), "9.00".to_owned()];
    for response in send_concurrently(client, (0..50).map(transfer).collect()).await {
        assert_eq!(response.expect_status(201).transfer().status, TransferStatus::Posted);
    }
    assert_eq!(
        (client.euro_balance(&alice).await.as_str(), lowest_balance_and_fees(client, &alice).await.1),
        ("-455.00", 1)
    );
    // Back within the limit, and beyond it once more.
    client.pay(&namespace.name("back"), "merchant", alice.as_str(), "400.00").await.expect_status(201);
    wait_until("alice is within the limit again", async || {
        (client.euro_balance(&alice).await == "-55.00").then_some(())
    })
    .await;
    client.pay(&namespace.name("again"), alice.as_str(), "merchant", "45.00").await.expect_status(201);
    assert_eq!(
        (client.euro_balance(&alice).await.as_str(), lowest_balance_and_fees(client, &alice).await.1),
        ("-100.00", 1)
    );
    client.pay(&namespace.name("beyond"), alice.as_str(), "merchant", "0.01").await.expect_status(201);
    assert_eq!(
        (client.euro_balance(&alice).await.as_str(), lowest_balance_and_fees(client, &alice).await.1),
        ("-105.01", 2)
    );
    let fees = client.postings(&"fees".parse().unwrap(), &namespace.name("beyond"), 1).await;
    assert_eq!(fees, ["credit 5.00 EUR"]);
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daily_limit_holds_for_concurrent_transfers_and_money_coming_in_does_not_restore_it() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, alice) = (&system.client, namespace.name("alice"));
    client.open_limited_account(&namespace, "alice", "100.00").await;
    // Transfers of one UTC day: at midnight the limit is whole again, so the test waits for the new day.
    wait_until("the day is not about to end", async || {
        let until_midnight = 86_400 - chrono::Utc::now().timestamp().rem_euclid(86_400);
        (until_midnight > 20).then_some(())
    })
    .await;
    let transfer =
        |at: usize| [namespace.name(format!("t{at}")), alice.clone(), "merchant".to_owned(), "9.00".to_owned()];
    let mut posted = 0;
    for response in send_concurrently(client, (0..50).map(transfer).collect()).await {
        let transfer = response.expect_status(201).transfer();
        match transfer.status {
            TransferStatus::Posted => posted += 1,
            TransferStatus::Rejected => {
                assert_eq!(transfer.reason.map(|reason| reason.code), Some(ReasonCode::DailyLimit))
            }
            TransferStatus::Accepted => panic!("not decided: {}", transfer.id),
        }
    }
    assert_eq!(posted, 11);
    client.pay(&namespace.name("back"), "merchant", &alice, "500.00").await.expect_status(201);
    let id = alice.parse().unwrap();
    wait_until("the money is there", async || (client.euro_balance(&id).await == "401.00").then_some(())).await;
    let again = client.pay(&namespace.name("again"), &alice, "merchant", "1.01").await.expect_status(201).transfer();
    assert_eq!(again.reason.map(|reason| reason.code), Some(ReasonCode::DailyLimit));
    client.pay(&namespace.name("last"), &alice, "merchant", "1.00").await.expect_status(201);
    wait_until("the rest is paid", async || (client.euro_balance(&id).await == "400.00").then_some(())).await;
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_beyond_the_overdraft_limit_is_rejected_and_moves_no_money() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "15.30", "EUR").await;
    let (customer, key) = (namespace.name("alice"), namespace.name("buy"));
    client
        .send(client.claim_request(&format!("customer:{customer}"), &overdraft("20.00", "refuse")))
        .await
        .expect_status(201);
    let order = namespace.order(&customer, "EUR", &[&sku]);
    assert_eq!(
        client.buy(&namespace.name("first"), &order).await.expect_status(201).purchase().status,
        Status::Settled
    );
    let response = client.buy(&key, &order).await.expect_status(201);
    let rejected = response.purchase();
    assert_eq!(rejected.status, Status::Rejected);
    assert_eq!(rejected.reason.as_ref().map(|reason| reason.code), Some(ReasonCode::PaymentRefused));
    assert_eq!((rejected.charged, rejected.total.is_some()), (None, true));
    let steps: Vec<_> = rejected.history.iter().map(|step| step.status).collect();
    assert_eq!(steps, [Status::Confirmed, Status::Rejected]);
    assert_eq!(client.buy(&key, &order).await.expect_status(201).body, response.body);
    let account: AccountId = format!("customer:{customer}").parse().unwrap();
    assert_eq!(client.entries(&account).await.len(), 1);
    let merchant = client.entries(&AccountId::merchant()).await;
    assert!(merchant.iter().all(|entry| entry.request_id.0 != key));
    system.finish().await;
}

#[tokio::test]
async fn a_transfer_from_or_to_an_unknown_account_is_rejected_as_an_outcome() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let check = async |key: &str, from: &str, to: &str, unknown: &str| {
        let key = namespace.name(key);
        let response = client.pay(&key, from, to, "1.00").await.expect_status(201);
        let rejected = response.transfer();
        let reason = rejected.reason.unwrap();
        assert_eq!((rejected.status, reason.code), (TransferStatus::Rejected, ReasonCode::UnknownAccount));
        assert!(reason.detail.contains(unknown) && reason.detail.contains("POST /accounts"), "{}", reason.detail);
        // An outcome never changes, even if the account exists by now.
        client.send(client.claim_request(unknown, &Value::Null)).await.expect_status(201);
        assert_eq!(client.pay(&key, from, to, "1.00").await.expect_status(201).body, response.body);
    };
    let (alice, bob) = (namespace.name("alice"), namespace.name("bob"));
    check("t1", "merchant", &alice, &alice).await;
    check("t2", &bob, "merchant", &bob).await;
    let paid = client.pay(&namespace.name("t3"), "merchant", &alice, "1.00").await.expect_status(201).transfer();
    assert_eq!(paid.status, TransferStatus::Posted);
    client
        .get(&format!("{}/transfers/{}", client.addresses.ledger, namespace.name("none")))
        .await
        .expect_status(404)
        .problem();
    system.finish().await;
}

#[tokio::test]
async fn an_invalid_transfer_is_refused_with_a_pointer_to_the_error() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let check = async |body: Value, status: u16, pointer: &str| {
        let request = client.transfer_request(&namespace.name("t"), "", "", "").json(&body);
        let problem = client.send(request).await.expect_status(status).problem();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{body}: {problem:?}");
    };
    let euros = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    check(json!({"from": "merchant", "to": "merchant", "amount": euros("1")}), 422, "/to").await;
    check(json!({"from": "merchant", "to": "fx", "amount": euros("0")}), 422, "/amount").await;
    check(json!({"from": "merchant", "to": "fx", "amount": euros("-1")}), 422, "/amount").await;
    check(json!({"from": "merchant", "to": "fx", "amount": euros("0.001")}), 422, "/amount").await;
    check(json!({"from": "", "to": "fx", "amount": euros("1")}), 422, "/from").await;
    check(json!({"from": "merchant", "to": "customer:", "amount": euros("1")}), 422, "/to").await;
    check(json!({"from": "merchant", "to": "fx", "amount": euros("1"), "note": "x"}), 400, "/note").await;
    let body = json!({"from": "merchant", "to": "fx", "amount": euros("1")});
    let url = format!("{}/transfers", client.addresses.ledger);
    client.send(client.request(reqwest::Method::POST, &url).json(&body)).await.expect_status(400).problem();
    system.finish().await;
}

//! A transfer debits in one partition and credits in another, without a commit over both.

use std::collections::BTreeSet;

use contracts::{AccountId, Purpose, ReasonCode, Side, Status, TransferStatus};
use serde_json::{Value, json};
use stage::{PartitionCount, partition_of};

use super::harness::{Answer, Client, Corner, System, books_balance, overdraft, until};

/// Sends all at the same time.
async fn at_once(client: &Client, transfers: Vec<[String; 4]>) -> Vec<Answer> {
    let sent: Vec<_> = transfers
        .into_iter()
        .map(|[key, from, to, amount]| {
            let client = client.clone();
            tokio::spawn(async move { client.pay(&key, &from, &to, &amount).await })
        })
        .collect();
    let mut answers = Vec::new();
    for sending in sent {
        answers.push(sending.await.unwrap());
    }
    answers
}

/// The smallest balance that an account ever had, and how many of its entries are fees.
async fn lowest(client: &Client, account: &AccountId) -> (i64, usize) {
    let (mut balance, mut lowest, mut fees) = (0, 0, 0);
    for entry in client.entries(account).await {
        let cents: i64 = entry.amount.amount().to_string().replace('.', "").parse().unwrap();
        balance += if entry.side == Side::Credit { cents } else { -cents };
        fees += usize::from(entry.purpose == Purpose::OverdraftFee);
        lowest = lowest.min(balance);
    }
    (lowest, fees)
}

/// Two open accounts whose owners are different, however many partitions there are of 2, 3 and 8.
async fn apart(client: &Client, corner: &Corner) -> [AccountId; 2] {
    let partition = |name: &str, count| partition_of(name, PartitionCount::new(count).unwrap());
    let differ = |a: &str, b: &str| [2, 3, 8].iter().all(|count| partition(a, *count) != partition(b, *count));
    let payer = "payer";
    let payee = (0..).map(|at| format!("payee{at}")).find(|name| differ(&corner.name(payer), &corner.name(name)));
    [client.open(corner, payer, &Value::Null).await, client.open(corner, &payee.unwrap(), &Value::Null).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payer_and_payee_are_in_different_partitions_and_the_difference_is_zero_at_every_read() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let [payer, payee] = apart(client, &corner).await;
    client.pay(&corner.name("fund"), "merchant", payer.as_str(), "500.00").await.is(201);
    until("the payer is funded", async || (client.euros(&payer).await == "500.00").then_some(())).await;

    let transfer = |at: usize| [corner.name(format!("t{at}")), payer.to_string(), payee.to_string(), "5.00".to_owned()];
    let sending = tokio::spawn({
        let (client, transfers) = (client.clone(), (0..100).map(transfer).collect());
        async move { at_once(&client, transfers).await }
    });
    let mut reads = 0;
    while !sending.is_finished() || reads == 0 {
        books_balance(&client.trial_balance().await);
        reads += 1;
    }
    for answer in sending.await.unwrap() {
        let transfer = answer.is(201).transfer();
        assert_eq!((transfer.status, &transfer.reason), (TransferStatus::Posted, &None));
        assert!(transfer.decided_at.is_some_and(|decided| decided >= transfer.accepted_at));
        assert_eq!(client.shown_transfer(&transfer.id).await, transfer);
    }
    until("the payee has it all", async || (client.euros(&payee).await == "500.00").then_some(())).await;
    assert_eq!(client.euros(&payer).await, "0.00");
    assert_eq!(client.postings(&payer, &corner.name("t7"), 1).await, ["debit 5.00 EUR"]);
    assert_eq!(client.postings(&payee, &corner.name("t7"), 1).await, ["credit 5.00 EUR"]);
    // Page by page it is the same.
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
async fn the_same_transfer_100_times_in_parallel_has_one_effect_and_100_equal_answers() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, key) = (&system.client, corner.name("t"));
    let alice = client.open(&corner, "alice", &overdraft("1000", "refuse")).await;
    let one = [key.clone(), alice.to_string(), "merchant".to_owned(), "7.00".to_owned()];
    let answers = at_once(client, vec![one; 100]).await;
    let distinct: BTreeSet<_> = answers.iter().map(|answer| (answer.status, &answer.body)).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    assert_eq!(client.entries(&alice).await.len(), 1);
    let other = client.pay(&key, alice.as_str(), "merchant", "8.00").await.is(409).problem();
    assert_eq!(other.r#type, "urn:unbundled:problem:idempotency-conflict");
    // A purchase and a claim have keys of their own.
    client.send(client.claim(&corner.name("bob"), &Value::Null).header("Idempotency-Key", &key)).await.is(201);
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_refuse_a_race_never_goes_beyond_the_limit() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let alice = client.open(&corner, "alice", &overdraft("100.00", "refuse")).await;
    let transfer =
        |at: usize| [corner.name(format!("t{at}")), alice.to_string(), "merchant".to_owned(), "9.00".to_owned()];
    let answers = at_once(client, (0..50).map(transfer).collect()).await;
    let (mut posted, mut refused) = (0, 0);
    for answer in answers {
        let transfer = answer.is(201).transfer();
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
    assert_eq!(client.euros(&alice).await, "-99.00");
    assert_eq!(lowest(client, &alice).await, (-9_900, 0));
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_fee_a_race_is_posted_and_pays_once_for_each_crossing() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let alice = client.open(&corner, "alice", &overdraft("100.00", "fee")).await;
    let transfer =
        |at: usize| [corner.name(format!("t{at}")), alice.to_string(), "merchant".to_owned(), "9.00".to_owned()];
    for answer in at_once(client, (0..50).map(transfer).collect()).await {
        assert_eq!(answer.is(201).transfer().status, TransferStatus::Posted);
    }
    assert_eq!((client.euros(&alice).await.as_str(), lowest(client, &alice).await.1), ("-455.00", 1));
    // Back above the limit, and beyond it once more.
    client.pay(&corner.name("back"), "merchant", alice.as_str(), "400.00").await.is(201);
    until("alice is back", async || (client.euros(&alice).await == "-55.00").then_some(())).await;
    client.pay(&corner.name("again"), alice.as_str(), "merchant", "45.00").await.is(201);
    assert_eq!((client.euros(&alice).await.as_str(), lowest(client, &alice).await.1), ("-100.00", 1));
    client.pay(&corner.name("beyond"), alice.as_str(), "merchant", "0.01").await.is(201);
    assert_eq!((client.euros(&alice).await.as_str(), lowest(client, &alice).await.1), ("-105.01", 2));
    let fees = client.postings(&"fees".parse().unwrap(), &corner.name("beyond"), 1).await;
    assert_eq!(fees, ["credit 5.00 EUR"]);
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_beyond_the_limit_is_rejected_and_moves_no_money_anywhere() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.offer_for(&sku, "15.30", "EUR").await;
    let (customer, key) = (corner.name("alice"), corner.name("buy"));
    client.send(client.claim(&format!("customer:{customer}"), &overdraft("20.00", "refuse"))).await.is(201);
    let order = corner.order(&customer, "EUR", &[&sku]);
    assert_eq!(client.buy(&corner.name("first"), &order).await.is(201).purchase().status, Status::Settled);
    let answer = client.buy(&key, &order).await.is(201);
    let rejected = answer.purchase();
    assert_eq!(rejected.status, Status::Rejected);
    assert_eq!(rejected.reason.as_ref().map(|reason| reason.code), Some(ReasonCode::PaymentRefused));
    assert_eq!((rejected.charged, rejected.total.is_some()), (None, true));
    let steps: Vec<_> = rejected.history.iter().map(|step| step.status).collect();
    assert_eq!(steps, [Status::Confirmed, Status::Rejected]);
    assert_eq!(client.buy(&key, &order).await.is(201).body, answer.body);
    let account: AccountId = format!("customer:{customer}").parse().unwrap();
    assert_eq!(client.entries(&account).await.len(), 1);
    let merchant = client.entries(&AccountId::merchant()).await;
    assert!(merchant.iter().all(|entry| entry.request_id.0 != key));
    system.finish().await;
}

#[tokio::test]
async fn a_transfer_with_an_account_that_is_not_there_is_an_outcome() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let check = async |key: &str, from: &str, to: &str, unknown: &str| {
        let key = corner.name(key);
        let answer = client.pay(&key, from, to, "1.00").await.is(201);
        let rejected = answer.transfer();
        let reason = rejected.reason.unwrap();
        assert_eq!((rejected.status, reason.code), (TransferStatus::Rejected, ReasonCode::UnknownAccount));
        assert!(reason.detail.contains(unknown) && reason.detail.contains("POST /accounts"), "{}", reason.detail);
        // An outcome never changes, also when the account is there by now.
        client.send(client.claim(unknown, &Value::Null)).await.is(201);
        assert_eq!(client.pay(&key, from, to, "1.00").await.is(201).body, answer.body);
    };
    let (alice, bob) = (corner.name("alice"), corner.name("bob"));
    check("t1", "merchant", &alice, &alice).await;
    check("t2", &bob, "merchant", &bob).await;
    let paid = client.pay(&corner.name("t3"), "merchant", &alice, "1.00").await.is(201).transfer();
    assert_eq!(paid.status, TransferStatus::Posted);
    client.get(&format!("{}/transfers/{}", client.at.ledger, corner.name("none"))).await.is(404).problem();
    system.finish().await;
}

#[tokio::test]
async fn a_transfer_that_makes_no_sense_is_refused_saying_where() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let check = async |body: Value, status: u16, pointer: &str| {
        let request = client.transfer(&corner.name("t"), "", "", "").json(&body);
        let problem = client.send(request).await.is(status).problem();
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
    let url = format!("{}/transfers", client.at.ledger);
    client.send(client.ask(reqwest::Method::POST, &url).json(&body)).await.is(400).problem();
    system.finish().await;
}

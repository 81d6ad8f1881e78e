//! `POST /purchases/batch`: answered line by line, in order; one bad line harms no other.

use contracts::Status;
use serde_json::{Value, json};

use super::harness::{Client, Corner, System, balances_are, money};

async fn lantern(client: &Client, corner: &Corner) -> String {
    let sku = corner.name("lantern");
    client.offer_for(&sku, "1.00", "GBP").await;
    sku
}

fn numbered(corner: &Corner, request: &str, customer: &str, sku: &str, quantity: usize) -> Value {
    let mut line = corner.order(&corner.name(customer), "GBP", &[sku]);
    (line["request_id"], line["lines"][0]["quantity"]) = (json!(corner.name(request)), json!(quantity));
    line
}

#[tokio::test]
async fn a_thousand_lines_are_answered_in_order_each_as_it_would_be_alone() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, lantern(&system.client, &corner).await);
    let line = |at: usize| numbered(&corner, &format!("r{at}"), &format!("c{}", at % 7), &sku, at + 1);
    let lines: Vec<_> = (0..1_000).map(line).collect();

    let answers = client.batch(&lines, 30).await;

    assert_eq!(answers.len(), 1_000);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.request_id, Some(corner.name(format!("r{at}"))));
        let purchase = answer.purchase.as_ref().unwrap();
        assert_eq!((answer.http_status, purchase.status), (201, Status::Settled));
        assert_eq!(purchase.charged, Some(money(&format!("{}.00 GBP", at + 1))));
    }
    let again = client.batch(&lines, 0).await;
    let purchases =
        |answers: Vec<contracts::BatchAnswer<_>>| answers.into_iter().map(|a| a.purchase).collect::<Vec<_>>();
    assert_eq!(purchases(again), purchases(answers));
    for customer in 0..7 {
        let expected: usize = (0..1_000).filter(|at| at % 7 == customer).map(|at| at + 1).sum();
        let name = corner.name(format!("c{customer}"));
        balances_are(client, &name, &[("GBP", &format!("-{expected}.00"))]).await;
    }
    system.finish().await;
}

#[tokio::test]
async fn without_a_wait_every_line_is_accepted_and_settles_later() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, lantern(&system.client, &corner).await);
    let lines: Vec<_> = (0..50).map(|at| numbered(&corner, &format!("r{at}"), "alice", &sku, 1)).collect();
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let answer = client.send(client.batch_of(body.into_bytes(), 0)).await.is(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("preference-applied"), None);
    for line in answer.lines() {
        let purchase = line.purchase.unwrap();
        assert_eq!(line.http_status, if purchase.status.is_outcome() { 201 } else { 202 });
        assert_eq!(client.outcome(&purchase.id).await.status, Status::Settled);
    }
    balances_are(client, &corner.name("alice"), &[("GBP", "-50.00")]).await;
    system.finish().await;
}

/// A line, its status (0: it is blank), the pointer of its problem, and its id if that can be told.
type Case = (Vec<u8>, u16, Option<&'static str>, Option<&'static str>);

fn lines_good_and_bad(corner: &Corner, sku: &str) -> Vec<Case> {
    let good = |request: &str, quantity: usize| numbered(corner, request, "alice", sku, quantity);
    let with = |mut line: Value, field: &str, value: Value| {
        line[field] = value;
        line.to_string()
    };
    let mut nameless = good("nameless", 1);
    nameless.as_object_mut().unwrap().remove("request_id");
    vec![
        (good("first", 1).to_string().into(), 201, None, Some("first")),
        (br#"{"request_id":"#.to_vec(), 400, None, None),
        (b"  \t\r".to_vec(), 0, None, None),
        (with(good("field", 1), "colour", json!("red")).into(), 400, Some("/colour"), Some("field")),
        (good("first", 1).to_string().into(), 201, None, Some("first")),
        (good("first", 2).to_string().into(), 409, None, Some("first")),
        (nameless.to_string().into(), 400, Some("/request_id"), None),
        (good("zero", 0).to_string().into(), 422, Some("/lines/0/quantity"), Some("zero")),
        (b"{\"request_id\":\"\xff\"}".to_vec(), 400, None, None),
        (with(good("id", 1), "request_id", json!("a b")).into(), 422, Some("/request_id"), None),
        (with(good("currency", 1), "pay_in", json!("XXX")).into(), 422, Some("/pay_in"), Some("currency")),
        (b"[".repeat(10_000), 400, None, None),
        (b"null".to_vec(), 400, None, None),
        (good("unknown-offer", 1).to_string().replace("lantern", "nothing").into(), 201, None, Some("unknown-offer")),
        (good("last", 1).to_string().into(), 201, None, Some("last")),
    ]
}

#[tokio::test]
async fn a_bad_line_is_told_by_its_number_and_harms_no_other() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, lantern(&system.client, &corner).await);
    let cases = lines_good_and_bad(&corner, &sku);
    let body: Vec<_> = cases.iter().map(|(line, ..)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
    let body = ["\u{feff}".as_bytes(), &body].concat();

    let answers = client.send(client.batch_of(body, 30)).await.is(200).lines();

    let expected = (1..).zip(&cases).filter(|(_, (_, status, ..))| *status != 0).collect::<Vec<_>>();
    assert_eq!(answers.len(), expected.len());
    for (answer, (number, (_, status, pointer, request))) in answers.iter().zip(expected) {
        assert_eq!(answer.http_status, *status, "line {number}: {answer:?}");
        assert_eq!(answer.request_id, request.map(|request| corner.name(request)), "line {number}");
        assert_eq!((answer.purchase.is_some(), answer.problem.is_some()), (*status == 201, *status != 201));
        if let Some(problem) = &answer.problem {
            let problem: Value = serde_json::from_str(problem.get()).unwrap();
            assert_eq!(problem["pointer"].as_str(), *pointer, "line {number}: {problem}");
            assert_eq!(problem["status"], *status, "line {number}");
            let line = problem["line"].as_u64();
            assert!(line == Some(number) || *status == 409, "line {number}: {problem}");
        }
    }
    assert_eq!(answers[0].purchase, answers[3].purchase, "the same id twice is one purchase");
    balances_are(client, &corner.name("alice"), &[("GBP", "-2.00")]).await;
    system.finish().await;
}

#[tokio::test]
async fn a_batch_beyond_a_limit_is_refused_whole() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, lantern(&system.client, &corner).await);
    let line = |at: usize| numbered(&corner, &format!("r{at}"), "alice", &sku, 1);
    let lines = |count: usize| (0..count).map(|at| format!("{}\n\n", line(at))).collect::<String>().into_bytes();
    let refused = client.send(client.batch_of(lines(1_001), 0)).await.is(413).problem();
    assert_eq!(refused.limit, Some(1_000));
    let refused = client.send(client.batch_of(vec![b' '; (8 << 20) + 1], 0)).await.is(413).problem();
    assert_eq!(refused.limit, Some(8 << 20));
    let long = format!("{}{}\n{}\n", " ".repeat(1 << 20), line(0), line(1));
    let answers = client.send(client.batch_of(long.into_bytes(), 30)).await.is(200).lines();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.http_status).collect();
    assert_eq!(statuses, [413, 201], "one line may not be longer than a purchase alone");
    for nothing in ["", "\n\n", " \t\r\n"] {
        let answer = client.send(client.batch_of(nothing.into(), 30)).await.is(200);
        assert_eq!(answer.body, "", "{nothing:?}");
    }
    balances_are(client, &corner.name("alice"), &[("GBP", "-1.00")]).await;
    system.finish().await;
}

//! `POST /purchases/batch`: one result per line, in order; a bad line does not affect the others.

use contracts::Status;
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System, assert_balances, money};

async fn lantern(client: &Client, namespace: &Namespace) -> String {
    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    sku
}

fn numbered(namespace: &Namespace, request: &str, customer: &str, sku: &str, quantity: usize) -> Value {
    let mut line = namespace.order(&namespace.name(customer), "GBP", &[sku]);
    (line["request_id"], line["lines"][0]["quantity"]) = (json!(namespace.name(request)), json!(quantity));
    line
}

#[tokio::test]
async fn a_thousand_lines_have_results_in_order_each_as_a_request_of_its_own_would() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, lantern(&system.client, &namespace).await);
    let line = |at: usize| numbered(&namespace, &format!("r{at}"), &format!("c{}", at % 7), &sku, at + 1);
    let lines: Vec<_> = (0..1_000).map(line).collect();

    let results = client.buy_batch(&lines, 30).await;

    assert_eq!(results.len(), 1_000);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result.request_id, Some(namespace.name(format!("r{at}"))));
        let purchase = result.purchase.as_ref().unwrap();
        assert_eq!((result.http_status, purchase.status), (201, Status::Settled));
        assert_eq!(purchase.charged, Some(money(&format!("{}.00 GBP", at + 1))));
    }
    let again = client.buy_batch(&lines, 0).await;
    let purchases = |results: Vec<contracts::BatchItemResult<_>>| {
        results.into_iter().map(|result| result.purchase).collect::<Vec<_>>()
    };
    assert_eq!(purchases(again), purchases(results));
    for customer in 0..7 {
        let expected: usize = (0..1_000).filter(|at| at % 7 == customer).map(|at| at + 1).sum();
        let name = namespace.name(format!("c{customer}"));
        assert_balances(client, &name, &[("GBP", &format!("-{expected}.00"))]).await;
    }
    system.finish().await;
}

#[tokio::test]
async fn without_a_wait_every_line_is_accepted_and_settles_later() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, lantern(&system.client, &namespace).await);
    let lines: Vec<_> = (0..50).map(|at| numbered(&namespace, &format!("r{at}"), "alice", &sku, 1)).collect();
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let response = client.send(client.batch_request(body.into_bytes(), 0)).await.expect_status(200);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(response.header("preference-applied"), None);
    for line in response.lines() {
        let purchase = line.purchase.unwrap();
        assert_eq!(line.http_status, if purchase.status.is_outcome() { 201 } else { 202 });
        assert_eq!(client.wait_for_outcome(&purchase.id).await.status, Status::Settled);
    }
    assert_balances(client, &namespace.name("alice"), &[("GBP", "-50.00")]).await;
    system.finish().await;
}

/// A line, its status (0 for a blank line, which has no result), the pointer of its problem, and its request id if the
/// line can be parsed.
type Case = (Vec<u8>, u16, Option<&'static str>, Option<&'static str>);

fn good_and_bad_lines(namespace: &Namespace, sku: &str) -> Vec<Case> {
    let good = |request: &str, quantity: usize| numbered(namespace, request, "alice", sku, quantity);
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
async fn the_problem_of_a_bad_line_has_its_number_and_other_lines_are_not_affected() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, lantern(&system.client, &namespace).await);
    let cases = good_and_bad_lines(&namespace, &sku);
    let body: Vec<_> = cases.iter().map(|(line, ..)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
    let body = ["\u{feff}".as_bytes(), &body].concat();

    let results = client.send(client.batch_request(body, 30)).await.expect_status(200).lines();

    let expected = (1..).zip(&cases).filter(|(_, (_, status, ..))| *status != 0).collect::<Vec<_>>();
    assert_eq!(results.len(), expected.len());
    for (result, (number, (_, status, pointer, request))) in results.iter().zip(expected) {
        assert_eq!(result.http_status, *status, "line {number}: {result:?}");
        assert_eq!(result.request_id, request.map(|request| namespace.name(request)), "line {number}");
        assert_eq!((result.purchase.is_some(), result.problem.is_some()), (*status == 201, *status != 201));
        if let Some(problem) = &result.problem {
            let problem: Value = serde_json::from_str(problem.get()).unwrap();
            assert_eq!(problem["pointer"].as_str(), *pointer, "line {number}: {problem}");
            assert_eq!(problem["status"], *status, "line {number}");
            let line = problem["line"].as_u64();
            assert!(line == Some(number) || *status == 409, "line {number}: {problem}");
        }
    }
    assert_eq!(results[0].purchase, results[3].purchase, "the same id twice is one purchase");
    assert_balances(client, &namespace.name("alice"), &[("GBP", "-2.00")]).await;
    system.finish().await;
}

#[tokio::test]
async fn a_batch_beyond_a_limit_is_refused_as_a_whole() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, lantern(&system.client, &namespace).await);
    let line = |at: usize| numbered(&namespace, &format!("r{at}"), "alice", &sku, 1);
    let lines = |count: usize| (0..count).map(|at| format!("{}\n\n", line(at))).collect::<String>().into_bytes();
    let refused = client.send(client.batch_request(lines(1_001), 0)).await.expect_status(413).problem();
    assert_eq!(refused.limit, Some(1_000));
    let refused = client.send(client.batch_request(vec![b' '; (8 << 20) + 1], 0)).await.expect_status(413).problem();
    assert_eq!(refused.limit, Some(8 << 20));
    let long = format!("{}{}\n{}\n", " ".repeat(1 << 20), line(0), line(1));
    let results = client.send(client.batch_request(long.into_bytes(), 30)).await.expect_status(200).lines();
    let statuses: Vec<_> = results.iter().map(|result| result.http_status).collect();
    assert_eq!(statuses, [413, 201], "a line must not be longer than the body of a single purchase");
    for blank in ["", "\n\n", " \t\r\n"] {
        let response = client.send(client.batch_request(blank.into(), 30)).await.expect_status(200);
        assert_eq!(response.body, "", "{blank:?}");
    }
    assert_balances(client, &namespace.name("alice"), &[("GBP", "-1.00")]).await;
    system.finish().await;
}

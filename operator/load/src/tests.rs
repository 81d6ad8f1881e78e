use std::time::{Duration, Instant};

use clap::Parser;
use reqwest::StatusCode;

use crate::arguments::{LoadArguments, Mode};
use crate::metrics;
use crate::orders::Orders;
use crate::outcomes::Outcomes;
use crate::report::Times;
use crate::responses::{read_batch, read_one};
use crate::tally::Tally;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    load: LoadArguments,
}

fn arguments(words: &str) -> Result<LoadArguments, String> {
    let words = ["load"].into_iter().chain(words.split_whitespace());
    Command::try_parse_from(words).map(|command| command.load).map_err(|error| error.to_string())
}

#[test]
fn by_default_one_client_sends_single_purchases_and_four_send_batches() {
    let check = |words: &str, expected| {
        let load = arguments(words).unwrap();
        assert_eq!((load.mode, load.clients(), load.purchases()), expected, "{words}");
    };
    check("single", (Mode::Single, 1, 1));
    check("single --clients 8", (Mode::Single, 8, 1));
    check("batch", (Mode::Batch, 4, 1_000));
    check("batch --batch 50 --clients 2", (Mode::Batch, 2, 50));
}

#[test]
fn arguments_beyond_the_limits_of_the_service_are_refused() {
    for words in ["", "both", "batch --batch 0", "batch --batch 1001", "single --lines 2001", "single --customers 0"] {
        assert!(arguments(words).is_err(), "{words}");
    }
    let too_large = Orders::new(&arguments("batch --lines 2000").unwrap()).map(drop).unwrap_err();
    assert!(
        too_large.to_string().ends_with("the service accepts 8388608: use fewer purchases or lines"),
        "{too_large}"
    );
    assert!(Orders::new(&arguments("single --lines 2000").unwrap()).is_ok());
}

#[test]
fn orders_follow_the_contracts_and_each_id_is_used_once() {
    let orders = Orders::new(&arguments("batch --batch 3 --lines 2 --customers 2 --pay-in EUR").unwrap()).unwrap();
    let bodies = [orders.next().body, orders.next().body].concat();
    let lines: Vec<contracts::NumberedPurchaseRequest> =
        bodies.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(read).collect();
    let ids: Vec<_> = lines.iter().map(|line| line.request_id.0.clone()).collect();
    assert_eq!(ids, (0..6).map(|number| orders.request_id(number)).collect::<Vec<_>>());
    let skus: Vec<_> = orders.skus().map(|(_, sku)| sku).collect();
    assert!(lines.iter().all(|line| line.lines.iter().map(|line| line.sku.to_string()).eq(skus.clone())));
    assert!(lines[0].customer == lines[2].customer && lines[0].customer != lines[1].customer);

    let single = Orders::new(&arguments("single").unwrap()).unwrap();
    let request: contracts::PurchaseRequest = read(&single.next().body);
    assert_eq!((request.lines.len(), request.pay_in), (1, money::Currency::GBP));
    assert_ne!(single.request_id(0), orders.request_id(0), "two runs share a name");
}

#[test]
fn purchases_are_spread_over_products_unless_they_are_unlimited_or_hot() {
    let check = |words: &str, products: u64, limited: &[bool]| {
        let load = arguments(words).unwrap();
        assert_eq!(load.products(), products, "{words}");
        let found: Vec<_> = (0..load.lines).map(|line| load.is_limited(line)).collect();
        assert_eq!(found, limited, "{words}");
        assert_eq!(Orders::new(&load).unwrap().skus().count() as u64, products * load.lines);
    };
    check("single --lines 2", 1, &[false, false]);
    check("single --lines 2 --capacity 5", 100, &[true, true]);
    check("single --lines 2 --capacity 5 --hot --capacity-lines 1", 1, &[true, false]);
    for words in ["single --hot", "single --capacity-lines 1", "single --constraint strict", "single --capacity -1"] {
        assert!(arguments(words).is_err(), "{words}");
    }
    let orders = Orders::new(&arguments("batch --batch 150 --capacity 5").unwrap()).unwrap();
    let body = orders.next().body;
    let bought: std::collections::BTreeSet<_> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| read::<contracts::NumberedPurchaseRequest>(line).lines[0].sku.to_string())
        .collect();
    assert_eq!(bought, orders.skus().map(|(_, sku)| sku).collect());
    let orders = Orders::new(&arguments("single --capacity 5").unwrap()).unwrap();
    let sku = |body: &[u8]| read::<contracts::PurchaseRequest>(body).lines[0].sku.to_string();
    assert_ne!(sku(&orders.next().body), sku(&orders.next().body));
}

#[test]
fn purchases_without_stock_are_no_failures() {
    let now = Instant::now();
    let mut tally = Tally::new(now..now).unwrap();
    tally.ended(now, Outcomes { settled: 4, sold_out: 3, compensated: 2, ..Outcomes::default() });
    assert_eq!((tally.counts.ended(), tally.counts.failed, tally.counts.first_failure), (9, 0, None));
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> T {
    serde_json::from_slice(json).unwrap()
}

#[test]
fn each_line_of_a_response_is_the_result_of_its_purchase() {
    let outcomes = |lines: &[&str]| {
        let ids = ["r0", "r1", "r2", "r3", "r4"].map(str::to_owned);
        read_batch(lines.join("\n").as_bytes(), ids.into_iter())
    };
    let lines = [
        r#"{"request_id":"r0","http_status":201,"purchase":{"id":"r0","status":"settled","lines":[{}]}}"#,
        r#"{"request_id":"r1","http_status":202,"purchase":{"id":"r1","status":"confirmed"}}"#,
        r#"{"request_id":"r2","http_status":409,"problem":{"status":409,"detail":"another"}}"#,
        r#"{"request_id":"r3","http_status":201,"purchase":{"id":"r3","status":"rejected","reason":{"code":"no_rate"}}}"#,
        r#"{"request_id":"r4","http_status":201,"purchase":{"id":"r4","status":"rejected","reason":{"code":"sold_out"}}}"#,
    ];
    let found = outcomes(&lines).unwrap();
    assert_eq!(found.acknowledged(), 4);
    let expected = Outcomes {
        settled: 1,
        rejected: 1,
        sold_out: 1,
        compensated: 0,
        open: 1,
        failed: 1,
        why: Some("409: another".to_owned()),
        statuses: vec![201, 202, 409, 201, 201],
    };
    assert_eq!(found, expected);
    assert_eq!(outcomes(&lines[..3]).unwrap_err(), "r3 has no response");
    assert_eq!(outcomes(&[lines, lines].concat()).unwrap_err(), "more responses than purchases");
    assert_eq!(outcomes(&[lines[1], lines[0]]).unwrap_err(), "r0: the response in its place is for another purchase");
}

#[test]
fn the_response_to_one_purchase_is_its_result() {
    let found = read_one(StatusCode::ACCEPTED, br#"{"id":"a","status":"confirmed"}"#).unwrap();
    assert_eq!(found, Outcomes { open: 1, statuses: vec![202], ..Outcomes::default() });
    assert!(read_one(StatusCode::CREATED, br#"{"id":"a"}"#).is_err());
}

#[test]
fn rates_count_responses_and_times_count_requests_of_the_interval() {
    let begin = Instant::now();
    let at = |ms| begin + Duration::from_millis(ms);
    let mut tally = Tally::new(at(100)..at(200)).unwrap();
    for (sent, answered) in [(50, 99), (60, 100), (110, 150), (150, 250), (200, 201)] {
        tally.acknowledged(at(answered), 10);
        tally.accepted_after(at(sent), at(answered));
        tally.settled_after(at(sent), at(answered));
        tally.ended(at(answered), Outcomes { settled: 10, ..Outcomes::default() });
    }
    assert_eq!((tally.accepted, tally.settled), (20, 20));
    assert_eq!((tally.counts.acknowledged, tally.counts.settled, tally.counts.failed), (50, 50, 0));
    let times = Times::of(&tally.to_settled_us).unwrap();
    assert_eq!((times.requests, times.p50.round(), times.max.round()), (2, 40.0, 100.0));
    assert_eq!(Times::of(&tally.to_accepted_us), Some(times));
}

#[test]
fn without_measured_requests_there_are_no_times() {
    let now = Instant::now();
    assert_eq!(Times::of(&Tally::new(now..now).unwrap().to_settled_us), None);
}

#[test]
fn everything_that_is_not_settled_is_a_failure() {
    let now = Instant::now();
    let mut tally = Tally::new(now..now).unwrap();
    tally.counts.responses(&[201, 201, 202]);
    assert_eq!((tally.counts.failed, tally.counts.first_failure.is_none()), (0, true));
    tally.counts.retried(Some(StatusCode::SERVICE_UNAVAILABLE), "503: stopping");
    tally.counts.retried(None, "Connection refused");
    tally.ended(now, Outcomes { rejected: 2, failed: 1, why: Some("409: another".to_owned()), ..Outcomes::default() });
    assert_eq!((tally.counts.failed, tally.counts.rejected), (5, 2));
    assert_eq!(tally.counts.first_failure.as_deref(), Some("503: stopping"));
    let responses: Vec<_> = tally.counts.responses.iter().map(|(status, count)| format!("{status} {count}")).collect();
    assert_eq!(responses, ["201 2", "202 1", "503 1", "none 1"]);
}

#[test]
fn the_partitions_of_a_stage_are_added_up() {
    let metrics = metrics::read(
        "# HELP stage_batch_facts Facts or requests applied in one commit.\n\
         # TYPE stage_batch_facts histogram\n\
         stage_batch_facts_bucket{partition=\"0\",stage=\"post\",le=\"1\"} 7\n\
         stage_batch_facts_sum{partition=\"0\",stage=\"post\"} 30\n\
         stage_batch_facts_count{partition=\"0\",stage=\"post\"} 10\n\
         stage_batch_facts_sum{partition=\"1\",stage=\"post\"} 12\n\
         stage_batch_facts_count{partition=\"1\",stage=\"post\"} 4\n\
         stage_batch_seconds_sum{partition=\"1\",stage=\"post\"} 0.5\n\
         stage_batch_seconds_count{partition=\"1\",stage=\"post\"} 4\n\
         stage_frame_facts_sum{stage=\"accept\",partition=\"0\"} 8\n\
         stage_frame_facts_count{stage=\"accept\",partition=\"0\"} 2\n\
         http_requests_total{method=\"GET\",route=\"/\",status=\"200\"} 9\n\
         process_resident_memory_bytes 1048576\n\
         process_peak_resident_memory_bytes 2097152\n",
    );
    let post = metrics.stages["post"];
    assert_eq!((post.batch_facts.count(), post.batch_facts.mean()), (14.0, Some(3.0)));
    assert_eq!((post.batch_seconds.mean(), post.frame_facts.mean()), (Some(0.125), None));
    assert_eq!(metrics.stages["accept"].frame_facts.mean(), Some(4.0));
    assert_eq!((post.batch_facts - post.batch_facts).mean(), None);
    assert_eq!(metrics.stages.len(), 2);
    assert_eq!(
        metrics.memory.map(|memory| (memory.resident_bytes, memory.peak_bytes)),
        Some((1_048_576.0, 2_097_152.0))
    );
    assert_eq!(metrics::read("not a metric").memory, None);
}

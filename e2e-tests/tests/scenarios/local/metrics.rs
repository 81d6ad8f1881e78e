//! The exported metrics on a system that only this test uses: each moves by exactly what was done.

use serde_json::{Value, json};

use crate::scenarios::harness::{Client, LocalSystem, Metrics, Namespace, overdraft, promtool, wait_until};

/// The expected increase of a metric: index of the service, name, labels, increase.
type Moved<'a> = (usize, &'a str, &'a [(&'a str, &'a str)], u32);

const EXCHANGE_RATE: usize = 0;
const PURCHASE: usize = 1;
const LEDGER: usize = 2;

/// The increases from the requests below. A retry does not count.
const EXPECTED: [Moved<'_>; 31] = [
    (EXCHANGE_RATE, "rate_versions_total", &[], 1),
    (EXCHANGE_RATE, "stage_latency_seconds_count", &[("stage", "record-rates")], 1),
    (PURCHASE, "offers_recorded_total", &[], 1),
    (PURCHASE, "purchases_recorded_total", &[], 14),
    (PURCHASE, "purchases_total", &[], 14),
    (PURCHASE, "purchases_total", &[("status", "settled"), ("reason", "")], 10),
    (PURCHASE, "purchases_total", &[("status", "rejected"), ("reason", "unknown_offer")], 2),
    (PURCHASE, "purchases_total", &[("status", "rejected"), ("reason", "stale_rate")], 1),
    (PURCHASE, "purchases_total", &[("status", "rejected"), ("reason", "payment_refused")], 1),
    (PURCHASE, "returns_recorded_total", &[], 2),
    (PURCHASE, "returns_total", &[], 2),
    (PURCHASE, "returns_total", &[("status", "settled"), ("reason", "")], 1),
    (PURCHASE, "returns_total", &[("status", "rejected"), ("reason", "unknown_offer")], 1),
    // The offer counts too. What `accept` rejected never gets to `settle`.
    (PURCHASE, "stage_latency_seconds_count", &[("stage", "accept")], 17),
    (PURCHASE, "stage_latency_seconds_count", &[("stage", "settle")], 12),
    (PURCHASE, "stage_latency_seconds_bucket", &[("stage", "settle"), ("le", "+Inf")], 12),
    (PURCHASE, "stage_latency_seconds_count", &[("stage", "copy-rates")], 1),
    (PURCHASE, "http_requests_total", &[("method", "POST"), ("route", "/purchases"), ("status", "201")], 12),
    (PURCHASE, "http_request_duration_seconds_count", &[("method", "POST"), ("route", "/purchases/batch")], 1),
    (LEDGER, "ledger_commands_recorded_total", &[("kind", "claim")], 3),
    (LEDGER, "ledger_commands_recorded_total", &[("kind", "transfer")], 5),
    (LEDGER, "ledger_decisions_total", &[], 8),
    (LEDGER, "ledger_decisions_total", &[("kind", "claim"), ("status", "opened"), ("reason", "")], 2),
    (LEDGER, "ledger_decisions_total", &[("kind", "claim"), ("status", "rejected"), ("reason", "handle_taken")], 1),
    (LEDGER, "ledger_decisions_total", &[("kind", "transfer"), ("status", "posted"), ("reason", "")], 2),
    (LEDGER, "ledger_decisions_total", &[("kind", "transfer"), ("status", "rejected"), ("reason", "overdrawn")], 1),
    (LEDGER, "ledger_decisions_total", &[("kind", "transfer"), ("reason", "unknown_account")], 2),
    (LEDGER, "stage_latency_seconds_count", &[("stage", "record-commands")], 8),
    // 11 purchases, a return, 3 transfers and 3 claims, and the merchant's legs of the 10 purchases, the return and the
    // 2 transfers that were posted.
    (LEDGER, "stage_latency_seconds_count", &[("stage", "post")], 31),
    (LEDGER, "stage_duplicate_frames_total", &[], 0),
    (LEDGER, "stage_retries_total", &[], 0),
];

#[tokio::test]
async fn every_metric_moves_by_exactly_what_was_done() {
    let (mut local, namespace) = (LocalSystem::start().await, Namespace::new());
    let client = local.client.clone();
    let before = client.metrics().await;
    rates_and_purchases(&client, &namespace).await;
    claims_and_transfers(&client, &namespace).await;

    let differing = async || {
        let after = client.metrics().await;
        EXPECTED.into_iter().filter_map(|moved| differs(&before, &after, moved)).collect::<Vec<_>>()
    };
    wait_until("the metrics have moved as expected", async || differing().await.is_empty().then_some(())).await;
    wait_until_idle(&client).await;
    assert_eq!(differing().await, Vec::<String>::new());
    let after = client.metrics().await;
    for metrics in &after {
        assert_plausible_latencies(metrics);
        let commits = metrics.sum("stage_commit_seconds_count", &[]);
        assert!(commits > 0.0 && commits <= metrics.sum("stage_batch_seconds_count", &[]), "{}", metrics.text);
        metrics.assert_documented();
        metrics.assert_promtool_passes().await;
    }
    assert_books_exported(&client).await;

    // Counters start at 0 with the process. The gauges of the books do not.
    local.stop().await;
    local.start_again(&[]).await;
    let [_, purchase, ledger] = local.client.metrics().await;
    assert_eq!(purchase.sum("purchases_total", &[]) + ledger.sum("ledger_decisions_total", &[]), 0.0);
    assert_books_exported(&local.client).await;
    local.finish().await;
}

#[tokio::test]
async fn the_configuration_and_the_alerts_pass_promtool() {
    for arguments in
        [&["check", "config", "infra/prometheus/prometheus.yml"], &["check", "rules", "infra/prometheus/alerts.yml"]]
    {
        let printed = promtool(arguments, "").await;
        assert!(printed.contains("SUCCESS") && !printed.contains("FAILED") && !printed.contains("error"), "{printed}");
    }
}

async fn rates_and_purchases(client: &Client, namespace: &Namespace) {
    let sku = namespace.name("lantern");
    for _ in 0..2 {
        client.put_priced_offer(&sku, "10.00", "EUR").await;
        client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
    }
    let buy = async |key: &str, customer: &str, pay_in: &str, sku: &str| {
        let order = namespace.order(&namespace.name(customer), pay_in, &[sku]);
        client.buy(&namespace.name(key), &order).await.expect_status(201).purchase()
    };
    for key in ["1", "2", "3", "4", "5", "5"] {
        buy(key, "bob", "EUR", &sku).await;
    }
    for key in ["unknown 1", "unknown 2"].map(|key| key.replace(' ', "-")) {
        buy(&key, "bob", "EUR", &namespace.name("none")).await;
    }
    buy("stale", "bob", "USD", &sku).await;
    for (key, sku) in [("back", &sku), ("back", &sku), ("back-unknown", &namespace.name("none"))] {
        let order = namespace.order(&namespace.name("bob"), "EUR", &[sku]);
        client.bring_back(&namespace.name(key), &order).await.expect_status(201);
    }
    let alice = format!("customer:{}", namespace.name("alice"));
    client.send(client.claim_request(&alice, &overdraft("20.00", "refuse"))).await.expect_status(201);
    for key in ["6", "7", "refused"] {
        buy(key, "alice", "EUR", &sku).await;
    }
    let line = |at: usize| {
        let mut line = namespace.order(&namespace.name("bob"), "EUR", &[&sku]);
        line["request_id"] = json!(namespace.name(format!("line-{at}")));
        line
    };
    client.buy_batch(&(0..3).map(line).collect::<Vec<_>>(), 30).await;
}

async fn claims_and_transfers(client: &Client, namespace: &Namespace) {
    let carol = client.open_account(namespace, "carol", &overdraft("100.00", "refuse")).await;
    client.send(client.claim_request(carol.as_str(), &Value::Null)).await.expect_status(409);
    let nobody = namespace.name("nobody");
    for (key, from, to, amount) in [
        ("t1", carol.as_str(), "merchant", "30.00"),
        ("t2", carol.as_str(), "merchant", "30.00"),
        ("t2", carol.as_str(), "merchant", "30.00"),
        ("t3", carol.as_str(), "merchant", "100.00"),
        ("t4", &nobody, "merchant", "1.00"),
        ("t5", "merchant", &nobody, "1.00"),
    ] {
        client.pay(&namespace.name(key), from, to, amount).await.expect_status(201);
    }
}

/// Describes the actual increase of a metric if it is not the expected one.
fn differs(
    before: &[Metrics; 3],
    after: &[Metrics; 3],
    (service, name, labels, expected): Moved<'_>,
) -> Option<String> {
    let moved = after[service].sum(name, labels) - before[service].sum(name, labels);
    (moved != f64::from(expected)).then(|| format!("{name}{labels:?} moved by {moved}, not {expected}"))
}

/// Returns once the metrics show no lag, no waiting requests and nothing in transit.
async fn wait_until_idle(client: &Client) {
    let waiting = async || {
        let gauges = ["stage_lag_frames", "stage_lag_seconds", "stage_requests_waiting", "ledger_in_transit_amount"];
        let metrics = client.metrics().await;
        metrics.iter().flat_map(|metrics| gauges.map(|gauge| metrics.sum(gauge, &[]))).sum::<f64>()
    };
    wait_until("nothing waits and nothing is in transit", async || (waiting().await == 0.0).then_some(())).await;
}

/// Asserts that the mean latency of each stage is above 0 and below 60 s.
fn assert_plausible_latencies(metrics: &Metrics) {
    for stage in ["record-rates", "copy-rates", "accept", "settle", "record-commands", "post"] {
        let of_stage = [("stage", stage)];
        let count = metrics.sum("stage_latency_seconds_count", &of_stage);
        let sum = metrics.sum("stage_latency_seconds_sum", &of_stage);
        assert!(count == 0.0 || (sum > 0.0 && sum / count < 60.0), "{stage}: {sum} s for {count}");
    }
}

/// Asserts that the metrics of the books are the same as `GET /trial-balance`, and balanced.
async fn assert_books_exported(client: &Client) {
    let (books, [_, _, metrics]) = (client.trial_balance().await, client.metrics().await);
    assert_eq!(books.keys().map(ToString::to_string).collect::<Vec<_>>(), ["EUR"]);
    let exported = |name: &str, side: &str| metrics.sum(name, &[("currency", "EUR"), ("side", side)]);
    for line in books.values() {
        let number = |amount: money::Amount| amount.to_string().parse::<f64>().unwrap();
        assert_eq!(exported("ledger_posted_amount", "debit"), number(line.debits));
        assert_eq!(exported("ledger_posted_amount", "credit"), number(line.credits));
        // Ten lanterns, one of them brought back, and two transfers.
        assert_eq!(number(line.debits), 170.0);
    }
    assert!(metrics.text.contains("ledger_trial_balance_difference{currency=\"EUR\"} 0\n"), "{}", metrics.text);
}

//! A real year of purchases against the release binary. These tests need `UNBUNDLED_DATA`, the folder with the data.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::harness::Cluster;
use crate::scenarios::harness::{Client, LocalSystem, run_to_end, wait_until};

/// The number of purchases before a kill, about a quarter of the year.
const KILLED_AFTER: u64 = 5_000;

/// The two files with the data of the year.
const CLEAN: &str = "online_retail_clean.csv.zst";
const ORIGINAL: &str = "online-retail-dataset.csv.zst";

fn file(name: &str) -> String {
    data("retail", name)
}

fn data(part: &str, name: &str) -> String {
    let folder = std::env::var_os("UNBUNDLED_DATA").map(PathBuf::from);
    let folder = folder.expect("UNBUNDLED_DATA is not set: set it to the folder that contains retail/ and bookings/");
    let file = folder.join(part).join(name);
    assert!(file.is_file(), "there is no file {}", file.display());
    file.to_str().unwrap().to_owned()
}

/// Runs `unbundled replay retail` to its end, and returns its summary without what depends on the machine.
async fn replay(client: &Client) -> Value {
    let (file, addresses) = (file(CLEAN), client.addresses.clone());
    let (purchase, ledger) = (addresses.purchase.as_str(), addresses.ledger.as_str());
    let output = run_to_end(&["replay", "retail", &file, "--purchase", purchase, "--ledger", ledger, "--json"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    ["lines", "invoices", "outcomes", "charged", "total", "returns", "refunded", "returned", "differences"]
        .into_iter()
        .filter_map(|name| Some((name, summary.get(name)?.clone())))
        .collect()
}

/// Asserts the totals of the year, which were computed independently from the file and the rates (with exact fractions,
/// in another language).
fn assert_year_totals(summary: &Value) {
    assert_eq!(summary["lines"]["read"], json!(541_909));
    assert_eq!(summary["invoices"]["read"], json!(25_900));
    assert_eq!(summary["outcomes"]["settled"], json!(19_952));
    assert_eq!(summary["outcomes"]["rejected"], json!({"stale_rate": 7}));
    let charged = &summary["charged"];
    for (currency, amount) in [("GBP", "9014160.02"), ("EUR", "1437120.90"), ("JPY", "4836108"), ("LTL", "6766.80")] {
        assert_eq!(charged[currency], json!(amount), "{currency}");
    }
    assert_eq!(charged.as_object().unwrap().len(), 18);
    assert_eq!(summary["returns"], json!({"settled": 3_835, "rejected": {"no_rate": 1}, "waiting": 0}));
    let refunded = &summary["refunded"];
    for (currency, amount) in [("GBP", "815291.60"), ("EUR", "62472.24"), ("JPY", "278521"), ("SGD", "24499.50")] {
        assert_eq!(refunded[currency], json!(amount), "{currency}");
    }
    assert_eq!(refunded.as_object().unwrap().len(), 13);
    assert_eq!(summary["returned"], json!({"GBP": "896585.05"}));
}

/// Summarizes the content of a file with `--dry-run`. No system runs.
async fn dry_run(name: &str, more: &[&str]) -> Value {
    let output = run_to_end(&[&["replay", "retail", &file(name), "--dry-run", "--json"], more].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), "nothing was sent\n"));
    let contents: Value = serde_json::from_slice(&output.stdout).unwrap();
    ["days", "lines", "invoices", "offers"].into_iter().map(|name| (name, contents[name].clone())).collect()
}

#[tokio::test]
async fn full_year_has_the_same_content_in_the_original_and_the_clean_file() {
    let whole = dry_run(CLEAN, &[]).await;
    assert_eq!((&whole["lines"]["sent"], &whole["invoices"]["sent"]), (&json!(539_391), &json!(23_795)));
    assert_eq!(dry_run(ORIGINAL, &[]).await, whole);
    let sales = dry_run(CLEAN, &["--sales-only"]).await;
    assert_eq!((&sales["lines"]["sent"], &sales["invoices"]["sent"]), (&json!(530_103), &json!(19_959)));
    let days = ["--from", "2011-12-01", "--to", "2011-12-09"];
    let december = dry_run(CLEAN, &days).await;
    assert_eq!(december["days"], json!({"from": "2011-12-01", "to": "2011-12-09"}));
    assert_eq!(dry_run(ORIGINAL, &days).await, december);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_has_the_same_totals_when_it_is_sent_again() {
    let local = LocalSystem::start().await;
    let first = replay(&local.client).await;
    assert_year_totals(&first);
    assert_eq!(replay(&local.client).await, first);
    local.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_has_the_same_totals_after_a_kill_in_the_middle() {
    let mut local = LocalSystem::start().await;
    let client = local.client.clone();
    let sending = tokio::spawn(async move { replay(&client).await });
    let client = local.client.clone();
    wait_until("a quarter of the year is recorded", async || {
        (purchases_recorded(&client).await >= KILLED_AFTER).then_some(())
    })
    .await;
    local.kill().await;
    sending.abort();
    local.start_again(&[]).await;
    assert_year_totals(&replay(&local.client).await);
    local.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_on_the_cluster_with_each_service_killed_in_turn() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client.clone();
    let sending = tokio::spawn(async move { replay(&client).await });
    let client = cluster.client.clone();
    // The purchase service comes last, because its counter starts at 0 with each process.
    for (part, service) in (1..).zip(["exchange-rate", "ledger", "purchase"]) {
        let recorded = async || (purchases_recorded(&client).await >= part * KILLED_AFTER).then_some(());
        wait_until(&format!("{part} quarters of the year are recorded"), recorded).await;
        cluster.kill_and_start_again(service).await;
    }
    let sent = sending.await.unwrap();
    assert_year_totals(&sent);
    assert_eq!(replay(&cluster.client).await, sent);
    cluster.finish().await;
}

async fn purchases_recorded(client: &Client) -> u64 {
    let metrics = client.get(&format!("{}/metrics", client.addresses.purchase)).await.expect_status(200);
    let recorded = metrics.body.lines().filter(|line| line.starts_with("purchases_recorded_total "));
    recorded.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// The first of two years of hotel bookings, with fewer rooms than the hotel had. The command compares every booking with
/// a model of its own.
async fn replay_bookings(client: &Client, options: &[&str]) -> Value {
    let (file, addresses) = (data("bookings", "hotel_bookings.csv.zst"), client.addresses.clone());
    let command = ["replay", "bookings", &file, "--resort", "90", "--city", "220", "--bookings", "4000", "--json"];
    let to = ["--purchase", &addresses.purchase, "--ledger", &addresses.ledger];
    let output = run_to_end(&[&command, options, &to].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_bookings_equal_a_sequential_model() {
    let local = LocalSystem::start_on(tempfile::tempdir().unwrap(), &["--partitions", "1"]).await;
    let summary = replay_bookings(&local.client, &["--overbooking", "5", "--voucher", "10", "--one-partition"]).await;
    println!("{summary:#}");
    let without_a_room = ["refused", "compensated"].map(|what| summary[what].as_u64().unwrap()).iter().sum::<u64>();
    assert!(summary["nights_at_limit"].as_u64() > Some(10) && without_a_room > 100, "{summary:#}");
    local.finish().await;
}

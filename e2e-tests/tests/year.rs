//! The real year, against the release binary. Selected where `UNBUNDLED_DATA` names a folder that has it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::harness::Cluster;
use crate::scenarios::harness::{Client, LocalSystem, run_to_end, wait_until};

/// Purchases after which it is killed: about a quarter of the year.
const KILLED_AFTER: u64 = 5_000;

/// The two forms of the year.
const CLEAN: &str = "online_retail_clean.csv.zst";
const ORIGINAL: &str = "online-retail-dataset.csv.zst";

fn file(name: &str) -> String {
    let folder = std::env::var_os("UNBUNDLED_DATA").map(PathBuf::from);
    let folder = folder.expect("UNBUNDLED_DATA is not set: it names the folder with retail/");
    let file = folder.join("retail").join(name);
    assert!(file.is_file(), "there is no {}", file.display());
    file.to_str().unwrap().to_owned()
}

/// `unbundled replay retail` to its end; its summary without what depends on the machine.
async fn replay(client: &Client) -> Value {
    let (file, addresses) = (file(CLEAN), client.addresses.clone());
    let (purchase, ledger) = (addresses.purchase.as_str(), addresses.ledger.as_str());
    let output = run_to_end(&["replay", "retail", &file, "--purchase", purchase, "--ledger", ledger, "--json"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    ["lines", "invoices", "outcomes", "charged", "total", "differences"]
        .into_iter()
        .filter_map(|name| Some((name, summary.get(name)?.clone())))
        .collect()
}

/// Computed once by other means (exact fractions, another language) from the file and the rates.
fn is_the_year(summary: &Value) {
    assert_eq!(summary["lines"]["read"], json!(541_909));
    assert_eq!(summary["invoices"]["read"], json!(25_900));
    assert_eq!(summary["outcomes"]["settled"], json!(19_952));
    assert_eq!(summary["outcomes"]["rejected"], json!({"stale_rate": 7}));
    let charged = &summary["charged"];
    for (currency, amount) in [("GBP", "9014160.02"), ("EUR", "1437120.90"), ("JPY", "4836108"), ("LTL", "6766.80")] {
        assert_eq!(charged[currency], json!(amount), "{currency}");
    }
    assert_eq!(charged.as_object().unwrap().len(), 18);
}

/// What is in a file, without its name and how it is written. Nothing runs that anything could be sent to.
async fn read(name: &str, more: &[&str]) -> Value {
    let output = run_to_end(&[&["replay", "retail", &file(name), "--dry-run", "--json"], more].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), "nothing was sent\n"));
    let contents: Value = serde_json::from_slice(&output.stdout).unwrap();
    ["days", "lines", "invoices", "offers"].into_iter().map(|name| (name, contents[name].clone())).collect()
}

#[tokio::test]
async fn full_year_is_the_same_in_its_original_and_its_clean_form() {
    let whole = read(CLEAN, &[]).await;
    assert_eq!((&whole["lines"]["sent"], &whole["invoices"]["sent"]), (&json!(530_103), &json!(19_959)));
    assert_eq!(read(ORIGINAL, &[]).await, whole);
    let days = ["--from", "2011-12-01", "--to", "2011-12-09"];
    let december = read(CLEAN, &days).await;
    assert_eq!(december["days"], json!({"from": "2011-12-01", "to": "2011-12-09"}));
    assert_eq!(read(ORIGINAL, &days).await, december);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_comes_to_the_same_sums_however_often_it_is_sent() {
    let local = LocalSystem::start().await;
    let first = replay(&local.client).await;
    is_the_year(&first);
    assert_eq!(replay(&local.client).await, first);
    local.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_killed_in_the_middle_comes_to_the_same_sums() {
    let mut local = LocalSystem::start().await;
    let client = local.client.clone();
    let sending = tokio::spawn(async move { replay(&client).await });
    let client = local.client.clone();
    wait_until("a quarter of the year is taken", async || {
        (purchases_taken(&client).await >= KILLED_AFTER).then_some(())
    })
    .await;
    local.kill().await;
    sending.abort();
    local.start_again(&[]).await;
    is_the_year(&replay(&local.client).await);
    local.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_year_on_the_cluster_with_each_service_killed_in_turn() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client.clone();
    let sending = tokio::spawn(async move { replay(&client).await });
    let client = cluster.client.clone();
    // The purchase service comes last: what it counts begins again with its process.
    for (part, service) in (1..).zip(["exchange-rate", "ledger", "purchase"]) {
        let taken = async || (purchases_taken(&client).await >= part * KILLED_AFTER).then_some(());
        wait_until(&format!("{part} quarters of the year are taken"), taken).await;
        cluster.kill_and_start_again(service).await;
    }
    let sent = sending.await.unwrap();
    is_the_year(&sent);
    assert_eq!(replay(&cluster.client).await, sent);
    cluster.finish().await;
}

async fn purchases_taken(client: &Client) -> u64 {
    let metrics = client.get(&format!("{}/metrics", client.addresses.purchase)).await.expect_status(200);
    let taken = metrics.body.lines().filter(|line| line.starts_with("purchases_taken_total "));
    taken.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

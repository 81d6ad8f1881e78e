//! Operator commands: `republish`, and `audit` of the three databases.

use crate::cluster::harness::{Cluster, metric_sum, wait_for_metric};
use crate::scenarios::harness::{Load, run_to_end};

const DUPLICATES: &str = "stage_duplicate_frames_total";

/// A cluster that has settled some purchases, and is idle.
async fn cluster_with_purchases() -> Cluster {
    let cluster = Cluster::start_on_shared_servers().await;
    let mut load = Load::prepare(&cluster.client, 10).await;
    let received = load.send(&cluster.client).finish().await;
    load.record(received);
    load.assert_all_have_outcomes(&cluster.client).await;
    cluster
}

async fn republish(cluster: &Cluster, more: &[&str]) -> (Option<i32>, String) {
    let url = cluster.servers.database_url("ledger");
    let output = run_to_end(&[&["republish", "--service", "ledger", "--database", &url], more].concat()).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn republished_frames_arrive_again_and_are_dropped_as_duplicates() {
    let cluster = cluster_with_purchases().await;
    let count = "SELECT count(*) FROM journal WHERE target LIKE 'outcomes/%'";
    let frames = u64::try_from(cluster.database("ledger").await.number(count).await).unwrap();
    let url = cluster.client.addresses.purchase.clone();
    let before = metric_sum(&cluster.client, &url, DUPLICATES, "stage=\"settle\"").await;
    let (code, printed) = republish(&cluster, &["--stream", "outcomes"]).await;
    assert_eq!(code, Some(0), "{printed}");
    for producer in ["post/0", "post/1"] {
        assert!(printed.contains(&format!("{producer} publishes its journal for outcomes/")), "{printed}");
    }
    assert!(!printed.contains("credits"), "{printed}");
    wait_for_metric(&cluster.client, &url, DUPLICATES, "stage=\"settle\"", before + frames).await;
    for (more, expected) in [(&["--stream", "nothing"], "nothing in the journal"), (&["--producer", "x"], "x")] {
        let (code, printed) = republish(&cluster, more).await;
        assert!(code != Some(0) && printed.contains(expected), "{code:?} {printed}");
    }
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_of_the_databases_names_changed_data() {
    let mut cluster = cluster_with_purchases().await;
    // The audit also works while the services run, as long as they are idle.
    assert_eq!(cluster.audit().await.status.code(), Some(0));
    cluster.stop_all().await;
    let frame = "producer = 'post/0' AND target = 'outcomes/0' AND seq = 1";
    let changes = [
        ("ledger", format!("UPDATE journal SET body = body || ' ' WHERE {frame}"), "post/0>outcomes/0#1"),
        ("ledger", format!("UPDATE journal SET body = rtrim(body) WHERE {frame}"), "clean"),
        ("purchase", "UPDATE meta SET value = '3' WHERE key = 'partitions'".to_owned(), "partitions"),
        ("purchase", "UPDATE meta SET value = '2' WHERE key = 'partitions'".to_owned(), "clean"),
    ];
    for (service, change, expected) in changes {
        cluster.database(service).await.run(&change).await;
        let audit = cluster.audit().await;
        let printed = String::from_utf8_lossy(&audit.stdout);
        assert!(printed.contains(expected), "after {change}: {printed}");
        let code = if expected == "clean" { 0 } else { 1 };
        assert_eq!(audit.status.code(), Some(code), "after {change}: {printed}");
    }
    // After the restart the cluster works as before.
    cluster.start_all(&[]).await;
    cluster.finish().await;
}

//! The limit of unpublished bytes: requests are refused before the journal fills the disk.

use serde_json::json;

use crate::cluster::harness::{Cluster, metric_sum, wait_for_metric};
use crate::scenarios::harness::{Client, Load, Namespace, wait_until};

/// The size of a few batches.
const BYTES_MAX: &str = "200000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_while_too_many_bytes_are_unpublished_and_accepted_again_afterwards() {
    let mut cluster = Cluster::not_started().await;
    cluster.servers.start().await;
    cluster.start_all(&[("BACKLOG_BYTES_MAX", BYTES_MAX)]).await;
    let client = cluster.client.clone();
    let mut load = Load::prepare(&client, 200).await;
    let namespace = Namespace::new();
    let sku = namespace.name("lamp");
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    let order = json!({"customer": namespace.name("alice"), "pay_in": "GBP", "lines": [{"sku": sku, "quantity": 1}]});

    cluster.servers.rabbitmq(&["stop"]).await;
    // The senders end when the service refuses requests.
    load.record(load.send(&client).finish().await);
    assert!(load.answered_count() > 0 && load.answered_count() < load.len(), "{}", load.answered_count());
    assert_refused(&client, &namespace, &order).await;
    let purchase = client.addresses.purchase.clone();
    wait_for_metric(&client, &purchase, "journal_unpublished_bytes", "", BYTES_MAX.parse().unwrap()).await;
    wait_for_metric(&client, &purchase, "journal_unpublished_max_bytes", "", BYTES_MAX.parse().unwrap()).await;
    wait_for_metric(&client, &purchase, "journal_unpublished_frames", "", 2).await;
    // Reads still work.
    client.get(&client.offer_url(&sku)).await.expect_status(200);

    cluster.servers.rabbitmq(&["start"]).await;
    let key = namespace.name("later");
    let accepted = async || {
        Some(client.send(client.purchase_request(&key, &order)).await).filter(|response| response.status != 503)
    };
    wait_until("purchases are accepted again", accepted).await.purchase();
    load.assert_all_have_outcomes(&client).await;
    load.assert_one_effect_each(&client).await;
    for metric in ["journal_unpublished_bytes", "journal_unpublished_frames"] {
        let is_zero = async || (metric_sum(&client, &purchase, metric, "").await == 0).then_some(());
        wait_until(&format!("{metric} is 0"), is_zero).await;
    }
    cluster.finish().await;
}

async fn assert_refused(client: &Client, namespace: &Namespace, order: &serde_json::Value) {
    let response = client.send(client.purchase_request(&namespace.name("now"), order)).await.expect_status(503);
    assert!(response.header("retry-after").is_some(), "{response:?}");
    assert!(response.problem().detail.contains("waits to be published"), "{response:?}");
}

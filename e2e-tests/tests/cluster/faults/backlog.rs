//! Too much waits for the broker: the ingress stage is closed, before the journal outgrows the disk.

use serde_json::json;

use crate::cluster::harness::{Cluster, metric_of, metric_reaches};
use crate::scenarios::harness::{Client, Corner, Load, until};

/// A few batches' worth.
const BYTES_MAX: &str = "200000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_in_is_closed_while_too_much_waits_for_the_broker_and_opened_again() {
    let mut cluster = Cluster::start_without_engines().await;
    cluster.engines.start().await;
    cluster.start_all(&[("BACKLOG_BYTES_MAX", BYTES_MAX)]).await;
    let client = cluster.client.clone();
    let mut load = Load::prepare(&client, 200).await;
    let corner = Corner::new();
    let sku = corner.name("lamp");
    client.offer_for(&sku, "1.00", "GBP").await;
    let order = json!({"customer": corner.name("alice"), "pay_in": "GBP", "lines": [{"sku": sku, "quantity": 1}]});

    cluster.engines.rabbitmq(&["stop"]).await;
    // The senders end when they are refused.
    load.note(load.send(&client).end().await);
    assert!(load.answered() > 0 && load.answered() < load.len(), "{}", load.answered());
    refused(&client, &corner, &order).await;
    let purchase = client.at.purchase.clone();
    metric_reaches(&client, &purchase, "journal_unpublished_bytes", "", BYTES_MAX.parse().unwrap()).await;
    metric_reaches(&client, &purchase, "journal_unpublished_max_bytes", "", BYTES_MAX.parse().unwrap()).await;
    metric_reaches(&client, &purchase, "journal_unpublished_frames", "", 2).await;
    // What is there can be read all the same.
    client.get(&client.offer_url(&sku)).await.is(200);

    cluster.engines.rabbitmq(&["start"]).await;
    let key = corner.name("later");
    let taken = async || Some(client.send(client.purchase(&key, &order)).await).filter(|answer| answer.status != 503);
    until("purchases are taken in again", taken).await.purchase();
    load.all_have_their_outcome(&client).await;
    load.each_had_one_effect(&client).await;
    for waiting in ["journal_unpublished_bytes", "journal_unpublished_frames"] {
        let look = async || (metric_of(&client, &purchase, waiting, "").await == 0).then_some(());
        until(&format!("{waiting} is 0"), look).await;
    }
    cluster.finish().await;
}

async fn refused(client: &Client, corner: &Corner, order: &serde_json::Value) {
    let answer = client.send(client.purchase(&corner.name("now"), order)).await.is(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.problem().detail.contains("waits to be published"), "{answer:?}");
}

//! Deleted streams: the producer creates a stream again from its journal.

use stage::{Partition, StreamPartition};

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, metric_sum, wait_for_metric};
use crate::scenarios::harness::{Load, wait_until};

const DUPLICATES: &str = "stage_duplicate_frames_total";

async fn delete(cluster: &Cluster, target: &str) {
    cluster.streams().delete(&parsed(target)).await;
}

/// The number of messages in a stream; `None` if it does not exist.
async fn messages(cluster: &Cluster, target: &str) -> Option<i64> {
    cluster.streams().count(&parsed(target)).await.map(i64::from)
}

fn parsed(target: &str) -> StreamPartition {
    let (stream, partition) = target.split_once('/').unwrap();
    StreamPartition { stream: stream.to_owned().into(), partition: Partition(partition.parse().unwrap()) }
}

/// Returns once a stream contains all frames that were ever emitted to it. (The broker counts every few seconds.)
async fn wait_until_complete(cluster: &Cluster, producer: &str, target: &str) {
    let frames = emitted_frames(cluster, producer, target).await;
    let complete = async || messages(cluster, target).await.filter(|count| *count == frames + 1);
    wait_until(&format!("{target} has {frames} frames and a marker"), complete).await;
}

/// The number of frames that a service has emitted to a stream partition.
async fn emitted_frames(cluster: &Cluster, service: &str, target: &str) -> i64 {
    let count = format!("SELECT count(*) FROM journal WHERE target = '{target}'");
    cluster.database(service).await.number(&count).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_deleted_under_load_is_created_again_and_loses_nothing() {
    let mut test = FaultTest::start_on_shared_servers().await;
    for target in ["purchases/0", "outcomes/1"] {
        delete(&test.cluster, target).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_deleted_while_idle_is_created_again_with_all_frames() {
    let mut cluster = FaultTest::start_on_shared_servers().await.assert_recovery().await;
    let rates = cluster.database("exchange-rate").await.texts("SELECT DISTINCT target FROM journal").await;
    let lost =
        [("exchange-rate", "purchase", "copy-rates", rates[0].as_str()), ("ledger", "ledger", "post", "credits/1")];
    for (producer, reader, stage, target) in lost {
        let url = cluster.instance(reader).url();
        let label = format!("stage=\"{stage}\"");
        let before = metric_sum(&cluster.client, &url, DUPLICATES, &label).await;
        delete(&cluster, target).await;
        let frames = emitted_frames(&cluster, producer, target).await;
        assert!(frames > 0, "no frame was ever emitted to {target}");
        // The reader gets every frame again and drops it. Besides them the stream contains a marker.
        let all = before + u64::try_from(frames).unwrap();
        wait_for_metric(&cluster.client, &url, DUPLICATES, &label, all).await;
        wait_until_complete(&cluster, producer, target).await;
    }
    cluster.wait_until_ready().await;
    // A reader whose resume point is from the earlier incarnation reads from the start, and continues where it was.
    for service in ["ledger", "purchase"] {
        cluster.kill_and_start_again(service).await;
    }
    let mut load = Load::prepare(&cluster.client, 5).await;
    let received = load.send(&cluster.client).finish().await;
    load.record(received);
    load.assert_all_have_outcomes(&cluster.client).await;
    load.assert_one_effect_each(&cluster.client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_deleted_while_its_producer_is_down_is_created_again_when_the_producer_is_back() {
    let mut test = FaultTest::start_on_shared_servers().await;
    test.cluster.instance("ledger").kill().await;
    for target in ["outcomes/0", "credits/0"] {
        delete(&test.cluster, target).await;
    }
    test.sending.wait_for_batches(BATCHES).await;
    // The reader waits for the producer, and does not create the stream.
    assert_eq!(messages(&test.cluster, "outcomes/0").await, None);
    test.cluster.launch("ledger", &[]);
    let cluster = test.assert_recovery().await;
    for target in ["outcomes/0", "credits/0"] {
        wait_until_complete(&cluster, "ledger", target).await;
    }
    cluster.finish().await;
}

//! The broker silently loses many of its newest messages: the streams keep their incarnation.

use std::time::Instant;

use dataflow::message::BrokerMessage;
use stage::{Partition, StreamPartition};

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, metric_sum, wait_for_metric};
use crate::scenarios::harness::{Load, Namespace, WAIT_TIMEOUT, run_to_end, wait_until};

/// The number of lost messages of one producer, many times what is ever unconfirmed or read ahead.
const LOST: usize = 20_000;
/// The number of messages in a long stream.
const LONG: usize = 1_000_000;
/// The number of parts in which a long stream is written. Each part is read before the next one is written.
const PARTS: usize = 20;
/// The maximum number of messages in the part that was written last.
const PART: usize = 10_000;

fn purchases(partition: u16) -> StreamPartition {
    StreamPartition::new("purchases", Partition(partition))
}

/// Kills the broker, and starts it again with the data that it had at [`save_broker_state`].
async fn restore_broker_state(cluster: &Cluster) {
    cluster.servers.rabbitmq(&["kill"]).await;
    cluster.servers.restore_broker_disk().await;
    cluster.servers.rabbitmq(&["start"]).await;
}

/// Saves the data of the broker, which has to stop for a moment.
async fn save_broker_state(cluster: &Cluster) {
    cluster.servers.rabbitmq(&["stop"]).await;
    cluster.servers.save_broker_disk().await;
    cluster.servers.rabbitmq(&["start"]).await;
    cluster.wait_until_ready().await;
}

/// Returns once the stream contains every frame of the purchase service's journal.
async fn wait_until_complete(cluster: &Cluster, target: &StreamPartition) {
    let count = format!("SELECT count(*) FROM journal WHERE target = '{target}'");
    let frames = cluster.database("purchase").await.number(&count).await;
    let frames = usize::try_from(frames).unwrap();
    let complete = async || (cluster.streams().distinct_frames(target).await.len() == frames).then_some(());
    wait_until(&format!("{target} contains all {frames} frames"), complete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_messages_lost_while_the_reader_runs_are_published_again() {
    let mut test = FaultTest::start().await;
    save_broker_state(&test.cluster).await;
    test.sending.wait_for_batches(5 * BATCHES).await;
    test.cluster.streams().append_markers(&purchases(0), LOST).await;
    test.sending.wait_for_batches(5 * BATCHES).await;
    restore_broker_state(&test.cluster).await;
    let cluster = test.assert_recovery().await;
    wait_until_complete(&cluster, &purchases(0)).await;
    cluster.finish().await;
}

/// When the reader comes back, its resume point is beyond the end of the stream, and nobody publishes any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_messages_lost_while_the_reader_is_down_are_published_again_on_a_quiet_stream() {
    let mut test = FaultTest::start().await;
    save_broker_state(&test.cluster).await;
    test.cluster.streams().append_markers(&purchases(0), LOST).await;
    test.sending.wait_for_batches(5 * BATCHES).await;
    test.cluster.instance("ledger").kill().await;
    test.sending.wait_for_batches(5 * BATCHES).await;
    test.load.stop(test.sending).await;
    restore_broker_state(&test.cluster).await;
    wait_until_complete(&test.cluster, &purchases(0)).await;
    wait_until_complete(&test.cluster, &purchases(1)).await;
    test.cluster.launch("ledger", &[]);
    test.cluster.wait_until_ready().await;
    let FaultTest { cluster, mut load, .. } = test;
    load.assert_all_have_outcomes(&cluster.client).await;
    load.assert_one_effect_each(&cluster.client).await;
    cluster.finish().await;
}

/// `/readyz` names a frame that the reader cannot get, even if nothing more is published, until an operator has it
/// published again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_frame_in_a_quiet_stream_is_named_until_it_is_published_again() {
    let mut cluster = Cluster::start_on_shared_servers().await;
    let mut load = Load::prepare(&cluster.client, 20).await;
    cluster.instance("ledger").kill().await;
    load.record(load.send(&cluster.client).finish().await);
    wait_until_complete(&cluster, &purchases(1)).await;
    cluster.terminate_all().await;
    let target = purchases(1);
    let mut messages = cluster.streams().messages(&target).await;
    // The last frame, so that no later frame follows it.
    let message = messages.iter_mut().rfind(|message| !message.is_marker()).expect("a frame");
    let (mut damaged, session) = (message.frame(&target).expect("a frame"), message.session().expect("a session"));
    damaged.body.push(' ');
    *message = BrokerMessage::of_frame(&damaged, message.incarnation().expect("an incarnation"), session);
    cluster.streams().recreate(&target, messages).await;

    for service in ["purchase", "ledger"] {
        cluster.launch(service, &[]);
    }
    let missing = format!("frame {} of accept/0 in purchases/1 did not come", damaged.seq);
    cluster.instance("ledger").wait_until_not_ready(&missing).await;
    let (client, ledger) = (cluster.client.clone(), cluster.client.addresses.ledger.clone());
    wait_for_metric(&client, &ledger, "stage_missing_frames", "partition=\"1\"", 1).await;
    wait_for_metric(&client, &ledger, "stage_lag_frames", "partition=\"1\"", 1).await;
    let url = cluster.servers.database_url("purchase");
    let republish =
        run_to_end(&["republish", "--service", "purchase", "--database", &url, "--stream", "purchases"]).await;
    assert_eq!(republish.status.code(), Some(0), "{republish:?}");
    cluster.wait_until_ready().await;
    assert_eq!(metric_sum(&client, &ledger, "stage_missing_frames", "").await, 0);
    load.assert_all_have_outcomes(&client).await;
    load.assert_one_effect_each(&client).await;
    cluster.finish().await;
}

/// The sums of four counters over all services: frames published, messages read back by publishers, messages read by
/// readers, and duplicate frames among them.
async fn traffic(cluster: &Cluster) -> [u64; 4] {
    let mut sums = [0; 4];
    let metrics = [
        "stream_published_frames_total",
        "stream_read_back_messages_total",
        "stream_read_messages_total",
        "stage_duplicate_frames_total",
    ];
    for url in cluster.client.all_urls("") {
        for (sum, metric) in sums.iter_mut().zip(metrics) {
            *sum += metric_sum(&cluster.client, &url, metric, "").await;
        }
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_a_loss_publishes_nothing_twice_and_reads_almost_nothing_again() {
    let mut test = FaultTest::start().await;
    test.sending.wait_for_batches(5 * BATCHES).await;
    test.load.stop(test.sending).await;
    let FaultTest { mut cluster, mut load, .. } = test;
    load.assert_all_have_outcomes(&cluster.client).await;
    // Each of the seven stream partitions gets a new marker, and contains one from before the stop.
    cluster.terminate_all().await;
    cluster.start_all(&[]).await;
    let [published, read_back, read, duplicates] = traffic(&cluster).await;
    eprintln!("services restarted: {published} published, {read_back} read back, {read} read, {duplicates} duplicates");
    assert_eq!((published, duplicates), (0, 0));
    assert!(read_back <= 40 && read <= 40, "{read_back} {read}");
    // After a restart of the broker all publishers attach again.
    cluster.servers.rabbitmq(&["kill"]).await;
    cluster.servers.rabbitmq(&["start"]).await;
    let again = async || (traffic(&cluster).await[1] > read_back).then_some(());
    wait_until("a publisher has attached again", again).await;
    cluster.wait_until_ready().await;
    let [published, read_back, read, duplicates] = traffic(&cluster).await;
    eprintln!("broker restarted: {published} published, {read_back} read back, {read} read, {duplicates} duplicates");
    assert_eq!((published, duplicates), (0, 0));
    assert!(read_back <= 120 && read <= 120, "{read_back} {read}");
    for target in [purchases(0), purchases(1)] {
        let frames = cluster.streams().frames(&target).await.len();
        assert_eq!(frames, cluster.streams().distinct_frames(&target).await.len(), "{target} contains a frame twice");
    }
    cluster.finish().await;
}

/// The number of messages that are read again after an outage does not grow with the stream. A service that is ready
/// processes frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_takes_no_longer_with_a_long_stream() {
    let cluster = Cluster::start().await;
    let (client, namespace) = (cluster.client.clone(), Namespace::new());
    let sku = namespace.name("lamp");
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    let order = namespace.order(&namespace.name("alice"), "GBP", &[&sku]);
    client.buy(&namespace.name("before"), &order).await.expect_status(201);
    let read = async || traffic(&cluster).await[2];
    let at_start = read().await;
    for part in 1..=PARTS {
        for partition in [0, 1] {
            cluster.streams().append_markers(&purchases(partition), LONG / PARTS / 2).await;
        }
        let least = at_start + u64::try_from(part * LONG / PARTS).unwrap();
        wait_until("the ledger has read the part", async || (read().await >= least).then_some(())).await;
    }
    client.buy(&namespace.name("long"), &order).await.expect_status(201);
    let least = LONG / 2 - PART;
    let both = format!("SELECT count(*) FROM publish_positions WHERE target LIKE 'purchases/%' AND place > {least}");
    let mut database = cluster.database("purchase").await;
    wait_until("the publish positions are stored", async || (database.number(&both).await == 2).then_some(())).await;

    let before = traffic(&cluster).await;
    cluster.servers.rabbitmq(&["kill"]).await;
    cluster.servers.rabbitmq(&["start"]).await;
    let started = Instant::now();
    let again = async || (traffic(&cluster).await[1] > before[1]).then_some(());
    wait_until("a publisher has attached again", again).await;
    cluster.wait_until_ready().await;
    let ready = started.elapsed();
    client.buy(&namespace.name("after"), &order).await.expect_status(201);
    let settled = started.elapsed();
    eprintln!("{LONG} messages: ready {ready:?} after the start of the broker, a purchase settled after {settled:?}");
    assert!(settled < WAIT_TIMEOUT, "{settled:?}");
    let after = traffic(&cluster).await;
    let [_, read_back, read, _] = [0, 1, 2, 3].map(|at: usize| after[at] - before[at]);
    // At most the messages since the last stored position of each stream are read back.
    let most = u64::try_from(2 * PART).unwrap() + 200;
    assert!(read_back <= most && read <= 200, "{read_back} messages read back, {read} read");
    cluster.finish().await;
}

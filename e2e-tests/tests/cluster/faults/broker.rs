//! The broker is unavailable, and comes back with or without its data.

use std::time::{Duration, Instant};

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, services};
use crate::scenarios::harness::wait_until;

/// The duration of an outage.
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_are_accepted_while_the_broker_is_down_and_settled_when_it_is_back() {
    let mut test = FaultTest::start().await;
    let servers = &test.cluster.servers;
    servers.rabbitmq(&["stop"]).await;
    let stopped = Instant::now();
    let before = test.sending.answered_batches();
    for service in services() {
        test.cluster.instance(service).wait_until_not_ready("broker").await;
    }
    while stopped.elapsed() < OUTAGE {
        test.sending.wait_for_batches(BATCHES).await;
    }
    let accepted = test.sending.answered_batches() - before;
    eprintln!("{accepted} batches were accepted while the broker was down");
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_the_broker_under_load_loses_nothing() {
    let test = FaultTest::start().await;
    test.cluster.servers.rabbitmq(&["kill"]).await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_of_the_brokers_disk_under_load_loses_nothing() {
    let test = FaultTest::start().await;
    for command in ["kill", "wipe", "start"] {
        test.cluster.servers.rabbitmq(&[command]).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_kills_of_the_broker_under_load_lose_nothing() {
    let mut test = FaultTest::start().await;
    for _ in 0..3 {
        test.cluster.servers.rabbitmq(&["kill"]).await;
        test.cluster.servers.rabbitmq(&["start"]).await;
        test.sending.wait_for_batches(1).await;
    }
    test.assert_recovery().await.finish().await;
}

/// The broker confirms messages before an fsync, so a crash of its machine can lose the newest messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_messages_are_published_again_after_a_crash_of_the_brokers_machine() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.rabbitmq(&["stop"]).await;
    test.cluster.servers.save_broker_disk().await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.cluster.wait_until_ready().await;
    test.sending.wait_for_batches(5 * BATCHES).await;

    test.cluster.servers.rabbitmq(&["kill"]).await;
    test.cluster.servers.restore_broker_disk().await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_broker_makes_services_not_ready_and_they_recover() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.signal_broker("STOP").await;
    let stopped = Instant::now();
    for service in services() {
        test.cluster.instance(service).wait_until_not_ready("broker does not answer").await;
    }
    while stopped.elapsed() < OUTAGE {
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.cluster.servers.signal_broker("CONT").await;
    test.assert_recovery().await.finish().await;
}

/// A broker without memory or disk space blocks publishers, and still delivers to readers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_memory_makes_services_not_ready_and_gets_everything_later() {
    let mut test = FaultTest::start().await;
    let memory = async |cluster: &Cluster, share| {
        cluster.servers.rabbitmq(&["ctl", "set_vm_memory_high_watermark", share]).await;
    };
    memory(&test.cluster, "0.000001").await;
    let short = Instant::now();
    test.cluster.instance("purchase").wait_until_not_ready("broker does not answer").await;
    while short.elapsed() < OUTAGE {
        test.sending.wait_for_batches(1).await;
        let readyz = test.cluster.instance("purchase").readyz().await;
        assert_eq!(readyz.map(|response| response.status), Some(503));
    }
    memory(&test.cluster, "0.4").await;
    let cluster = test.assert_recovery().await;
    wait_for_connections(&cluster).await;
    cluster.finish().await;
}

/// Waits until each service has one connection to publish and one to read, and no other connection remains.
async fn wait_for_connections(cluster: &Cluster) {
    let connections = async || {
        let listed = cluster.servers.rabbitmq(&["ctl", "-q", "list_connections", "--no-table-headers", "pid"]).await;
        (listed.lines().count() == 2 * services().len()).then_some(())
    };
    wait_until("no other connection remains", connections).await;
}

/// Nothing is sent that could fail: the publishers have to look by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_connections_of_an_idle_system_are_replaced() {
    let cluster = Cluster::start().await;
    wait_for_connections(&cluster).await;
    cluster.servers.rabbitmq(&["ctl", "-q", "close_all_connections", "test"]).await;
    wait_for_connections(&cluster).await;
    cluster.wait_until_ready().await;
    FaultTest::start_on(cluster).await.assert_recovery().await.finish().await;
}

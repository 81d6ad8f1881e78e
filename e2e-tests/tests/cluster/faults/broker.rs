//! The broker goes away, and comes back with or without what it had.

use std::time::{Duration, Instant};

use super::{BATCHES, Scene};
use crate::cluster::harness::{Cluster, SERVICES};
use crate::scenarios::harness::until;

/// How long it is away.
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_are_accepted_while_the_broker_is_away_and_settled_when_it_is_back() {
    let mut scene = Scene::begin().await;
    let engines = &scene.cluster.engines;
    engines.rabbitmq(&["stop"]).await;
    let away = Instant::now();
    let before = scene.sending.count();
    for service in SERVICES {
        scene.cluster.instance(service).is_not_ready("broker").await;
    }
    while away.elapsed() < OUTAGE {
        scene.sending.goes_on(BATCHES).await;
    }
    let accepted = scene.sending.count() - before;
    eprintln!("{accepted} batches were accepted while the broker was away");
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_killed_under_load_loses_nothing() {
    let scene = Scene::begin().await;
    scene.cluster.engines.rabbitmq(&["kill"]).await;
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_disk_lost_under_load_loses_nothing() {
    let scene = Scene::begin().await;
    for command in ["kill", "wipe", "start"] {
        scene.cluster.engines.rabbitmq(&[command]).await;
    }
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_again_and_again_under_load_loses_nothing() {
    let mut scene = Scene::begin().await;
    for _ in 0..3 {
        scene.cluster.engines.rabbitmq(&["kill"]).await;
        scene.cluster.engines.rabbitmq(&["start"]).await;
        scene.sending.goes_on(1).await;
    }
    scene.all_is_well().await.finish().await;
}

/// A confirm is no fsync: a crash of the machine takes what was written last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_messages_lost_with_the_brokers_machine_are_published_again() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.rabbitmq(&["stop"]).await;
    scene.cluster.engines.keep_broker().await;
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.cluster.are_ready().await;
    scene.sending.goes_on(5 * BATCHES).await;

    scene.cluster.engines.rabbitmq(&["kill"]).await;
    scene.cluster.engines.restore_broker().await;
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_is_told_and_found_again() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.signal_broker("STOP").await;
    let away = Instant::now();
    for service in SERVICES {
        scene.cluster.instance(service).is_not_ready("broker does not answer").await;
    }
    while away.elapsed() < OUTAGE {
        scene.sending.goes_on(BATCHES).await;
    }
    scene.cluster.engines.signal_broker("CONT").await;
    scene.all_is_well().await.finish().await;
}

/// Without memory or disk space a broker takes nothing from those who publish, and goes on giving to readers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_memory_is_told_and_gets_everything_later() {
    let mut scene = Scene::begin().await;
    let memory = async |cluster: &Cluster, share| {
        cluster.engines.rabbitmq(&["ctl", "set_vm_memory_high_watermark", share]).await;
    };
    memory(&scene.cluster, "0.000001").await;
    let short = Instant::now();
    scene.cluster.instance("purchase").is_not_ready("broker does not answer").await;
    while short.elapsed() < OUTAGE {
        scene.sending.goes_on(1).await;
        let readyz = scene.cluster.instance("purchase").readyz().await;
        assert_eq!(readyz.map(|answer| answer.status), Some(503));
    }
    memory(&scene.cluster, "0.4").await;
    let cluster = scene.all_is_well().await;
    // One to publish and one to read for each service: none was left behind.
    let connections = async || {
        let listed = cluster.engines.rabbitmq(&["ctl", "-q", "list_connections", "--no-table-headers", "pid"]).await;
        (listed.lines().count() == 2 * SERVICES.len()).then_some(())
    };
    until("no connection is left behind", connections).await;
    cluster.finish().await;
}

//! `kill -9` of a service.

use std::time::Duration;

use super::{BATCHES, Scene};
use crate::cluster::harness::{Cluster, SERVICES};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_killed_under_load_goes_on_where_it_was() {
    let mut scene = Scene::begin().await;
    for service in SERVICES {
        scene.cluster.kill_and_start_again(service).await;
        scene.sending.goes_on(BATCHES).await;
    }
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_killed_at_once_under_load_goes_on_where_it_was() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.rabbitmq(&["kill"]).await;
    for service in SERVICES {
        scene.cluster.instance(service).kill().await;
    }
    scene.cluster.engines.postgres(&["immediate-restart"]).await;
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.cluster.start_all(&[]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_again_before_it_is_ready_goes_on_where_it_was() {
    let mut scene = Scene::begin().await;
    for service in ["ledger", "purchase", "ledger", "purchase"] {
        scene.cluster.instance(service).kill().await;
        // Each time it is killed amid another part of its start.
        for wait_ms in [5, 20, 50, 100, 200, 400] {
            scene.cluster.launch(service, &[]);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            scene.cluster.instance(service).kill().await;
        }
        scene.cluster.launch(service, &[]);
        scene.cluster.instance(service).is_ready().await;
        scene.sending.goes_on(BATCHES).await;
    }
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_built_in_history_is_imported_it_imports_it_again() {
    let mut cluster = Cluster::start_without_engines().await;
    cluster.engines.start().await;
    for wait_ms in [50, 100, 150, 200, 300, 500, 700] {
        cluster.launch("exchange-rate", &[]);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        cluster.instance("exchange-rate").kill().await;
    }
    cluster.start_all(&[]).await;
    let quote = cluster.client.rate_at("EUR/GBP", "2010-12-01T12:00:00Z".parse().unwrap()).await.is(200);
    assert_eq!(quote.json::<contracts::RateQuote>().rate, "0.8393");
    Scene::on(cluster).await.all_is_well().await.finish().await;
}

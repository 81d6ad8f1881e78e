//! The database server goes away under everybody at once.

use super::{BATCHES, Scene};
use crate::cluster::harness::SERVICES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_restarted_as_after_a_crash_under_load_loses_nothing() {
    let mut scene = Scene::begin().await;
    for _ in 0..3 {
        scene.cluster.engines.postgres(&["immediate-restart"]).await;
        scene.sending.goes_on(BATCHES).await;
    }
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_away_is_told_and_its_return_found() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.postgres(&["stop"]).await;
    for service in SERVICES {
        scene.cluster.instance(service).is_not_ready("database").await;
    }
    scene.cluster.engines.postgres(&["start"]).await;
    scene.all_is_well().await.finish().await;
}

//! SIGTERM to all of it.

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_services_stopped_under_load_end_in_time_and_go_on_when_started_again() {
    let mut scene = Scene::begin().await;
    scene.cluster.stop_all().await;
    scene.cluster.start_all(&[]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_is_away_end_in_time_too() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.rabbitmq(&["stop"]).await;
    scene.cluster.instance("purchase").is_not_ready("broker").await;
    scene.cluster.stop_all().await;
    scene.cluster.engines.rabbitmq(&["start"]).await;
    scene.cluster.start_all(&[]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_stands_still_end_in_time_too() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.signal_broker("STOP").await;
    scene.sending.goes_on(1).await;
    scene.cluster.stop_all().await;
    scene.cluster.engines.signal_broker("CONT").await;
    scene.cluster.start_all(&[]).await;
    scene.all_is_well().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_database_stands_still_end_in_time_too() {
    let mut scene = Scene::begin().await;
    scene.cluster.engines.signal_postgres("STOP").await;
    scene.cluster.terminate_all().await;
    scene.cluster.engines.signal_postgres("CONT").await;
    scene.cluster.start_all(&[]).await;
    scene.all_is_well().await.finish().await;
}

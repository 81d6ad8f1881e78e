//! SIGTERM to all of it.

use super::FaultTest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_services_stopped_under_load_end_in_time_and_go_on_when_started_again() {
    let mut test = FaultTest::start().await;
    test.cluster.stop_all().await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_is_away_end_in_time_too() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.rabbitmq(&["stop"]).await;
    test.cluster.instance("purchase").wait_until_not_ready("broker").await;
    test.cluster.stop_all().await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_stands_still_end_in_time_too() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.signal_broker("STOP").await;
    test.sending.wait_for_batches(1).await;
    test.cluster.stop_all().await;
    test.cluster.servers.signal_broker("CONT").await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_database_stands_still_end_in_time_too() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.signal_postgres("STOP").await;
    test.cluster.terminate_all().await;
    test.cluster.servers.signal_postgres("CONT").await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

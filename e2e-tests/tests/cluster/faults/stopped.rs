//! SIGTERM to all services at once.

use super::FaultTest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_services_stopped_under_load_end_in_time_and_continue_after_a_restart() {
    let mut test = FaultTest::start_on_shared_servers().await;
    test.cluster.stop_all().await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_is_down_end_in_time() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.rabbitmq(&["stop"]).await;
    test.cluster.instance("purchase").wait_until_not_ready("broker").await;
    test.cluster.stop_all().await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_broker_is_suspended_end_in_time() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.signal_broker("STOP").await;
    test.sending.wait_for_batches(1).await;
    test.cluster.stop_all().await;
    test.cluster.servers.signal_broker("CONT").await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_stopped_while_the_database_is_suspended_end_in_time() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.signal_postgres("STOP").await;
    test.cluster.terminate_all().await;
    test.cluster.servers.signal_postgres("CONT").await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

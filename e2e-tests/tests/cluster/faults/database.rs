//! The database server of all services fails.

use super::{BATCHES, FaultTest};
use crate::cluster::harness::services;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_restarts_of_postgres_under_load_lose_nothing() {
    let mut test = FaultTest::start().await;
    for _ in 0..3 {
        test.cluster.servers.postgres(&["immediate-restart"]).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_postgres_makes_services_not_ready_and_they_recover() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.postgres(&["stop"]).await;
    for service in services() {
        test.cluster.instance(service).wait_until_not_ready("database").await;
    }
    test.cluster.servers.postgres(&["start"]).await;
    test.assert_recovery().await.finish().await;
}

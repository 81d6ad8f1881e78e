//! The database server goes away under everybody at once.

use super::{BATCHES, FaultTest};
use crate::cluster::harness::SERVICES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_restarted_as_after_a_crash_under_load_loses_nothing() {
    let mut test = FaultTest::start().await;
    for _ in 0..3 {
        test.cluster.servers.postgres(&["immediate-restart"]).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_away_is_told_and_its_return_found() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.postgres(&["stop"]).await;
    for service in SERVICES {
        test.cluster.instance(service).wait_until_not_ready("database").await;
    }
    test.cluster.servers.postgres(&["start"]).await;
    test.assert_recovery().await.finish().await;
}

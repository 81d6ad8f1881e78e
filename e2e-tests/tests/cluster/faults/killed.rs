//! SIGKILL to services.

use std::time::Duration;

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, Programs, services};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_killed_under_load_continues_where_it_was() {
    let mut test = FaultTest::start_on_shared_servers().await;
    for service in services() {
        test.cluster.kill_and_start_again(service).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_killed_at_once_under_load_continues_where_it_was() {
    let mut test = FaultTest::start().await;
    test.cluster.servers.rabbitmq(&["kill"]).await;
    for service in services() {
        test.cluster.instance(service).kill().await;
    }
    test.cluster.servers.postgres(&["immediate-restart"]).await;
    test.cluster.servers.rabbitmq(&["start"]).await;
    test.cluster.start_all(&[]).await;
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_again_before_it_is_ready_continues_where_it_was() {
    let mut test = FaultTest::start_on_shared_servers().await;
    for service in ["ledger", "purchase", "ledger", "purchase"] {
        test.cluster.instance(service).kill().await;
        // Each kill interrupts another part of the start.
        for wait_ms in [5, 20, 50, 100, 200, 400] {
            test.cluster.launch(service, &[]);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            test.cluster.instance(service).kill().await;
        }
        test.cluster.launch(service, &[]);
        test.cluster.instance(service).wait_until_ready().await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    test.assert_recovery().await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_the_import_of_the_built_in_history_it_imports_it_again() {
    let mut cluster = Cluster::on_shared_servers(Programs::unbundled()).await;
    for wait_ms in [50, 100, 150, 200, 300, 500, 700] {
        cluster.launch("exchange-rate", &[]);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        cluster.instance("exchange-rate").kill().await;
    }
    cluster.start_all(&[]).await;
    let quote = cluster.client.rate_at("EUR/GBP", "2010-12-01T12:00:00Z".parse().unwrap()).await.expect_status(200);
    assert_eq!(quote.json::<contracts::RateQuote>().rate, "0.8393");
    FaultTest::start_on(cluster).await.assert_recovery().await.finish().await;
}

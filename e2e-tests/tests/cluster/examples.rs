//! The services of `examples/` as processes of their own on RabbitMQ and Postgres.

use crate::cluster::harness::{Cluster, Programs};
use crate::scenarios::harness::{assert_points, assert_tier, earn_points};

/// A cluster of all services and loyalty, which this program runs.
async fn with_loyalty(system: &'static str, program: &'static str) -> Cluster {
    let mut programs = Programs { system, ..Programs::unbundled() };
    programs.services.push(("loyalty", program));
    let mut cluster = Cluster::on_shared_servers(programs).await;
    cluster.start_all(&[]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_its_own_reads_what_was_published_while_it_was_down() {
    let mut cluster = with_loyalty("unbundled-with-loyalty", "loyalty").await;
    cluster.instance("loyalty").kill().await;
    let customer = earn_points(&cluster.client).await;
    cluster.launch("loyalty", &[]);
    cluster.wait_until_ready().await;
    let url = cluster.instance("loyalty").url();
    assert_points(&cluster.client, &url, &customer, 12).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_added_to_a_service_reads_its_stream() {
    let mut cluster = with_loyalty("unbundled-with-tiers", "loyalty-tiers").await;
    let (customer, url) = (earn_points(&cluster.client).await, cluster.instance("loyalty").url());
    assert_points(&cluster.client, &url, &customer, 12).await;
    assert_tier(&cluster.client, &url, &customer, "silver").await;
    cluster.finish().await;
}

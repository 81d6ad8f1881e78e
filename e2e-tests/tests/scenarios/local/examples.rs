//! The services of `examples/` in one process with all others.

use crate::scenarios::harness::{LocalSystem, assert_points, assert_tier, earn_points};

#[tokio::test]
async fn a_service_of_its_own_joins_two_streams_of_others() {
    let mut local = LocalSystem::start_program("unbundled-with-loyalty").await;
    let customer = earn_points(&local.client).await;
    assert_points(&local.client, &local.url_of("loyalty"), &customer, 12).await;
    // What it has read and awarded is still there after a restart.
    local.stop().await;
    local.start_again(&[]).await;
    assert_points(&local.client, &local.url_of("loyalty"), &customer, 12).await;
    local.finish().await;
}

#[tokio::test]
async fn a_stage_added_to_a_service_reads_its_stream() {
    let local = LocalSystem::start_program("unbundled-with-tiers").await;
    let (customer, url) = (earn_points(&local.client).await, local.url_of("loyalty"));
    assert_points(&local.client, &url, &customer, 12).await;
    assert_tier(&local.client, &url, &customer, "silver").await;
    local.finish().await;
}

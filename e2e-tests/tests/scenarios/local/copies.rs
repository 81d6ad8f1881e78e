//! A restart does not change the age of a local copy.

use contracts::LocalCopy;

use crate::scenarios::harness::{Client, LocalSystem, Namespace};

async fn rates(client: &Client) -> LocalCopy {
    let copies: Vec<LocalCopy> =
        client.get(&format!("{}/copies", client.addresses.purchase)).await.expect_status(200).json();
    let [copy] = copies.try_into().unwrap();
    copy
}

#[tokio::test]
async fn after_a_restart_a_copy_has_the_same_version_and_is_not_younger() {
    let (mut local, namespace) = (LocalSystem::start().await, Namespace::new());
    local.client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
    local.client.wait_for_rate_copy(&namespace, "GBP/EUR", "1.5", namespace.moment).await;
    let before = rates(&local.client).await;
    for _ in 0..2 {
        local.stop().await;
        local.start_again(&[]).await;
        let after = rates(&local.client).await;
        assert_eq!((after.version, after.newest_valid_from), (before.version, Some(namespace.moment)));
        assert_eq!((after.is_complete, after.copy, after.of), (true, before.copy.clone(), before.of.clone()));
        // After a restart the time comes from the batch record, which is written a moment before its commit.
        let earlier = before.applied_at.unwrap() - after.applied_at.unwrap();
        assert!((0..2_000).contains(&earlier.num_milliseconds()), "{before:?} {:?}", after.applied_at);
        assert!(after.age_seconds > before.age_seconds, "{before:?} {:?}", after.age_seconds);
    }
    local.finish().await;
}

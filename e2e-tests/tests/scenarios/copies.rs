//! The age of a service's local copy.

use chrono::Utc;
use contracts::LocalCopy;
use reqwest::Method;

use super::harness::{Client, Namespace, System, wait_until};

async fn rates(client: &Client) -> LocalCopy {
    let copies: Vec<LocalCopy> =
        client.get(&format!("{}/copies", client.addresses.purchase)).await.expect_status(200).json();
    let [copy] = copies.try_into().unwrap();
    copy
}

async fn metric(client: &Client, name: &str) -> f64 {
    let metrics = client.get(&format!("{}/metrics", client.addresses.purchase)).await.expect_status(200).body;
    let name = format!("{name}{{copy=\"rates\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("there is no {name}:\n{metrics}")).parse().unwrap()
}

/// On a shared system other scenarios may set rates at the same time, which only makes the copy newer.
#[tokio::test]
async fn a_new_rate_resets_the_age_of_the_copy_and_raises_its_version() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    let before = rates(client).await;
    assert_eq!((before.copy.as_str(), before.of.as_str(), before.is_complete), ("rates", "exchange-rate", true));
    assert!(before.version > 7_000, "{before:?}");
    assert!(before.newest_valid_from.unwrap() >= "2026-10-30T00:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap());

    let older = async || {
        let age = rates(client).await.age_seconds.unwrap();
        (age > 0.2 && metric(client, "local_copy_age_seconds").await > 0.2).then_some(())
    };
    wait_until("the copy is older than 0.2 s", older).await;

    let started = Utc::now();
    client.set_rate("EUR/USD", "1.25", namespace.moment).await;
    let is_newer = |copy: &LocalCopy| {
        let has_it = copy.newest_valid_from.is_some_and(|newest| newest >= namespace.moment);
        has_it && copy.version > before.version && copy.applied_at.is_some_and(|applied_at| applied_at >= started)
    };
    let newer = async || Some(rates(client).await).filter(is_newer);
    let after = wait_until("the copy has a new version", newer).await;
    let now = Utc::now();
    let (applied_at, age) = (after.applied_at.unwrap(), after.age_seconds.unwrap());
    assert!(applied_at <= now, "{after:?}");
    assert!(age >= 0.0 && age <= (now - started).as_seconds_f64(), "{after:?}");
    assert!(metric(client, "local_copy_age_seconds").await <= (Utc::now() - started).as_seconds_f64());
    #[allow(clippy::cast_precision_loss)]
    let newest = namespace.moment.timestamp() as f64;
    assert!(metric(client, "local_copy_newest_valid_from_timestamp_seconds").await >= newest);

    let posted = client.send(client.request(Method::POST, &format!("{}/copies", client.addresses.purchase))).await;
    posted.expect_status(405).problem();
    system.finish().await;
}

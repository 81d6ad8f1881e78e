//! How old a service's local copy is.

use chrono::Utc;
use contracts::LocalCopy;
use reqwest::Method;

use super::harness::{Client, Corner, System, until};

async fn rates(client: &Client) -> LocalCopy {
    let copies: Vec<LocalCopy> = client.get(&format!("{}/copies", client.at.purchase)).await.is(200).json();
    let [copy] = copies.try_into().unwrap();
    copy
}

async fn figure(client: &Client, name: &str) -> f64 {
    let metrics = client.get(&format!("{}/metrics", client.at.purchase)).await.is(200).body;
    let name = format!("{name}{{copy=\"rates\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}:\n{metrics}")).parse().unwrap()
}

/// Others may set rates at the same time where all scenarios share a system: they only make the copy newer.
#[tokio::test]
async fn a_new_rate_makes_the_copy_young_and_its_version_higher() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    let before = rates(client).await;
    assert_eq!((before.copy.as_str(), before.of.as_str(), before.is_complete), ("rates", "exchange-rate", true));
    assert!(before.version > 7_000, "{before:?}");
    assert!(before.newest_valid_from.unwrap() >= "2026-10-30T00:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap());

    let older = async || {
        let shown = rates(client).await.age_seconds.unwrap();
        (shown > 0.2 && figure(client, "local_copy_age_seconds").await > 0.2).then_some(())
    };
    until("the copy has grown older", older).await;

    let began = Utc::now();
    client.set_rate("EUR/USD", "1.25", corner.moment).await;
    let is_newer = |copy: &LocalCopy| {
        let has_it = copy.newest_valid_from.is_some_and(|newest| newest >= corner.moment);
        has_it && copy.version > before.version && copy.applied_at.is_some_and(|applied_at| applied_at >= began)
    };
    let newer = async || Some(rates(client).await).filter(is_newer);
    let after = until("the copy has a new version", newer).await;
    let now = Utc::now();
    let (applied_at, age) = (after.applied_at.unwrap(), after.age_seconds.unwrap());
    assert!(applied_at <= now, "{after:?}");
    assert!(age >= 0.0 && age <= (now - began).as_seconds_f64(), "{after:?}");
    assert!(figure(client, "local_copy_age_seconds").await <= (Utc::now() - began).as_seconds_f64());
    #[allow(clippy::cast_precision_loss)]
    let newest = corner.moment.timestamp() as f64;
    assert!(figure(client, "local_copy_newest_valid_from_timestamp_seconds").await >= newest);

    let posted = client.send(client.ask(Method::POST, &format!("{}/copies", client.at.purchase))).await;
    posted.is(405).problem();
    system.finish().await;
}

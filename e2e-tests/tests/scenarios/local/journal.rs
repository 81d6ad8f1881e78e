//! A row of the journal that is damaged before its reader gets it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::scenarios::harness::{Client, LocalSystem, Namespace, wait_until};

/// A trigger that changes the body of each new frame of a purchase.
const SPOIL: &str = "CREATE TRIGGER spoil AFTER INSERT ON journal WHEN NEW.target LIKE 'purchases/%' BEGIN \
    UPDATE journal SET body = body || ' ' WHERE producer = NEW.producer AND target = NEW.target AND seq = NEW.seq; END";
const REPAIR: &str = "DROP TRIGGER spoil; UPDATE journal SET body = rtrim(body) WHERE body LIKE '% '";

async fn detail(client: &Client) -> Option<String> {
    let readyz = client.get(&format!("{}/readyz", client.addresses.ledger)).await;
    (readyz.status == 503).then(|| readyz.problem().detail)
}

async fn missing_frames(client: &Client) -> f64 {
    let metrics = client.get(&format!("{}/metrics", client.addresses.ledger)).await.expect_status(200);
    let lines = metrics.body.lines().filter(|line| line.starts_with("stage_missing_frames{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_damaged_frame_is_named_by_readyz_and_applied_once_it_is_repaired() {
    let (local, namespace) = (LocalSystem::start().await, Namespace::new());
    let sku = namespace.name("lamp");
    local.client.put_priced_offer(&sku, "1.00", "GBP").await;
    let file = SqliteConnectOptions::new().filename(local.data().join("purchase.sqlite"));
    let mut file = SqliteConnection::connect_with(&file).await.unwrap();
    sqlx::raw_sql(SPOIL).execute(&mut file).await.unwrap();
    let order = namespace.order(&namespace.name("alice"), "GBP", &[&sku]);
    local.client.send(local.client.purchase_request(&namespace.name("1"), &order)).await.expect_status(202);

    let problem = wait_until("readyz names the frame", async || detail(&local.client).await).await;
    assert!(problem.contains("frame 1 of accept/0 in purchases/"), "{problem}");
    assert_eq!(missing_frames(&local.client).await, 1.0);
    sqlx::raw_sql(REPAIR).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let ready = async || detail(&local.client).await.is_none().then_some(());
    wait_until("the ledger is ready again", ready).await;
    local.client.buy(&namespace.name("1"), &order).await.expect_status(201);
    assert_eq!(missing_frames(&local.client).await, 0.0);
    local.finish().await;
}

//! Messages that are not frames.

use conformance::fixture::{ADDED, of};
use dataflow::Quarantined;
use sqlx::Row as _;

use super::database::Databases;

#[tokio::test]
async fn a_message_is_quarantined_once() {
    let databases = Databases::new();
    let (postgres, target) = (databases.postgres("front").await, ADDED.target(of("a")));
    let message = |incarnation: &str, offset| Quarantined {
        target: target.clone(),
        incarnation: incarnation.to_owned(),
        offset,
        reason: "no\0frame".to_owned(),
        bytes: vec![0, 255],
    };
    assert_eq!(postgres.quarantined().await.unwrap(), 0);
    postgres.quarantine(&[message("a", 1), message("a", 2), message("a", 1)]).await.unwrap();
    postgres.quarantine(&[message("a", 2), message("b", 2)]).await.unwrap();
    postgres.quarantine(&[]).await.unwrap();
    assert_eq!(postgres.quarantined().await.unwrap(), 3);
    let kept = sqlx::query("SELECT bytes FROM quarantine LIMIT 1").fetch_one(&mut databases.raw("front").await).await;
    assert_eq!(kept.unwrap().get::<Vec<u8>, _>(0), [0, 255]);
}

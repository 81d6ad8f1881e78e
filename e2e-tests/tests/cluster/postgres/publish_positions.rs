//! Stored publish positions.

use conformance::fixture::{ADDED, Collect, add, claim, of, submit};
use dataflow::{PublishPositions as _, Store};
use stage::{Partition, Producer, PublishPosition, ResumePoint, Seq, Stage as _};

use super::database::{BLOCKED, Databases, wait_for_session};

fn collect() -> Producer {
    Producer::new(Collect::NAME, Partition(0))
}

fn position_at(confirmed: u64, rewinds: u64) -> PublishPosition {
    let (offset, session) = (confirmed + 1, "session".to_owned());
    let resume = Some(ResumePoint { offset, session, frame: Some((collect(), Seq(confirmed))) });
    let (incarnation, confirmed) = (Some("incarnation".to_owned()), [(collect(), Seq(confirmed))].into());
    PublishPosition { incarnation, resume, confirmed, republish: [].into(), rewinds }
}

#[tokio::test]
async fn a_running_publisher_does_not_undo_a_rewind() {
    let databases = Databases::new();
    let (postgres, target) = (databases.postgres("front").await, ADDED.target(of("a")));
    let mut owner = claim(&Store::from(postgres.clone()), Collect::default()).await.unwrap();
    submit(&mut owner, vec![add("1", "a", 1)]).await.unwrap();
    let store_position =
        async |position: &PublishPosition| postgres.store_publish_position(&target, position).await.unwrap();
    let position = async || postgres.publish_position(&target).await.unwrap();
    assert_eq!(position().await, PublishPosition::default());
    assert!(!store_position(&position_at(1, 1)).await, "there is no rewind yet");
    assert!(store_position(&position_at(1, 0)).await);
    assert!(store_position(&position_at(2, 0)).await);
    assert_eq!(position().await, position_at(2, 0));

    let journal = |producer: &Producer| (producer.clone(), target.clone());
    let silent = Producer::new("silent", Partition(0));
    assert_eq!(postgres.republish(&[journal(&silent), journal(&collect())]).await.unwrap(), [journal(&collect())]);
    assert!(postgres.republish(&[journal(&silent)]).await.unwrap().is_empty());
    assert_eq!(postgres.republish(&[journal(&collect())]).await.unwrap(), [journal(&collect())]);
    assert!(!store_position(&position_at(3, 0)).await);
    assert_eq!(position().await, PublishPosition { republish: [collect()].into(), ..position_at(2, 2) });
    let marker = ResumePoint { offset: 7, session: "other".to_owned(), frame: None };
    let restarted = PublishPosition { resume: Some(marker), ..position_at(0, 2) };
    assert!(store_position(&restarted).await);
    assert_eq!(position().await, restarted);

    // A rewind commits while the publisher stores its position: the publisher waits for it, and is then refused.
    let (mut other, mut watcher) = (databases.raw("front").await, databases.raw("front").await);
    let rewind = "BEGIN; UPDATE publish_positions SET rewinds = rewinds + 1";
    sqlx::raw_sql(rewind).execute(&mut other).await.unwrap();
    let late = position_at(7, 2);
    let (is_stored, ()) = tokio::join!(store_position(&late), async {
        wait_for_session(&mut watcher, "front: publishing", BLOCKED).await;
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    });
    assert!(!is_stored);
    assert_eq!(position().await, PublishPosition { rewinds: 3, ..restarted });
}

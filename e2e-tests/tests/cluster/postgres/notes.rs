//! Publish positions, unpublished frames, the quarantine and leases.

use std::time::Duration;

use conformance::fixture::{ADDED, Collect, add, claim, emitted, of, submit};
use dataflow::{Leased, PublishPositions as _, Quarantined, Store};
use sqlx::Row as _;
use stage::{Partition, Producer, PublishPosition, ResumePoint, Seq, Stage as _};

use super::database::{BLOCKED, Databases, wait_for_session};

fn collect() -> Producer {
    Producer::new(Collect::NAME, Partition(0))
}

fn position_at(confirmed: u64, rewinds: u64) -> PublishPosition {
    let (offset, session) = (confirmed + 1, "session".to_owned());
    let resume = Some(ResumePoint { offset, session, frame: Some((collect(), Seq(confirmed))) });
    PublishPosition { resume, confirmed: [(collect(), Seq(confirmed))].into(), republish: [].into(), rewinds }
}

#[tokio::test]
async fn a_running_publisher_does_not_undo_a_rewind() {
    let databases = Databases::new();
    let (postgres, target) = (databases.postgres("front").await, ADDED.target(of("a")));
    let mut owner = claim(&Store::from(postgres.clone()), Collect::default()).await.unwrap();
    submit(&mut owner, vec![add("1", "a", 1)]).await.unwrap();
    let store_position =
        async |position: &PublishPosition| postgres.note_publish_position(&target, position).await.unwrap();
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

#[tokio::test]
async fn unpublished_frames_are_counted() {
    let databases = Databases::new();
    let (postgres, target) = (databases.postgres("front").await, ADDED.target(of("a")));
    let store = Store::from(postgres.clone());
    let mut owner = claim(&store, Collect::default()).await.unwrap();
    let unpublished = async |after| postgres.unpublished(&target, &collect(), Seq(after)).await.unwrap();
    assert_eq!(unpublished(0).await, []);
    for id in ["1", "2", "3"] {
        submit(&mut owner, vec![add(id, "a", 1)]).await.unwrap();
    }
    let bytes: Vec<_> =
        emitted(&store, "a").await.unwrap().iter().map(|emitted| emitted.frame.body.len() as u64).collect();
    assert_eq!(unpublished(0).await, [(Seq(3), bytes.iter().sum())]);
    assert_eq!(unpublished(2).await, [(Seq(3), bytes[2])]);
    assert_eq!(unpublished(3).await, []);
    let silent = Producer::new("silent", Partition(0));
    assert_eq!(postgres.ends(&target, &[silent, collect()]).await.unwrap(), [Seq(0), Seq(3)]);
}

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

#[tokio::test]
async fn a_lease_is_taken_over_after_its_end_and_not_before() {
    let databases = Databases::new();
    let (one, two) = (databases.postgres("front").await, databases.postgres("front").await);
    let mut raw = databases.raw("front").await;
    let lasts = Duration::from_secs(60);
    let others = |holder: &str| Leased::Others { holder: holder.to_owned() };
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
    assert_eq!(two.lease("two", lasts).await.unwrap(), others("one"));
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
    let left = "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM leases";
    let left: f64 = sqlx::query(left).fetch_one(&mut raw).await.unwrap().get(0);
    assert!((50.0..=60.0).contains(&left), "{left}");
    let over = "UPDATE leases SET until = clock_timestamp()";
    sqlx::query(over).execute(&mut raw).await.unwrap();
    assert_eq!(two.lease("two", lasts).await.unwrap(), Leased::Mine);
    assert_eq!(one.lease("one", lasts).await.unwrap(), others("two"));
    one.release("one").await.unwrap();
    assert_eq!(one.lease("one", lasts).await.unwrap(), others("two"));
    two.release("two").await.unwrap();
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
}

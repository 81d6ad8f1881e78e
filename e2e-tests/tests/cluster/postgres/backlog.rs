//! The part of the journal that is not published yet.

use conformance::fixture::{ADDED, Collect, add, claim, emitted, of, submit};
use dataflow::{PublishPositions as _, Store};
use stage::{Partition, Producer, Seq, Stage as _};

use super::database::Databases;

#[tokio::test]
async fn unpublished_frames_are_counted() {
    let databases = Databases::new();
    let collect = Producer::new(Collect::NAME, Partition(0));
    let (postgres, target) = (databases.postgres("front").await, ADDED.target(of("a")));
    let store = Store::from(postgres.clone());
    let mut owner = claim(&store, Collect::default()).await.unwrap();
    let unpublished = async |after| postgres.unpublished(&target, &collect, Seq(after)).await.unwrap();
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
    assert_eq!(postgres.ends(&target, &[silent, collect.clone()]).await.unwrap(), [Seq(0), Seq(3)]);
}

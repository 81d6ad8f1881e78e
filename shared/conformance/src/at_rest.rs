//! Data changed at rest: an owner that continued from there would repeat or lose an effect, and hide the change.

use stage::{Partition, Producer, Stage as _};

use super::fixture::{ADDED, Collect, add, claim, of, submit};
use super::{Damage, Outcome, StoreFactory, open};
use dataflow::OwnerError;

async fn refuses(factory: &impl StoreFactory, damage: Damage) -> Outcome {
    let front = open(factory, "front").await?;
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    front.close().await;
    claim(&open(factory, "front").await?, Collect::default()).await?;
    factory.damage("front", damage).await?;
    let front = open(factory, "front").await?;
    let stop = claim(&front, Collect::default()).await.err();
    assert!(matches!(stop, Some(OwnerError::Stage { .. })), "{stop:?}");
    Ok(())
}

fn collect() -> Producer {
    Producer::new(Collect::NAME, Partition(0))
}

/// The newest batch record was changed.
///
/// # Errors
/// When the deployment fails.
pub async fn changed_record(factory: &impl StoreFactory) -> Outcome {
    refuses(factory, Damage::ChangedRecord(collect())).await
}

/// The newest batch record was deleted.
///
/// # Errors
/// When the deployment fails.
pub async fn deleted_record(factory: &impl StoreFactory) -> Outcome {
    refuses(factory, Damage::DeletedRecord(collect())).await
}

/// The last frame was changed.
///
/// # Errors
/// When the deployment fails.
pub async fn changed_frame(factory: &impl StoreFactory) -> Outcome {
    refuses(factory, Damage::ChangedFrame(collect(), ADDED.target(of("a")))).await
}

/// The last frame was deleted.
///
/// # Errors
/// When the deployment fails.
pub async fn deleted_frame(factory: &impl StoreFactory) -> Outcome {
    refuses(factory, Damage::DeletedFrame(collect(), ADDED.target(of("a")))).await
}

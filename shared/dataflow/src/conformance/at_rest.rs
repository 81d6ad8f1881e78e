//! Changed at rest: whoever goes on from there would repeat or lose an effect, and hide the change.

use stage::{Partition, Producer, Stage as _};

use super::fixture::{ADDED, Collect, add, claim, of, submit};
use super::{Damage, Outcome, Substrate, open};
use crate::OwnerError;

async fn refuses(substrate: &impl Substrate, damage: Damage) -> Outcome {
    let front = open(substrate, "front").await?;
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    front.close().await;
    claim(&open(substrate, "front").await?, Collect::default()).await?;
    substrate.damage("front", damage).await?;
    let front = open(substrate, "front").await?;
    let stop = claim(&front, Collect::default()).await.err();
    assert!(matches!(stop, Some(OwnerError::StageError { .. })), "{stop:?}");
    Ok(())
}

fn collect() -> Producer {
    Producer::new(Collect::NAME, Partition(0))
}

/// The newest batch record was changed.
///
/// # Errors
/// When the substrate fails.
pub async fn changed_record(substrate: &impl Substrate) -> Outcome {
    refuses(substrate, Damage::ChangedRecord(collect())).await
}

/// The newest batch record was deleted.
///
/// # Errors
/// When the substrate fails.
pub async fn deleted_record(substrate: &impl Substrate) -> Outcome {
    refuses(substrate, Damage::DeletedRecord(collect())).await
}

/// The last frame was changed.
///
/// # Errors
/// When the substrate fails.
pub async fn changed_frame(substrate: &impl Substrate) -> Outcome {
    refuses(substrate, Damage::ChangedFrame(collect(), ADDED.target(of("a")))).await
}

/// The last frame was deleted.
///
/// # Errors
/// When the substrate fails.
pub async fn deleted_frame(substrate: &impl Substrate) -> Outcome {
    refuses(substrate, Damage::DeletedFrame(collect(), ADDED.target(of("a")))).await
}

//! Commits with an unknown result: claim, then read back. There is exactly one effect in every case.

use super::fixture::{Collect, Reply, add, claim, emitted, now, submit};
use super::{Failure, Outcome, StoreFactory, open};
use crate::{CommitFault, Faults};
use dataflow::{Owner, OwnerError, Store};

/// An ingress stage whose next commits fail with these faults.
async fn in_doubt(factory: &impl StoreFactory, of: &[CommitFault]) -> Result<(Store, Owner<Collect>), Failure> {
    let faults = Faults::default();
    let front = faults.inject(&open(factory, "front").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    of.iter().for_each(|fault| faults.push(Some(*fault)));
    let stop = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::InDoubt { .. })), "{stop:?}");
    assert!(collect.is_in_doubt());
    Ok((front, collect))
}

/// Checks that the request has exactly one effect and that the owner continues.
async fn goes_on(front: &Store, collect: &mut Owner<Collect>, retry: Reply) -> Outcome {
    assert!(!collect.is_in_doubt());
    assert_eq!(submit(collect, vec![add("1", "a", 1)]).await?.1, [retry]);
    assert_eq!(submit(collect, vec![add("2", "a", 1)]).await?.1, [Reply::New]);
    assert_eq!(emitted(front, "a").await?.len(), 2);
    Ok(())
}

/// The commit was never written. This becomes known, and it can never be written later.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_before(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostBefore]).await?;
    assert!(collect.resolve(now()).await?.is_none());
    goes_on(&front, &mut collect, Reply::New).await
}

/// The commit was written. Its replies are found, and it is not repeated.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_after(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostAfter]).await?;
    let committed = collect.resolve(now()).await?.ok_or("it was written")?;
    assert_eq!(committed.frames.len(), 1);
    goes_on(&front, &mut collect, Reply::Known).await
}

/// The claim that resolves the doubt is lost itself, repeatedly.
///
/// # Errors
/// When the deployment fails.
pub async fn claim_lost_before(factory: &impl StoreFactory) -> Outcome {
    let faults = [[CommitFault::LostAfter].as_slice(), &[CommitFault::LostBefore; 4]].concat();
    let (front, mut collect) = in_doubt(factory, &faults).await?;
    let stop = collect.resolve(now()).await;
    assert!(matches!(stop, Err(OwnerError::InDoubt { .. })), "{stop:?}");
    assert!(collect.resolve(now()).await?.is_some());
    goes_on(&front, &mut collect, Reply::Known).await
}

/// The claim that resolves the doubt is written, but its reply is lost. The owner recognizes it as its own.
///
/// # Errors
/// When the deployment fails.
pub async fn claim_lost_after(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostBefore, CommitFault::LostAfter]).await?;
    assert!(collect.resolve(now()).await?.is_none());
    goes_on(&front, &mut collect, Reply::New).await
}

/// Another owner claims meanwhile. The old owner is fenced, whatever the result of its commit.
///
/// # Errors
/// When the deployment fails.
pub async fn claimed_meanwhile(factory: &impl StoreFactory) -> Outcome {
    let (front, mut old) = in_doubt(factory, &[CommitFault::LostAfter]).await?;
    let later = now() + std::time::Duration::from_secs(1);
    let id = old.id().clone();
    let mut new = Owner::claim(Collect::default(), id, front.clone(), later).await?;
    let stop = old.resolve(now()).await;
    assert!(matches!(stop, Err(OwnerError::Fenced(_))), "{stop:?}");
    goes_on(&front, &mut new, Reply::Known).await
}

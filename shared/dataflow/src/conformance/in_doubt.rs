//! A commit of unknown fate: claim, then read back. One effect, whatever became of it.

use super::fixture::{Collect, Reply, add, claim, emitted, now, submit};
use super::{Failure, Outcome, StoreFactory, open};
use crate::{CommitFault, Faults, Owner, OwnerError, Store};

/// An ingress stage whose next commits go wrong.
async fn in_doubt(factory: &impl StoreFactory, of: &[CommitFault]) -> Result<(Store, Owner<Collect>), Failure> {
    let faults = Faults::default();
    let front = open(factory, "front").await?.with_faults(faults.clone());
    let mut collect = claim(&front, Collect::default()).await?;
    of.iter().for_each(|fault| faults.push(Some(*fault)));
    let stop = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::InDoubt { .. })), "{stop:?}");
    assert!(collect.is_in_doubt());
    Ok((front, collect))
}

/// The request has one effect now, and the owner goes on.
async fn goes_on(front: &Store, collect: &mut Owner<Collect>, retry: Reply) -> Outcome {
    assert!(!collect.is_in_doubt());
    assert_eq!(submit(collect, vec![add("1", "a", 1)]).await?.1, [retry]);
    assert_eq!(submit(collect, vec![add("2", "a", 1)]).await?.1, [Reply::New]);
    assert_eq!(emitted(front, "a").await?.len(), 2);
    Ok(())
}

/// It was never written: so it is known, and it can never be written later.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_before(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostBefore]).await?;
    assert!(collect.resolve(now()).await?.is_none());
    goes_on(&front, &mut collect, Reply::New).await
}

/// It was written: its replies are found, and it is not done again.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_after(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostAfter]).await?;
    let committed = collect.resolve(now()).await?.ok_or("it was written")?;
    assert_eq!(committed.frames.len(), 1);
    goes_on(&front, &mut collect, Reply::Known).await
}

/// The claim that is to tell is lost itself, again and again.
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

/// The claim that is to tell is written, but its answer lost: the owner finds it as its own.
///
/// # Errors
/// When the deployment fails.
pub async fn claim_lost_after(factory: &impl StoreFactory) -> Outcome {
    let (front, mut collect) = in_doubt(factory, &[CommitFault::LostBefore, CommitFault::LostAfter]).await?;
    assert!(collect.resolve(now()).await?.is_none());
    goes_on(&front, &mut collect, Reply::New).await
}

/// Another owner came meanwhile: the old one is out, whatever became of its commit.
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

//! Frames go in, one commit comes out: duplicates, gaps, forks, resumption, fencing, refusals.

use stage::{
    BatchNumber, Change, Checkpoint, Consumed, Frame, Hash, Partition, Producer, Record, Row as _, Seq, Stage as _,
    Write,
};

use super::fixture::{
    ADDED, Collect, Collected, Reply, Tally, TallyUp, Tick, add, claim, claim_tally, emitted, now, of, submit, take,
};
use super::{Failure, Outcome, StoreFactory, open};
use crate::{CommitFault, Faults};
use dataflow::{
    Commit, CommitError, Delivery, JournalReader, JournalSource, OwnerError, Store, StoreError, Subscription,
};

async fn tally(back: &Store, name: &str) -> Result<Option<(u64, u64)>, StoreError> {
    let tally = back.get::<Tally>(&(name.to_owned(),)).await?;
    Ok(tally.map(|tally| (tally.sum, tally.ticks)))
}

/// However often a frame arrives, it has one effect.
///
/// # Errors
/// When the deployment fails.
pub async fn duplicate(factory: &impl StoreFactory) -> Outcome {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2", "3"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    let frames = emitted(&front, "a").await?;
    let order = [0, 0, 1, 0, 1, 2, 2].map(|at: usize| frames[at].clone());
    let mut owner = claim_tally(&back, "a").await?;
    assert!(take(&mut owner, order.to_vec()).await?);
    assert!(!take(&mut owner, order.to_vec()).await?, "nothing new, so no batch");
    let mut next = claim_tally(&back, "a").await?;
    assert!(!take(&mut next, frames).await?, "nothing new for the next owner either");
    assert_eq!(tally(&back, "a").await?, Some((3, 3)));
    Ok(())
}

/// Nothing is applied past a missing frame. Everything is applied once it has arrived.
///
/// # Errors
/// When the deployment fails.
pub async fn gap(factory: &impl StoreFactory) -> Outcome {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2", "3"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    let frames = emitted(&front, "a").await?;
    let mut owner = claim_tally(&back, "a").await?;
    assert!(take(&mut owner, vec![frames[0].clone(), frames[2].clone()]).await?);
    assert_eq!(tally(&back, "a").await?, Some((1, 1)));
    assert!(!take(&mut owner, vec![frames[2].clone()]).await?);
    assert!(take(&mut owner, vec![frames[1].clone(), frames[2].clone()]).await?);
    assert_eq!(tally(&back, "a").await?, Some((3, 3)));
    Ok(())
}

/// A producer that is unknown, or that emits different content than before, stops the partition.
///
/// # Errors
/// When the deployment fails.
pub async fn fork(factory: &impl StoreFactory) -> Outcome {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    let frames: Vec<Frame> = emitted(&front, "a").await?.into_iter().map(|delivery| delivery.frame).collect();
    let seal = |stage, seq, previous| {
        let (producer, target) = (Producer::new(stage, Partition(0)), ADDED.target(of("a")));
        let frame = Frame::seal(producer, target, seq, previous, 0, "[]".to_owned());
        Delivery { frame, resume_point: None }
    };
    let mut owner = claim_tally(&back, "a").await?;
    take(&mut owner, vec![Delivery { frame: frames[0].clone(), resume_point: None }]).await?;
    let others = [
        seal(Collect::NAME, Seq(1), Hash::ZERO),
        seal(Collect::NAME, Seq(2), Hash::ZERO),
        seal("stranger", Seq(1), Hash::ZERO),
    ];
    for other in others {
        let stop = take(&mut owner, vec![other]).await;
        assert!(matches!(stop, Err(OwnerError::Frame { .. })), "{stop:?}");
        owner.discard_uncommitted();
    }
    let damaged = Frame { body: "[ ]".to_owned(), ..frames[1].clone() };
    assert!(!take(&mut owner, vec![Delivery { frame: damaged, resume_point: None }]).await?, "damaged means missing");
    assert_eq!(tally(&back, "a").await?, Some((1, 1)));
    Ok(())
}

/// After closing and opening again, everything continues where it was.
///
/// # Errors
/// When the deployment fails.
pub async fn resume(factory: &impl StoreFactory) -> Outcome {
    let sources = |front: &Store| {
        let producers = vec![Producer::new(Collect::NAME, Partition(0))];
        vec![JournalSource { target: ADDED.target(of("a")), producers, journal: front.clone() }]
    };
    for round in 1..=3_u64 {
        let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
        let mut collect = claim(&front, Collect::default()).await?;
        let request = add(&round.to_string(), "a", 1);
        let (committed, _) = submit(&mut collect, vec![request.clone()]).await?;
        assert_eq!(committed.frames.first().map(|frame| frame.seq), Some(Seq(round)));
        assert_eq!(submit(&mut collect, vec![request]).await?.1, [Reply::Known]);
        let mut owner = claim_tally(&back, "a").await?;
        let mut subscription = JournalReader::new(sources(&front));
        let ready = subscription.ready(&owner.checkpoint().positions).await?;
        assert_eq!(ready.iter().map(|delivery| delivery.frame.seq).collect::<Vec<_>>(), [Seq(round)]);
        take(&mut owner, ready).await?;
        assert_eq!(tally(&back, "a").await?, Some((round, round)));
        let newest = back.newest(&Producer::new(TallyUp::NAME, of("a"))).await?;
        assert_eq!(newest.map(|record| (record.number.0, record.epoch.0)), Some((2 * round, round)));
        front.close().await;
        back.close().await;
    }
    Ok(())
}

/// A fenced owner can write nothing any more, and learns of it.
///
/// # Errors
/// When the deployment fails.
pub async fn fence(factory: &impl StoreFactory) -> Outcome {
    let front = open(factory, "front").await?;
    let mut old = claim(&front, Collect::default()).await?;
    let (prepared, _) = old.prepare_requests(vec![add("1", "a", 1)], now()).await?;
    let mut new = claim(&front, Collect::default()).await?;
    let stop = old.commit(prepared).await;
    assert!(matches!(stop, Err(OwnerError::Fenced(_))), "{stop:?}");
    let stop = submit(&mut old, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::Fenced(_))), "{stop:?}");
    assert!(emitted(&front, "a").await?.is_empty(), "no part of it was written");
    assert_eq!(front.get::<Collected>(&(add("1", "a", 1).cause.request_id,)).await?, None);
    assert_eq!(submit(&mut new, vec![add("1", "a", 1)]).await?.1, [Reply::New]);
    let newest = front.newest(new.id()).await?;
    assert_eq!(newest.map(|record| (record.number.0, record.epoch.0)), Some((3, 2)));
    Ok(())
}

/// A refused commit did nothing, and the same owner can retry it.
///
/// # Errors
/// When the deployment fails.
pub async fn refused(factory: &impl StoreFactory) -> Outcome {
    let faults = Faults::default();
    let front = faults.inject(&open(factory, "front").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    faults.push(Some(CommitFault::Refused));
    let stop = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::Unavailable { .. })), "{stop:?}");
    assert!(!collect.is_in_doubt());
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await?.1, [Reply::New]);
    assert_eq!(emitted(&front, "a").await?.len(), 1);
    Ok(())
}

/// A batch that inserts an existing row is rejected as a whole.
///
/// # Errors
/// When the deployment fails.
pub async fn conflict(factory: &impl StoreFactory) -> Outcome {
    let back = open(factory, "back").await?;
    let owner = claim_tally(&back, "a").await?;
    let last = back.newest(owner.id()).await?;
    let tick = |number| Tick { name: "a".to_owned(), number, by: 1, batch: BatchNumber(2) };
    let insert = |number| Change { table: Tick::TABLE, write: Write::Insert, cells: tick(number).to_cells() };
    let tally_row = Tally { name: "a".to_owned(), sum: 1, ticks: 1 };
    let update = Change { table: Tally::TABLE, write: Write::Insert, cells: tally_row.to_cells() };
    let target = super::fixture::TALLIED.target(Partition(0));
    let commit = |last: Option<&Record>, numbers: &[u64], seq| {
        let record = Record::following(last, owner.id(), &Consumed::Frames(Vec::new()), &Checkpoint::default(), now())?;
        let frame = Frame::seal(owner.id().clone(), target.clone(), seq, Hash::ZERO, 0, "[]".to_owned());
        let changes = numbers.iter().map(|number| insert(*number)).collect();
        Ok::<_, serde_json::Error>(Commit { record, changes, frames: vec![frame] })
    };
    let first = commit(last.as_ref(), &[1], Seq(1))?;
    back.commit(&first).await?;
    let mut second = commit(Some(&first.record), &[2, 1, 3], Seq(2))?;
    second.changes.insert(0, update);
    let error = back.commit(&second).await;
    assert!(matches!(&error, Err(CommitError::Conflict(table)) if table == "ticks"), "{error:?}");
    assert_eq!(back.rows::<Tick>(&[], None, 10).await?, [tick(1)]);
    assert_eq!(tally(&back, "a").await?, None);
    assert!(back.records(owner.id(), BatchNumber(3), 1).await?.is_empty());
    assert!(back.journal(owner.id(), &target, Seq(2), 1, usize::MAX).await?.is_empty());
    let third = commit(Some(&first.record), &[2], Seq(2))?;
    back.commit(&third).await?;
    Ok(())
}

/// A batch that updates a row that no longer exists is rejected as a whole. Other batches update exactly their rows.
///
/// # Errors
/// When the deployment fails.
pub async fn vanished(factory: &impl StoreFactory) -> Outcome {
    let back = open(factory, "back").await?;
    let owner = claim_tally(&back, "a").await?;
    let tally = |name: &str, sum| Tally { name: name.to_owned(), sum, ticks: sum };
    let change = |write, row: &Tally| Change { table: Tally::TABLE, write, cells: row.to_cells() };
    let commit = async |changes| -> Result<_, Failure> {
        let last = back.newest(owner.id()).await?;
        let read = Consumed::Frames(Vec::new());
        let record = Record::following(last.as_ref(), owner.id(), &read, &Checkpoint::default(), now())?;
        Ok(back.commit(&Commit { record, changes, frames: Vec::new() }).await)
    };
    commit(vec![change(Write::Insert, &tally("b", 1)), change(Write::Insert, &tally("a", 1))]).await??;
    let tick = Tick { name: "a".to_owned(), number: 1, by: 1, batch: BatchNumber(1) };
    let tick = Change { table: Tick::TABLE, write: Write::Insert, cells: tick.to_cells() };
    let changes = vec![tick, change(Write::Update, &tally("a", 2)), change(Write::Update, &tally("c", 2))];
    let error = commit(changes).await?;
    assert!(matches!(&error, Err(CommitError::Conflict(table)) if table == "tallies"), "{error:?}");
    assert_eq!(back.rows::<Tally>(&[], None, 10).await?, [tally("a", 1), tally("b", 1)]);
    assert!(back.rows::<Tick>(&[], None, 10).await?.is_empty());
    let mixed = [(Write::Update, "b"), (Write::Insert, "c"), (Write::Update, "a"), (Write::Insert, "d")];
    commit(mixed.map(|(write, name)| change(write, &tally(name, 3))).to_vec()).await??;
    assert_eq!(back.rows::<Tally>(&[], None, 10).await?, ["a", "b", "c", "d"].map(|name| tally(name, 3)));
    Ok(())
}

//! Reads have the same order, pages and limits in every store.

use std::collections::BTreeSet;

use stage::{Cell, Partition, Producer, ReadSet, RequestId, Row as _, Seq, Stage as _, StreamPartition};

use super::fixture::{
    ADDED, Collect, Collected, Copy, TALLIED, Tally, TallyUp, Tick, add, catch_up, claim, claim_tally, emitted, of,
    submit, take,
};
use super::{Failure, Outcome, StoreFactory, open};
use dataflow::{Store, StoreError};

/// Names whose order depends on the collation. This is the order by bytes.
const NAMES: [&str; 11] = [" ", "%", "-", "10", "9", "B", "_", "a", "a B", "~", "é"];
/// More rows than any store requests in one statement.
const MANY: usize = 600;

/// A store with three ticks for each name, all written by the stages.
async fn ticked(factory: &impl StoreFactory) -> Result<Store, Failure> {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    let request = |(at, name): (usize, &&str)| add(&at.to_string(), name, 1);
    let requests = NAMES.iter().chain(&NAMES).chain(&NAMES).rev().enumerate().map(request);
    submit(&mut collect, requests.collect()).await?;
    for name in ["a", "~", "-", "9", "B"] {
        let mut owner = claim_tally(&back, name).await?;
        take(&mut owner, emitted(&front, name).await?).await?;
    }
    Ok(back)
}

/// Rows are returned in key order, compared byte by byte and number by number.
///
/// # Errors
/// When the deployment fails.
pub async fn scan_order(factory: &impl StoreFactory) -> Outcome {
    let back = ticked(factory).await?;
    let tallies = back.rows::<Tally>(&[], None, 100).await?;
    assert_eq!(tallies.iter().map(|tally| tally.name.as_str()).collect::<Vec<_>>(), NAMES);
    for name in NAMES {
        let prefix = [Cell::Text(name.to_owned())];
        let ticks = back.rows::<Tick>(&prefix, None, 100).await?;
        assert_eq!(
            ticks.iter().map(|tick| (tick.name.as_str(), tick.number)).collect::<Vec<_>>(),
            [1, 2, 3].map(|n| (name, n))
        );
        assert_eq!(back.rows::<Tick>(&prefix, Some(&[Cell::Integer(2)]), 100).await?.len(), 1);
        assert!(back.rows::<Tick>(&prefix, Some(&[Cell::Integer(3)]), 100).await?.is_empty());
    }
    assert!(back.rows::<Tick>(&[Cell::Text("A".to_owned())], None, 100).await?.is_empty());
    Ok(())
}

/// Pages of any size return every row once.
///
/// # Errors
/// When the deployment fails.
pub async fn scan_pages(factory: &impl StoreFactory) -> Outcome {
    let back = ticked(factory).await?;
    let all = back.scan(Tick::TABLE, &[], None, 1_000).await?;
    assert_eq!(all.len(), 3 * NAMES.len());
    for limit in [1, 2, 7, 33, 34] {
        let (mut paged, mut after) = (Vec::new(), None::<Vec<Cell>>);
        loop {
            let page = back.scan(Tick::TABLE, &[], after.as_deref(), limit).await?;
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last[..2].to_vec());
            paged.extend(page);
        }
        assert_eq!(paged, all, "in pages of {limit}");
    }
    Ok(())
}

/// For many keys, exactly the existing rows are found.
///
/// # Errors
/// When the deployment fails.
pub async fn load_many(factory: &impl StoreFactory) -> Outcome {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    let name = |at: usize| format!("name {at}");
    submit(&mut collect, (0..MANY).step_by(2).map(|at| add(&name(at), &name(at), 1)).collect()).await?;
    for at in 0..8 {
        let mut owner = claim_tally(&back, &name(at)).await?;
        take(&mut owner, emitted(&front, &name(at)).await?).await?;
    }
    for wanted in [0..1, 1..2, 0..255, 0..256, 0..257, 0..MANY] {
        let mut keys = ReadSet::default();
        wanted.clone().for_each(|at| keys.row::<Tally>(&(name(at),)));
        let found = back.load(&keys).await?;
        let mut there: Vec<_> = found.iter().flat_map(|found| &found.rows).map(|row| row[0].to_string()).collect();
        there.sort();
        there.dedup();
        let mut expected: Vec<_> = wanted.clone().filter(|at| at % 2 == 0).map(name).collect();
        expected.sort();
        assert_eq!(there, expected);
        assert_eq!(found.iter().map(|found| found.wanted.len()).sum::<usize>(), wanted.len());
    }
    Ok(())
}

/// A stage that follows the rows of another stage sees all of them, in order: those written after it started, and those
/// written before.
///
/// # Errors
/// When the deployment fails.
pub async fn follow(factory: &impl StoreFactory) -> Outcome {
    let (front, back) = (open(factory, "front").await?, open(factory, "back").await?);
    let mut collect = claim(&front, Collect::default()).await?;
    for (id, sum) in [("1", None), ("2", Some(1)), ("3", Some(2))] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
        let row = front.get::<Collected>(&(RequestId(id.to_owned()),)).await?;
        assert_eq!(row.and_then(|row| row.known), sum);
        catch_up(TallyUp, of("a"), &back, &ADDED, &front).await?;
        catch_up(Copy, of("all"), &front, &TALLIED, &back).await?;
    }
    let mut later = claim(&front, Collect::default()).await?;
    submit(&mut later, vec![add("4", "a", 1)]).await?;
    let row = front.get::<Collected>(&(RequestId("4".to_owned()),)).await?;
    assert_eq!(row.and_then(|row| row.known), Some(3));
    Ok(())
}

/// A journal is read from a given frame on: as many frames as requested, and not far beyond the requested bytes.
///
/// # Errors
/// When the deployment fails.
pub async fn journal_limits(factory: &impl StoreFactory) -> Outcome {
    let front = open(factory, "front").await?;
    let mut collect = claim(&front, Collect::default()).await?;
    for id in ["1", "2", "3", "4", "5"] {
        submit(&mut collect, vec![add(id, "a", 1)]).await?;
    }
    let (by, to) = (Producer::new(Collect::NAME, Partition(0)), ADDED.target(of("a")));
    let all = emitted(&front, "a").await?;
    let bytes = all[0].frame.body.len();
    let cases = [
        ((1, 10, usize::MAX), vec![1, 2, 3, 4, 5]),
        ((1, 2, usize::MAX), vec![1, 2]),
        ((4, 10, usize::MAX), vec![4, 5]),
        ((6, 10, usize::MAX), vec![]),
        ((1, 10, 1), vec![1]),
        ((1, 10, bytes + 1), vec![1, 2]),
        ((1, 0, usize::MAX), vec![]),
    ];
    for ((from, limit, max_bytes), expected) in cases {
        let frames = journal(&front, &by, &to, from, limit, max_bytes).await?;
        assert_eq!(frames, expected, "from {from}, {limit} frames, {max_bytes} bytes");
    }
    assert_eq!(front.emitted().await?, [(by.clone(), to.clone(), Seq(5))]);
    let stranger = Producer::new(TallyUp::NAME, Partition(0));
    assert!(journal(&front, &stranger, &to, 1, 10, usize::MAX).await?.is_empty());
    Ok(())
}

/// The last frames of a producer's journals are found, for any number of targets.
///
/// # Errors
/// When the deployment fails.
pub async fn last_frames(factory: &impl StoreFactory) -> Outcome {
    let front = open(factory, "front").await?;
    let mut collect = claim(&front, Collect::default()).await?;
    let elsewhere = NAMES.into_iter().find(|name| of(name) != of("a")).ok_or("a name of the other partition")?;
    for (id, name) in [("1", "a"), ("2", elsewhere), ("3", "a"), ("4", "a")] {
        submit(&mut collect, vec![add(id, name, 1)]).await?;
    }
    let (by, other) = (Producer::new(Collect::NAME, Partition(0)), Producer::new(TallyUp::NAME, Partition(0)));
    let [a, b] = ["a", elsewhere].map(|name| ADDED.target(of(name)));
    let nowhere = ADDED.target(Partition(2));
    let check =
        async |producer: &Producer, targets: &[&StreamPartition], expected: &[(&StreamPartition, u64)]| -> Outcome {
            let frames = front.last_frames(producer, targets).await?;
            assert!(frames.iter().all(|frame| frame.producer == *producer && frame.is_intact()));
            let ends: BTreeSet<_> = frames.iter().map(|frame| (&frame.target, frame.seq.0)).collect();
            assert_eq!((frames.len(), ends), (expected.len(), expected.iter().copied().collect()), "{targets:?}");
            Ok(())
        };
    check(&by, &[&a, &b], &[(&a, 3), (&b, 1)]).await?;
    check(&by, &[&b], &[(&b, 1)]).await?;
    check(&by, &[&nowhere, &a], &[(&a, 3)]).await?;
    check(&by, &[], &[]).await?;
    check(&other, &[&a, &b], &[]).await
}

async fn journal(
    store: &Store,
    by: &Producer,
    to: &StreamPartition,
    from: u64,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<u64>, StoreError> {
    let frames = store.journal(by, to, Seq(from), limit, max_bytes).await?;
    Ok(frames.iter().map(|frame| frame.seq.0).collect())
}

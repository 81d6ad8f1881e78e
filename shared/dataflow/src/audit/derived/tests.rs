//! What is kept of derived rows, and that nothing of them is lost.

use chrono::DateTime;
use stage::{
    BatchNumber, Change, Checkpoint, Consumed, Integer, Partition, PartitionCount, Producer, ReadSet, Record, Row as _,
    Text, Write,
};
use tempfile::TempDir;

use super::{DerivedRows, Limits, NotWritten, State};
use crate::owner::Tables as _;
use crate::{Commit, Meta, Sqlite, Store};

stage::row! {
    /// One addition.
    struct Tick: "ticks" {
        key {
            /// The name.
            name: String => Text,
            /// The number of the addition.
            number: u64 => Integer,
        }
        value {
            /// The amount.
            by: u64 => Integer,
            /// The batch that applied it.
            batch: BatchNumber => Integer,
        }
    }
}

const LIMITS: Limits = Limits { rows: 16, bytes: usize::MAX, held_bytes: 200, fingerprints: 64 };
/// Rows that a batch writes.
const BATCH: u64 = 10;
const ROWS: u64 = 2_000;

fn tick(number: u64, by: u64) -> Tick {
    Tick { name: "a".to_owned(), number, by, batch: BatchNumber(1) }
}

fn change(write: Write, row: &Tick) -> Change {
    Change { table: Tick::TABLE, write, cells: row.to_cells() }
}

/// A store in which every addition is of 1.
async fn stored() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let meta = Meta { service: "back", partitions: PartitionCount::new(2).unwrap() };
    let store = Sqlite::open(&folder.path().join("back.sqlite"), meta, &[Tick::TABLE]).await.unwrap();
    let store = Store::from(store);
    let owner = Producer::new("tally", Partition(0));
    let record =
        Record::following(None, &owner, &Consumed::Claim, &Checkpoint::default(), DateTime::UNIX_EPOCH).unwrap();
    let changes = (1..=ROWS).map(|number| change(Write::Insert, &tick(number, 1))).collect();
    store.commit(&Commit { record, changes, frames: Vec::new() }).await.unwrap();
    (store, folder)
}

/// Derives all rows by batches, and looks after each how much is in memory.
async fn derive(derived: &DerivedRows, by: u64) {
    for first in (1..=ROWS).step_by(usize::try_from(BATCH).unwrap()) {
        let rows = first..first + BATCH;
        derived.apply(rows.map(|number| change(Write::Insert, &tick(number, by))).collect()).await.unwrap();
        let tables = derived.tables.lock().await;
        let Some(State::Derived(table)) = tables.get(Tick::TABLE.name) else { panic!("nothing is derived") };
        let (rows, fingerprints) = table.in_memory();
        assert!(rows <= 16 + 10 && fingerprints <= 64, "{rows} rows, {fingerprints} fingerprints");
    }
}

async fn load(derived: &DerivedRows, number: u64) -> Option<Tick> {
    let mut keys = ReadSet::default();
    keys.row::<Tick>(&("a".to_owned(), number));
    let found = derived.load(&keys).await.unwrap();
    found[0].rows.first().map(|cells| Tick::from_cells(cells).unwrap())
}

#[tokio::test]
async fn rows_that_are_as_stored_are_let_go_and_found_again() {
    let (store, _folder) = stored().await;
    let derived = DerivedRows::new(store, LIMITS);
    assert_eq!(load(&derived, 1).await, None, "it is stored, and not derived yet");
    derive(&derived, 1).await;
    assert_eq!(load(&derived, 1).await, Some(tick(1, 1)));
    assert_eq!(load(&derived, ROWS + 1).await, None);
    assert_eq!(derived.close(Tick::TABLE).await.unwrap().map(|size| size.rows), Some(ROWS));
}

#[tokio::test]
async fn rows_that_differ_are_put_aside_and_found_again() {
    let (store, _folder) = stored().await;
    let derived = DerivedRows::new(store, LIMITS);
    derive(&derived, 2).await;
    for number in [1, ROWS / 2, ROWS] {
        assert_eq!(load(&derived, number).await, Some(tick(number, 2)));
    }
    derived.apply(vec![change(Write::Update, &tick(1, 1))]).await.unwrap();
    assert_eq!(load(&derived, 1).await, Some(tick(1, 1)), "it has become what is stored");
    assert_eq!(derived.close(Tick::TABLE).await.unwrap(), None);
    let (mut after, mut rows) = (None, Vec::new());
    loop {
        let page = derived.scan(Tick::TABLE, after.as_deref(), 300).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last[..2].to_vec());
        rows.extend(page.iter().map(|cells| Tick::from_cells(cells).unwrap()));
    }
    let expected: Vec<_> = (1..=ROWS).map(|number| tick(number, if number == 1 { 1 } else { 2 })).collect();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_row_is_new_once_wherever_it_is_kept() {
    for by in [1, 2] {
        let (store, _folder) = stored().await;
        let derived = DerivedRows::new(store, LIMITS);
        derive(&derived, by).await;
        for number in [1, ROWS] {
            let again = derived.apply(vec![change(Write::Insert, &tick(number, by))]).await;
            assert!(matches!(again, Err(NotWritten::Conflict("ticks"))), "{again:?}");
        }
        let never = derived.apply(vec![change(Write::Update, &tick(ROWS + 1, by))]).await;
        assert!(matches!(never, Err(NotWritten::Conflict("ticks"))), "{never:?}");
    }
}

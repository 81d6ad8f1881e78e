//! What a batch needs from the store before it can be applied: by the owner, and when deriving again.

use stage::{Broken, Cell, Input, Keys, LOAD_ROUNDS_MAX, Rows, Stage};

use crate::{Store, StoreError};

/// Rows of a followed table taken in at a time.
const FOLLOW_ROWS_MAX: usize = 1_000;

/// Why rows could not be loaded.
#[derive(Debug)]
pub(crate) enum Unloaded {
    /// They are broken.
    Broken(Broken),
    /// They cannot be read.
    Store(StoreError),
}

impl From<Broken> for Unloaded {
    fn from(broken: Broken) -> Self {
        Unloaded::Broken(broken)
    }
}

impl From<StoreError> for Unloaded {
    fn from(error: StoreError) -> Self {
        Unloaded::Store(error)
    }
}

/// Takes in what the followed table has got after `learned`.
pub(crate) async fn follow<S: Stage>(
    stage: &mut S,
    store: &Store,
    learned: &mut Option<Vec<Cell>>,
) -> Result<(), Unloaded> {
    let Some(table) = S::FOLLOWS else { return Ok(()) };
    loop {
        let rows = store.scan(table, &[], learned.as_deref(), FOLLOW_ROWS_MAX).await?;
        for row in &rows {
            stage.learn(row)?;
            *learned = Some(row[..table.key_columns].to_vec());
        }
        if rows.len() < FOLLOW_ROWS_MAX {
            return Ok(());
        }
    }
}

/// The rows that these events name, and those that the rows name.
pub(crate) async fn load<S: Stage>(stage: &S, store: &Store, input: &Input<S::Fact>) -> Result<Rows, Unloaded> {
    let mut rows = Rows::default();
    for _ in 0..LOAD_ROUNDS_MAX {
        let mut keys = Keys::default();
        for event in input.events() {
            stage.keys(event, &rows, &mut keys)?;
        }
        let missing = rows.missing(keys);
        if missing.is_empty() {
            return Ok(rows);
        }
        for found in store.load(&missing).await? {
            rows.fill(found.table, &found.wanted, found.rows);
        }
    }
    Err(Broken::Rule(format!("rows named rows more than {LOAD_ROUNDS_MAX} times")).into())
}

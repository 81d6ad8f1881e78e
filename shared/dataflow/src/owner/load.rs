//! What a batch needs of the tables before it can be applied: by the owner, and when deriving again.

use stage::{Broken, Cell, Input, Keys, LOAD_ROUNDS_MAX, Rows, Stage, Table};

use crate::{Found, Store, StoreError};

/// Rows of a followed table taken in at a time.
const FOLLOW_ROWS_MAX: usize = 1_000;

/// What rows are loaded from: the store of an owner, or what an audit has derived.
pub(crate) trait Tables {
    /// The rows that exist among these keys, by table.
    fn load(&self, keys: &Keys) -> impl Future<Output = Result<Vec<Found>, StoreError>> + Send;

    /// Rows in the order of their key, those after a key, at most `limit`.
    fn scan(
        &self,
        table: &'static Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Vec<Cell>>, StoreError>> + Send;
}

impl Tables for Store {
    async fn load(&self, keys: &Keys) -> Result<Vec<Found>, StoreError> {
        Store::load(self, keys).await
    }

    async fn scan(
        &self,
        table: &'static Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        Store::scan(self, table, &[], after, limit).await
    }
}

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
    tables: &impl Tables,
    learned: &mut Option<Vec<Cell>>,
) -> Result<(), Unloaded> {
    let Some(table) = S::FOLLOWS else { return Ok(()) };
    loop {
        let rows = tables.scan(table, learned.as_deref(), FOLLOW_ROWS_MAX).await?;
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
pub(crate) async fn load<S: Stage>(stage: &S, tables: &impl Tables, input: &Input<S::Fact>) -> Result<Rows, Unloaded> {
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
        for found in tables.load(&missing).await? {
            rows.fill(found.table, &found.wanted, found.rows);
        }
    }
    Err(Broken::Rule(format!("rows named rows more than {LOAD_ROUNDS_MAX} times")).into())
}

//! The rows as derived again, in bounded memory: what is stored is what the audit remembers by.
//!
//! A row that was derived is held here until enough have come together; then all of them are compared with the stored
//! rows of the same keys. One that is as stored is let go: all that stays is the fingerprint of its key, and a stage that
//! asks for it again gets the stored row. One that differs is held: it is wrong, or it will change once more, as a balance
//! does. What is held or known beyond the [`Limits`] goes to a scratch file.
//!
//! One purchase: `accept` asks for its row. It is neither held nor let go, so it is not there, although its table has it
//! already. The derived row is held, compared, as stored, let go. `post` asks for the account, and the balance: held, from
//! the purchase before; it writes both again, and an entry. The entry is let go after the next comparison. The balance is
//! not as stored, and held, until the last purchase of the account: after that it is let go too.
//!
//! A table is right when nothing of it is held in the end, and it has as many rows as were derived. If not, it is read
//! through, and the first row that differs is named.

mod table;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use futures_util::future::BoxFuture;
use stage::{Cell, Change, ReadSet, Table};
use tokio::sync::Mutex;

use crate::owner::Tables;
use crate::{LoadedRows, Store, StoreError};

use self::table::{Backing, DerivedTable};

/// How much is kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows that wait to be compared.
    pub rows: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Bytes of a table's rows that are not as stored.
    pub held_bytes: usize,
    /// Fingerprints of a table's rows that are.
    pub fingerprints: usize,
}

impl Default for Limits {
    /// Together at most 100 MB for the largest table of each service that is being derived. A set of so many fingerprints is full just before it would grow.
    fn default() -> Self {
        Self { rows: 4_096, bytes: 8 << 20, held_bytes: 24 << 20, fingerprints: (1 << 21) / 8 * 7 }
    }
}

/// Why a row could not be written.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// One that was to be new is there, or one that was to be there is not.
    Conflict(&'static str),
    /// It could not be looked for.
    Store(StoreError),
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        NotWritten::Store(error)
    }
}

/// What stands for a key among those let go. The hash has another secret in each audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fingerprint([u64; 2]);

/// How many rows there are, and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub rows: u64,
    pub bytes: u64,
}

/// The derived tables of one service.
pub(super) struct DerivedRows {
    stored: Store,
    limits: Limits,
    secret: RandomState,
    tables: Mutex<BTreeMap<&'static str, State>>,
}

enum State {
    /// Rows of its own.
    Derived(Box<DerivedTable>),
    /// It was compared and is the stored table, or stands for one that could not be derived.
    AsStored,
}

impl DerivedRows {
    pub(super) fn new(stored: Store, limits: Limits) -> Self {
        Self { stored, limits, secret: RandomState::new(), tables: Mutex::default() }
    }

    /// Writes what a batch changed.
    pub(super) async fn apply(&self, changes: Vec<Change>) -> Result<(), NotWritten> {
        let mut tables = self.tables.lock().await;
        let mut by_table = BTreeMap::<_, Vec<Change>>::new();
        for change in changes {
            by_table.entry(change.table.name).or_default().push(change);
        }
        for (name, changes) in by_table {
            let Some(table) = changes.first().map(|change| change.table) else { continue };
            let state = tables.entry(name).or_insert_with(|| State::Derived(Box::new(DerivedTable::new(table))));
            match state {
                State::Derived(derived) => derived.write(changes, &self.backing()).await?,
                // A stage writes only its own tables.
                State::AsStored => return Err(NotWritten::Conflict(name)),
            }
        }
        self.compare_when_due(&mut tables).await?;
        Ok(())
    }

    async fn compare_when_due(&self, tables: &mut BTreeMap<&'static str, State>) -> Result<(), StoreError> {
        let waiting = tables.values().fold((0, 0), |(rows, bytes), state| match state {
            State::Derived(table) => (rows + table.waiting().0, bytes + table.waiting().1),
            State::AsStored => (rows, bytes),
        });
        if waiting.0 >= self.limits.rows || waiting.1 >= self.limits.bytes {
            for state in tables.values_mut() {
                match state {
                    State::Derived(table) => table.compare(&self.backing()).await?,
                    State::AsStored => {}
                }
            }
        }
        Ok(())
    }

    /// Whether all rows of a table, which is derived to its end, are as stored; then how much they are.
    pub(super) async fn close(&self, table: &'static Table) -> Result<Option<Size>, StoreError> {
        let mut tables = self.tables.lock().await;
        let size = match tables.get_mut(table.name) {
            Some(State::Derived(derived)) => derived.close(&self.backing()).await?,
            None if self.stored.count(table).await? == 0 => Some(Size::default()),
            None | Some(State::AsStored) => None,
        };
        if size.is_some() {
            tables.insert(table.name, State::AsStored);
        }
        Ok(size)
    }

    /// Takes the stored rows for the derived ones, of a stage that could not be derived to its end.
    pub(super) async fn take_over(&self, table: &'static Table) {
        self.tables.lock().await.insert(table.name, State::AsStored);
    }

    fn backing(&self) -> Backing<'_> {
        Backing { stored: &self.stored, limits: self.limits, secret: &self.secret }
    }
}

impl Tables for DerivedRows {
    fn load<'a>(&'a self, keys: &'a ReadSet) -> BoxFuture<'a, Result<Vec<LoadedRows>, StoreError>> {
        Box::pin(async move {
            let mut tables = self.tables.lock().await;
            let mut found = Vec::new();
            for (table, wanted) in keys.iter() {
                let rows = match tables.get_mut(table.name) {
                    Some(State::Derived(derived)) => derived.load(wanted, &self.backing()).await?,
                    Some(State::AsStored) => self.stored.load_rows(table, wanted).await?,
                    None => Vec::new(),
                };
                found.push(LoadedRows { table, wanted: wanted.clone(), rows });
            }
            Ok(found)
        })
    }

    fn scan<'a>(
        &'a self,
        table: &'static Table,
        after: Option<&'a [Cell]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<Cell>>, StoreError>> {
        Box::pin(async move {
            match self.tables.lock().await.get(table.name) {
                Some(State::Derived(derived)) => derived.scan(after, limit, &self.backing()).await,
                Some(State::AsStored) => self.stored.scan(table, &[], after, limit).await,
                None => Ok(Vec::new()),
            }
        })
    }
}

impl Fingerprint {
    fn of(secret: &RandomState, table: &Table, key: &[Cell]) -> Self {
        let mut hasher = secret.build_hasher();
        (table.name, key).hash(&mut hasher);
        let first = hasher.finish();
        hasher.write_u8(0);
        Self([first, hasher.finish()])
    }
}

/// About how much memory a row takes.
pub(super) fn bytes_of(cells: &[Cell]) -> usize {
    let of = |cell: &Cell| match cell {
        Cell::Text(text) => text.len(),
        Cell::Null | Cell::Integer(_) => 8,
    };
    cells.iter().map(of).sum()
}

#[cfg(test)]
mod tests;

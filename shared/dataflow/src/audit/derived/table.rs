//! One derived table: what is held, what is let go, what is put aside.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::RandomState;
use std::ops::Bound;

use stage::{Cell, CellKind, Change, Column, Table, Write};

use super::{Fingerprint, Limits, NotWritten, Size, bytes_of};
use crate::store::Scratch;
use crate::{Store, StoreError};

/// Fingerprints that are put aside.
static FINGERPRINTS: Table = Table {
    name: "fingerprints",
    columns: &[
        Column { name: "first", kind: CellKind::Integer, nullable: false },
        Column { name: "second", kind: CellKind::Integer, nullable: false },
    ],
    key_columns: 2,
};

/// What a table is compared with, and how much of it may be kept.
#[derive(Clone, Copy)]
pub(super) struct Backing<'a> {
    pub stored: &'a Store,
    pub limits: Limits,
    pub secrets: &'a [RandomState; 2],
}

/// How a row that is held compares with the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody has looked yet.
    Waiting,
    /// It is not as stored.
    Different,
    /// It is the stored one, which a stage has asked for.
    Stored,
}

struct Held {
    cells: Vec<Cell>,
    standing: Standing,
}

/// What is on disk, because it is too much.
struct Aside {
    scratch: Scratch,
    has_rows: bool,
    has_fingerprints: bool,
}

/// Where keys are that are not held.
#[derive(Default)]
struct Elsewhere {
    aside: Vec<Vec<Cell>>,
    let_go: BTreeSet<Vec<Cell>>,
}

pub(super) struct DerivedTable {
    table: &'static Table,
    held: BTreeMap<Vec<Cell>, Held>,
    let_go: HashSet<Fingerprint>,
    aside: Option<Aside>,
    size: Size,
    /// Rows to look at with the next comparison, and their bytes.
    pub waiting_rows: usize,
    pub waiting_bytes: usize,
}

impl DerivedTable {
    pub(super) fn new(table: &'static Table) -> Self {
        let (held, let_go, size) = (BTreeMap::new(), HashSet::new(), Size::default());
        Self { table, held, let_go, aside: None, size, waiting_rows: 0, waiting_bytes: 0 }
    }

    /// Writes rows, if those are there that should be, and no other.
    pub(super) async fn write(&mut self, changes: Vec<Change>, backing: &Backing<'_>) -> Result<(), NotWritten> {
        let keys = changes.iter().map(|change| self.key(&change.cells)).filter(|key| !self.held.contains_key(*key));
        let keys = keys.map(<[Cell]>::to_vec).collect();
        let Elsewhere { aside, let_go } = self.find(keys, backing).await?;
        let elsewhere: BTreeSet<&[Cell]> =
            let_go.iter().map(Vec::as_slice).chain(aside.iter().map(|row| self.key(row))).collect();
        for change in &changes {
            let key = self.key(&change.cells);
            let exists = self.held.contains_key(key) || elsewhere.contains(key);
            if exists != (change.write == Write::Update) {
                return Err(NotWritten::Conflict(self.table.name));
            }
        }
        for Change { write, cells, .. } in changes {
            self.size.rows += u64::from(write == Write::Insert);
            self.size.bytes += bytes_of(&cells) as u64;
            self.hold(cells, Standing::Waiting);
        }
        Ok(())
    }

    /// The rows among these keys, as they are now.
    pub(super) async fn load(
        &mut self,
        wanted: &BTreeSet<Vec<Cell>>,
        backing: &Backing<'_>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let unheld = wanted.iter().filter(|key| !self.held.contains_key(*key)).cloned().collect();
        let Elsewhere { aside, let_go } = self.find(unheld, backing).await?;
        aside.into_iter().for_each(|row| self.hold(row, Standing::Different));
        if !let_go.is_empty() {
            let rows = backing.stored.load_rows(self.table, &let_go).await?;
            if rows.len() != let_go.len() {
                return Err(StoreError::Damaged(format!("{} changes while it is audited", self.table.name)));
            }
            rows.into_iter().for_each(|row| self.hold(row, Standing::Stored));
        }
        Ok(wanted.iter().filter_map(|key| self.held.get(key)).map(|held| held.cells.clone()).collect())
    }

    /// Looks which of the waiting rows are as stored, lets them go, and puts aside what is too much.
    pub(super) async fn compare(&mut self, backing: &Backing<'_>) -> Result<(), StoreError> {
        if self.let_go.len() + self.waiting_rows > backing.limits.fingerprints {
            self.put_fingerprints_aside().await?;
        }
        let waiting = self.held.iter().filter(|(_, held)| held.standing == Standing::Waiting);
        let waiting: BTreeSet<_> = waiting.map(|(key, _)| key.clone()).collect();
        let stored = match backing.stored.load_rows(self.table, &waiting).await {
            // Whoever reads the table through in the end says where.
            Err(StoreError::Damaged(_)) => Vec::new(),
            stored => stored?,
        };
        for row in stored {
            if let Some(held) = self.held.get_mut(&row[..self.table.key_columns]).filter(|held| held.cells == row) {
                held.standing = Standing::Stored;
            }
        }
        let (mut gone, mut held_bytes) = (BTreeSet::new(), 0);
        for (key, mut held) in std::mem::take(&mut self.held) {
            match held.standing {
                Standing::Stored => {
                    self.let_go.insert(Fingerprint::of(backing.secrets, self.table, &key));
                    gone.insert(key);
                }
                Standing::Waiting | Standing::Different => {
                    held_bytes += bytes_of(&held.cells);
                    held.standing = Standing::Different;
                    self.held.insert(key, held);
                }
            }
        }
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        if let Some(Aside { scratch, has_rows: true, .. }) = &self.aside {
            scratch.delete(self.table, &gone).await?;
        }
        if held_bytes > backing.limits.held_bytes { self.put_rows_aside().await } else { Ok(()) }
    }

    /// Whether all rows are as stored, and no others are there; then how much they are.
    pub(super) async fn close(&mut self, backing: &Backing<'_>) -> Result<Option<Size>, StoreError> {
        self.compare(backing).await?;
        let aside = match &self.aside {
            Some(Aside { scratch, has_rows: true, .. }) => scratch.count(self.table).await?,
            Some(_) | None => 0,
        };
        let is_stored = self.held.is_empty() && aside == 0 && backing.stored.count(self.table).await? == self.size.rows;
        Ok(is_stored.then_some(self.size))
    }

    /// Rows in the order of their key, those after a key, at most `limit`.
    pub(super) async fn scan(
        &self,
        after: Option<&[Cell]>,
        limit: usize,
        backing: &Backing<'_>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let mut after = after.map(<[Cell]>::to_vec);
        loop {
            let stored = backing.stored.scan(self.table, &[], after.as_deref(), limit).await?;
            let aside = match &self.aside {
                Some(Aside { scratch, has_rows: true, .. }) => {
                    scratch.scan(self.table, after.as_deref(), limit).await?
                }
                Some(_) | None => Vec::new(),
            };
            // Beyond the end of a full page there may be more of it.
            let ends = [&stored, &aside].into_iter().filter(|page| page.len() == limit).filter_map(|page| page.last());
            let end = ends.map(|row| self.key(row).to_vec()).min();
            let keys = stored.iter().map(|row| self.key(row).to_vec()).filter(|key| !self.held.contains_key(key));
            let let_go = self.find(keys.collect(), backing).await?.let_go;
            let stored = stored.into_iter().filter(|row| let_go.contains(self.key(row)));
            let mut rows: BTreeMap<_, _> = stored.chain(aside).map(|row| (self.key(&row).to_vec(), row)).collect();
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let held = self.held.range((from, Bound::Unbounded)).take(limit);
            rows.extend(held.map(|(key, held)| (key.clone(), held.cells.clone())));
            rows.retain(|key, _| end.as_ref().is_none_or(|end| key <= end));
            if !rows.is_empty() || end.is_none() {
                return Ok(rows.into_values().take(limit).collect());
            }
            after = end;
        }
    }

    fn key<'a>(&self, row: &'a [Cell]) -> &'a [Cell] {
        &row[..self.table.key_columns.min(row.len())]
    }

    fn hold(&mut self, cells: Vec<Cell>, standing: Standing) {
        (self.waiting_rows, self.waiting_bytes) = (self.waiting_rows + 1, self.waiting_bytes + bytes_of(&cells));
        let before = self.held.insert(self.key(&cells).to_vec(), Held { cells, standing });
        // A row that is written again is another size.
        if let (Standing::Waiting, Some(before)) = (standing, before) {
            self.size.bytes = self.size.bytes.saturating_sub(bytes_of(&before.cells) as u64);
        }
    }

    async fn find(&self, mut keys: BTreeSet<Vec<Cell>>, backing: &Backing<'_>) -> Result<Elsewhere, StoreError> {
        let mut elsewhere = Elsewhere::default();
        if let Some(Aside { scratch, has_rows: true, .. }) = &self.aside {
            elsewhere.aside = scratch.load(self.table, &keys).await?;
            keys.retain(|key| elsewhere.aside.iter().all(|row| self.key(row) != key.as_slice()));
        }
        let (let_go, others): (BTreeSet<_>, BTreeSet<_>) = keys.into_iter().partition(|key| {
            let fingerprint = Fingerprint::of(backing.secrets, self.table, key);
            self.let_go.contains(&fingerprint)
        });
        elsewhere.let_go = let_go;
        if let Some(Aside { scratch, has_fingerprints: true, .. }) = &self.aside {
            let cells = |key: &Vec<Cell>| Fingerprint::of(backing.secrets, self.table, key).cells();
            let mut unknown: BTreeMap<_, _> = others.into_iter().map(|key| (cells(&key), key)).collect();
            let found = scratch.load(&FINGERPRINTS, &unknown.keys().cloned().collect()).await?;
            elsewhere.let_go.extend(found.iter().filter_map(|fingerprint| unknown.remove(fingerprint)));
        }
        Ok(elsewhere)
    }

    async fn put_fingerprints_aside(&mut self) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.let_go.drain().map(Fingerprint::cells).collect();
        rows.sort_unstable();
        let aside = self.make_aside().await?;
        aside.has_fingerprints = true;
        aside.scratch.put(&FINGERPRINTS, &rows).await
    }

    async fn put_rows_aside(&mut self) -> Result<(), StoreError> {
        let rows: Vec<_> = std::mem::take(&mut self.held).into_values().map(|held| held.cells).collect();
        let table = self.table;
        let aside = self.make_aside().await?;
        aside.has_rows = true;
        aside.scratch.put(table, &rows).await
    }

    async fn make_aside(&mut self) -> Result<&mut Aside, StoreError> {
        let aside = match self.aside.take() {
            Some(aside) => aside,
            None => Aside { scratch: Scratch::new().await?, has_rows: false, has_fingerprints: false },
        };
        Ok(self.aside.insert(aside))
    }
}

#[cfg(test)]
impl DerivedTable {
    /// How many rows and fingerprints are in memory.
    pub(super) fn in_memory(&self) -> (usize, usize) {
        (self.held.len(), self.let_go.len())
    }
}

impl Fingerprint {
    fn cells(self) -> Vec<Cell> {
        self.0.map(|half| Cell::Integer(half.cast_signed())).to_vec()
    }
}

//! The rows of a table, as stored and as derived, side by side in the order of the key.

use std::collections::VecDeque;

use stage::{Cell, Table};

use super::derived::{Size, bytes_of};
use super::pages::Pace;
use super::{AuditedService, End, at, wrong};
use crate::owner::Tables;

/// How much of a value is shown.
const SHOWN_CHARS: usize = 60;

/// Compares all rows. How many there are.
pub(super) async fn compare(service: &AuditedService, table: &'static Table) -> Result<Size, End> {
    let place = || format!("table {}", table.name);
    if let Some(size) = service.derived.close(table).await.map_err(at(service.name, place()))? {
        return Ok(size);
    }
    let (mut stored, mut derived) = (Cursor::new(&service.store, table), Cursor::new(&service.derived, table));
    let mut size = Size::default();
    loop {
        let there = stored.next(service.name).await?;
        let expected = derived.next(service.name).await?;
        match (there, expected) {
            (None, None) => return Ok(size),
            (Some(there), Some(expected)) if there == expected => {
                size.rows += 1;
                size.bytes += bytes_of(&there) as u64;
            }
            (there, expected) => return Err(difference(service.name, table, there, expected)),
        }
    }
}

/// Takes the stored rows for the derived ones, of a stage that could not be derived to its end.
pub(super) async fn take_over(service: &AuditedService, table: &'static Table) -> Result<(), End> {
    service.derived.take_over(table).await;
    let mut stored = Cursor::new(&service.store, table);
    while stored.next(service.name).await?.is_some() {}
    Ok(())
}

/// Reads a table page by page.
struct Cursor<'a, T> {
    tables: &'a T,
    table: &'static Table,
    page: VecDeque<Vec<Cell>>,
    pace: Pace,
    after: Option<Vec<Cell>>,
}

impl<'a, T: Tables> Cursor<'a, T> {
    fn new(tables: &'a T, table: &'static Table) -> Self {
        Self { tables, table, page: VecDeque::new(), pace: Pace::new(), after: None }
    }

    async fn next(&mut self, service: &'static str) -> Result<Option<Vec<Cell>>, End> {
        if self.page.is_empty() {
            let read = async |limit| self.tables.scan(self.table, self.after.as_deref(), limit).await;
            let page = self.pace.read(read, |row| bytes_of(row)).await;
            let place = || match &self.after {
                None => format!("table {} first row", self.table.name),
                Some(key) => format!("table {} row after {}", self.table.name, tuple(key)),
            };
            self.page = page.map_err(at(service, place()))?;
        }
        let Some(row) = self.page.pop_front() else {
            return Ok(None);
        };
        let key = row[..self.table.key_columns].to_vec();
        if self.after.as_ref().is_some_and(|after| key <= *after) {
            return Err(wrong(service, place(self.table, &row), "is not in the order of the key"));
        }
        self.after = Some(key);
        Ok(Some(row))
    }
}

/// Names the first row, and in it the first column, that differs.
fn difference(service: &'static str, table: &Table, stored: Option<Vec<Cell>>, derived: Option<Vec<Cell>>) -> End {
    let key = |row: &Option<Vec<Cell>>| row.as_ref().map(|row| row[..table.key_columns].to_vec());
    let (stored_key, derived_key) = (key(&stored), key(&derived));
    match (stored, derived) {
        (Some(stored), Some(derived)) if stored_key == derived_key => {
            let columns = table.columns.iter().zip(stored.iter().zip(&derived));
            let what = columns.filter(|(_, (stored, derived))| stored != derived).map(|(column, (stored, derived))| {
                let (stored, derived) = excerpts(&stored.to_string(), &derived.to_string());
                format!("column {} holds {stored}, derived is {derived}", column.name)
            });
            let what = what.take(1).collect::<String>();
            wrong(service, place(table, &stored), what)
        }
        (Some(stored), derived) if derived.is_none() || stored_key < derived_key => {
            wrong(service, place(table, &stored), "no batch wrote this row")
        }
        (_, derived) => wrong(service, place(table, &derived.unwrap_or_default()), "this row is missing"),
    }
}

fn place(table: &Table, row: &[Cell]) -> String {
    format!("table {} key {}", table.name, tuple(&row[..table.key_columns.min(row.len())]))
}

fn tuple(cells: &[Cell]) -> String {
    let cells: Vec<_> = cells.iter().map(Cell::to_string).collect();
    format!("({})", cells.join(", "))
}

/// Both texts from a little before they first differ.
pub(super) fn excerpts(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(SHOWN_CHARS / 4);
    let cut = |text: &str| {
        let shown: String = text.chars().skip(from).take(SHOWN_CHARS).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.chars().count() > from + SHOWN_CHARS { "…" } else { "" };
        format!("{before}{shown}{after}")
    };
    (format!("{:?}", cut(a)), format!("{:?}", cut(b)))
}

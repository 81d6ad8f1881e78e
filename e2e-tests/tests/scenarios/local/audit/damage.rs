//! Damage to a database file: to one value, one row, two rows or all rows.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::scenarios::harness::Random;

/// The number of attempts to flip a bit. It is a mistake if every result collides with another key.
const DRAWS: usize = 100;

/// A table of a database file.
pub struct Table {
    pub name: String,
    /// The name of each column, and whether it is part of the primary key.
    columns: Vec<(String, bool)>,
    rows: u64,
}

/// An open database file.
pub struct File(SqliteConnection);

/// A kind of damage to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Flips a random bit of a value in a random row. An empty value or a null is replaced by a value.
    Bit,
    /// Deletes a random row.
    Delete,
    /// Deletes the last row.
    DeleteLast,
    /// Inserts a copy of a random row with another key.
    Insert,
    /// Swaps the values of two rows.
    Swap,
    /// Deletes all rows.
    Empty,
}

impl File {
    /// Opens a file.
    pub async fn open(path: &Path) -> Self {
        Self(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap())
    }

    /// Closes the file, so that it contains all changes.
    pub async fn close(self) {
        self.0.close().await.unwrap();
    }

    /// All tables. None of them may be empty.
    pub async fn tables(mut self) -> Vec<Table> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let mut tables = Vec::new();
        for row in sqlx::query(names).fetch_all(&mut self.0).await.unwrap() {
            let name: String = row.get(0);
            let columns = format!("SELECT name, pk FROM pragma_table_info('{name}')");
            let columns = sqlx::query(&columns).fetch_all(&mut self.0).await.unwrap();
            let columns = columns.iter().map(|column| (column.get(0), column.get::<i64, _>(1) > 0)).collect();
            let count = format!("SELECT count(*) FROM {name}");
            let rows: i64 = sqlx::query(&count).fetch_one(&mut self.0).await.unwrap().get(0);
            tables.push(Table { name, columns, rows: u64::try_from(rows).unwrap() });
        }
        assert!(tables.iter().all(|table| table.rows > 0), "a table is empty");
        self.close().await;
        tables
    }

    async fn run(&mut self, statement: &str) -> u64 {
        let done = sqlx::query(statement).execute(&mut self.0).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}")).rows_affected()
    }
}

impl Table {
    fn key(&self) -> String {
        self.names(true).join(", ")
    }

    fn names(&self, key: bool) -> Vec<String> {
        self.columns.iter().filter(|(_, is_key)| *is_key == key).map(|(name, _)| format!("\"{name}\"")).collect()
    }

    /// The SQL condition for the row at this position in the order of keys, counted from 0.
    fn row(&self, place: u64) -> String {
        let (name, key) = (&self.name, self.key());
        format!("({key}) = (SELECT {key} FROM {name} ORDER BY {key} LIMIT 1 OFFSET {place})")
    }
}

impl Damage {
    /// The columns to damage: every column for damage to values, any one column for damage to rows.
    pub fn columns<'a>(&self, table: &'a Table) -> Vec<&'a str> {
        let all = table.columns.iter().map(|(name, _)| name.as_str());
        let of_values = matches!(self, Damage::Bit);
        all.take(if of_values { usize::MAX } else { 1 }).collect()
    }

    /// Applies the damage, and returns a description of it; `None` if it changes nothing.
    pub async fn apply(self, file: &mut File, table: &Table, column: &str, random: &mut Random) -> Option<String> {
        let (name, place) = (&table.name, random.below(table.rows));
        let changed = match self {
            Damage::Bit => flip(file, table, column, random).await,
            Damage::Delete => file.run(&format!("DELETE FROM {name} WHERE {}", table.row(place))).await,
            Damage::DeleteLast => file.run(&format!("DELETE FROM {name} WHERE {}", table.row(table.rows - 1))).await,
            Damage::Insert => insert(file, table, place).await,
            Damage::Swap => swap(file, table, place).await,
            Damage::Empty => file.run(&format!("DELETE FROM {name}")).await,
        };
        (changed > 0).then(|| format!("{self:?} of {name}.{column}"))
    }
}

/// Flips a bit. It tries again if another row already has the resulting key. Returns the number of changed rows.
async fn flip(file: &mut File, table: &Table, column: &str, random: &mut Random) -> u64 {
    for _ in 0..DRAWS {
        let row = table.row(random.below(table.rows));
        let select = format!("SELECT typeof(\"{column}\"), CAST(\"{column}\" AS BLOB) FROM {} WHERE {row}", table.name);
        let found = sqlx::query(&select).fetch_one(&mut file.0).await.unwrap();
        let mut bytes: Vec<u8> = found.get::<Option<_>, _>(1).unwrap_or_default();
        let value = match found.get::<&str, _>(0) {
            "integer" => {
                let bit = format!("(1 << {})", random.below(64));
                format!("(\"{column}\" | {bit}) - (\"{column}\" & {bit})")
            }
            "text" if bytes.is_empty() => "'x'".to_owned(),
            "text" => {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << random.below(8);
                "CAST(? AS TEXT)".to_owned()
            }
            _ => "1".to_owned(),
        };
        let update = format!("UPDATE {} SET \"{column}\" = {value} WHERE {row}", table.name);
        let query = sqlx::query(&update);
        let query = if value.contains('?') { query.bind(bytes) } else { query };
        match query.execute(&mut file.0).await {
            Ok(done) => return done.rows_affected(),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
            Err(error) => panic!("{update}: {error}"),
        }
    }
    panic!("{DRAWS} draws of {}.{column} collided", table.name);
}

/// Inserts a copy of a row, whose last key column is larger by 1,000,000 or longer by one letter.
async fn insert(file: &mut File, table: &Table, place: u64) -> u64 {
    let last = table.columns.iter().rposition(|(_, is_key)| *is_key).unwrap();
    let value = |(at, (column, _)): (usize, &(String, bool))| match at == last {
        true => format!("iif(typeof(\"{column}\") = 'integer', 1000000 + \"{column}\", \"{column}\" || 'x')"),
        false => format!("\"{column}\""),
    };
    let values: Vec<_> = table.columns.iter().enumerate().map(value).collect();
    let (name, row) = (&table.name, table.row(place));
    file.run(&format!("INSERT INTO {name} SELECT {} FROM {name} WHERE {row}", values.join(", "))).await
}

/// Swaps the values of two rows with different values.
async fn swap(file: &mut File, table: &Table, place: u64) -> u64 {
    let (name, key, values) = (&table.name, table.key(), table.names(false).join(", "));
    let differ = format!(
        "CREATE TEMP TABLE pair AS SELECT * FROM {name} WHERE {} UNION ALL SELECT * FROM (
           SELECT * FROM {name} WHERE ({values}) IS NOT (SELECT {values} FROM {name} WHERE {}) ORDER BY {key} LIMIT 1)",
        table.row(place),
        table.row(place),
    );
    file.run(&differ).await;
    file.run(&format!(
        "UPDATE {name} SET ({values}) = (SELECT {values} FROM temp.pair AS other WHERE ({}) IS NOT ({}))
           WHERE ({key}) IN (SELECT {key} FROM temp.pair) AND (SELECT count(*) FROM temp.pair) = 2",
        key.split(", ").map(|column| format!("other.{column}")).collect::<Vec<_>>().join(", "),
        key.split(", ").map(|column| format!("{name}.{column}")).collect::<Vec<_>>().join(", "),
    ))
    .await
}

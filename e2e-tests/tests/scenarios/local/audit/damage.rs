//! Damage to a stored file: one value, one row, two rows.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::scenarios::harness::Random;

/// So many draws do not all collide, unless by a mistake.
const DRAWS: usize = 100;

/// A table of a file.
pub struct Table {
    pub name: String,
    /// Whether a column is part of the key, by its name.
    columns: Vec<(String, bool)>,
    rows: u64,
}

/// An opened file.
pub struct File(SqliteConnection);

/// What is done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A random bit of a random row's value in each column; where there is no value, one is put.
    Bit,
    /// A random row is gone.
    Delete,
    /// The last row is gone.
    DeleteLast,
    /// A row is there twice, under another key.
    Insert,
    /// Two rows have each other's values.
    Swap,
    /// All rows are gone.
    Empty,
}

impl File {
    /// Opens it.
    pub async fn open(path: &Path) -> Self {
        Self(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap())
    }

    /// Closes it, so that all is in the file.
    pub async fn close(self) {
        self.0.close().await.unwrap();
    }

    /// Its tables that are not empty.
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

    /// The condition for the row at a place in the order of keys.
    fn row(&self, place: u64) -> String {
        let (name, key) = (&self.name, self.key());
        format!("({key}) = (SELECT {key} FROM {name} ORDER BY {key} LIMIT 1 OFFSET {place})")
    }
}

impl Damage {
    /// To which columns it can be done; one that stands for the row when it is done to rows.
    pub fn places<'a>(&self, table: &'a Table) -> Vec<&'a str> {
        let all = table.columns.iter().map(|(name, _)| name.as_str());
        let of_values = matches!(self, Damage::Bit);
        all.take(if of_values { usize::MAX } else { 1 }).collect()
    }

    /// Does it; what it did, or none where it would change nothing.
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

/// Draws again where another row has the key that would come of it.
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

/// A copy of a row, under a key that is one more, or one letter longer.
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

/// Two rows whose values differ get each other's.
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

//! The actual content of the database.

use super::Postgres;
use crate::StoreError;
use crate::store::decode::Stored as _;
use crate::store::sql_database::SqlDatabase as _;

/// The fixed tables, and the table of the migrator.
const OWN_TABLES: [&str; 8] =
    ["_sqlx_migrations", "batches", "journal", "leases", "meta", "owners", "publish_positions", "quarantine"];

/// Tables, views, sequences, indexes other than primary keys, and triggers. Those of other schemas include the schema.
const RELATIONS: &str = "
SELECT (CASE WHEN n.oid = current_schema()::regnamespace THEN r.name ELSE n.nspname || '.' || r.name END) COLLATE \"C\"
  AS name
FROM pg_namespace n JOIN (
    SELECT relnamespace AS namespace, relname::text AS name FROM pg_class c
    WHERE relkind NOT IN ('t', 'c')
      AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = c.oid AND i.indisprimary)
    UNION ALL
    SELECT c.relnamespace, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
  ) r ON r.namespace = n.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%' ORDER BY 1";

/// Problems that would make reads by key wrong.
const PROBLEMS: &str = "
SELECT 'the index ' || i.indexrelid::regclass || ' is not valid' AS problem FROM pg_index i
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
UNION ALL
SELECT format('the column %s.%s is not ordered byte by byte', a.attrelid::regclass, a.attname) FROM pg_attribute a
JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)
JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = current_schema()::regnamespace
LEFT JOIN pg_collation o ON o.oid = a.attcollation
WHERE a.atttypid = 'text'::regtype AND o.collname IS DISTINCT FROM 'C'
ORDER BY 1";

impl Postgres {
    /// The problems that would make reads by key wrong, and the tables apart from those that every store has.
    pub(super) async fn report(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let problems =
            self.fetch(PROBLEMS, &[]).await?.iter().map(|row| row.text("problem")).collect::<Result<_, _>>()?;
        let names =
            self.fetch(RELATIONS, &[]).await?.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
        let is_own = |name: &String| OWN_TABLES.contains(&name.as_str());
        Ok((problems, names.into_iter().filter(|name| !is_own(name)).collect()))
    }
}

//! Two small services are run, stopped, damaged in every way, and audited.

use std::path::Path;

use stage::{CellKind, Column, Partition, Stream, Table};

use super::memory::Maps;
use super::sqlite::{Files, execute};
use crate::fixture::{ADDED, BACK, Collect, Copy, FRONT, TALLIED, TallyUp, add, catch_up, claim, meta, of, submit};
use crate::{Outcome, StoreFactory as _};
use dataflow::audit::{Audit, Limits, Report, Watch};
use dataflow::{Sqlite, Store, StoreError};

const STREAMS: [&Stream; 2] = [&ADDED, &TALLIED];

/// Some days of two small services.
async fn run(front: &Store, back: &Store) -> Outcome {
    for day in 0..3 {
        let id = |n: u64| format!("{day}.{n}");
        let mut collect = claim(front, Collect::default()).await?;
        submit(&mut collect, vec![add(&id(1), "a", 5), add(&id(1), "a", 5), add(&id(2), "é", 7), add(&id(3), "a", 0)])
            .await?;
        submit(&mut collect, vec![add(&id(1), "a", 5)]).await?;
        submit(&mut collect, vec![add(&id(4), "b", 1), add(&id(5), "a B", 2)]).await?;
        catch_up(TallyUp, Partition(0), back, &ADDED, front).await?;
        catch_up(TallyUp, Partition(1), back, &ADDED, front).await?;
        catch_up(Copy, of("all"), front, &TALLIED, back).await?;
        submit(&mut collect, vec![add(&id(6), "a", 3)]).await?;
        catch_up(TallyUp, of("a"), back, &ADDED, front).await?;
    }
    catch_up(Copy, of("all"), front, &TALLIED, back).await
}

/// So little memory that everything is compared at once and put aside.
const NARROW: Limits = Limits { rows: 1, bytes: 1, held_bytes: 0, fingerprints: 0 };

/// The findings are the same whatever the limits.
async fn audit(stores: Vec<Store>) -> Result<Report, StoreError> {
    let report = audit_within(stores.clone(), Limits::default()).await?;
    assert_eq!(audit_within(stores, NARROW).await?, report);
    Ok(report)
}

async fn audit_within(stores: Vec<Store>, limits: Limits) -> Result<Report, StoreError> {
    let mut audit = Audit::within(&STREAMS, stores, Watch::nobody(), limits).await?;
    audit.stage("front", |_| Copy);
    audit.ingress("front", |_| Collect::default());
    audit.stage("back", |_| TallyUp);
    audit.finish().await
}

/// Files that were run and stopped.
async fn stopped() -> Files {
    let files = Files::new();
    let front = files.open(meta("front").unwrap(), FRONT).await.unwrap();
    let back = files.open(meta("back").unwrap(), BACK).await.unwrap();
    run(&front, &back).await.unwrap();
    front.close().await;
    back.close().await;
    files
}

/// What the audit finds after the statements, which must change something; `None`: they were refused.
async fn after(files: &Files, service: &str, statements: &str) -> Option<Vec<String>> {
    let copy = Files::new();
    for service in ["front", "back"] {
        std::fs::copy(files.path(service), copy.path(service)).unwrap();
    }
    let changed = match execute(&copy.path(service), statements).await {
        Ok(changed) => changed,
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return None,
        Err(error) => panic!("{error}: {statements}"),
    };
    assert!(changed > 0, "{statements}");
    Some(audit_files(&copy).await)
}

async fn audit_files(files: &Files) -> Vec<String> {
    let mut stores = Vec::new();
    for service in ["front", "back"] {
        match Sqlite::open_to_read(&files.path(service), meta(service).unwrap()).await {
            Ok(sqlite) => stores.push(Store::from(sqlite)),
            Err(StoreError::Damaged(what)) => return vec![what],
            Err(error) => panic!("{error:?}"),
        }
    }
    let report = audit(stores.clone()).await.unwrap();
    for store in stores {
        store.close().await;
    }
    report.findings.iter().map(ToString::to_string).collect()
}

async fn check(statements: &str, expected: &[&str]) {
    let found = after(&stopped().await, "back", statements).await.unwrap();
    for (at, expected) in expected.iter().enumerate() {
        let found = found.get(at).map(String::as_str).unwrap_or_default();
        assert!(found.starts_with(expected), "expected {expected:?}, found {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[tokio::test]
async fn what_was_only_run_is_clean() {
    let maps = Maps::default();
    let front = maps.open(meta("front").unwrap(), FRONT).await.unwrap();
    let back = maps.open(meta("back").unwrap(), BACK).await.unwrap();
    run(&front, &back).await.unwrap();
    let report = audit(vec![front.clone(), back.clone()]).await.unwrap();
    assert_eq!(report.findings, []);
    let metrics: Vec<_> =
        report.checked.iter().map(|c| (c.stage, c.batches, c.facts, c.frames, c.rows, c.unread)).collect();
    assert_eq!(metrics, [("copy", 8, 15, 0, 16, 0), ("collect", 12, 15, 12, 15, 0), ("tally", 18, 15, 9, 19, 0)]);
    assert!(report.is_quiet());
    assert_eq!(audit_files(&stopped().await).await, [""; 0]);

    let mut collect = claim(&front, Collect::default()).await.unwrap();
    submit(&mut collect, vec![add("late", "a", 1)]).await.unwrap();
    let report = audit(vec![front, back]).await.unwrap();
    assert_eq!((report.findings.len(), report.is_quiet()), (0, false), "unread is no fault");
}

#[tokio::test]
async fn the_first_wrong_record_is_named() {
    check(
        "UPDATE tallies SET sum = sum + 1 WHERE name = 'é'",
        &["back: table tallies key (é): column sum holds \"22\", derived is \"21\""],
    )
    .await;
    check("DELETE FROM ticks WHERE name = 'a' AND number = 2", &["back: table ticks key (a, 2): this row is missing"])
        .await;
    check("INSERT INTO ticks VALUES ('a', 99, 1, 1)", &["back: table ticks key (a, 99): no batch wrote this row"])
        .await;
    check("CREATE TABLE more (x TEXT); INSERT INTO more VALUES ('x')", &["back: table more: belongs to no stage"])
        .await;
    check("INSERT INTO owners VALUES ('sum/0', 1, 'x')", &["back: batch sum/0 1: is noted as the newest"]).await;
}

#[tokio::test]
async fn a_changed_frame_is_named_once() {
    let changed = "UPDATE journal SET body = replace(body, 'sum\":21', 'sum\":31') WHERE producer = 'tally/1' AND body LIKE '%sum\":21%'";
    let files = stopped().await;
    let found = after(&files, "back", changed).await.unwrap();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("back: journal tally/") && found[0].ends_with("its hash does not fit"), "{found:?}");
}

#[tokio::test]
async fn a_deleted_batch_is_named_whether_first_middle_or_last() {
    let files = stopped().await;
    let deleted = |number: u64| format!("DELETE FROM batches WHERE owner = 'collect/0' AND number = {number}");
    for (number, expected) in [
        (1, "front: batch collect/0 1: is missing; the next one there is 2"),
        (5, "front: batch collect/0 5: is missing; the next one there is 6"),
        (12, "front: batch collect/0 12: is noted as the newest and missing"),
    ] {
        assert_eq!(after(&files, "front", &deleted(number)).await.unwrap(), [expected]);
    }
    let hidden = "UPDATE owners SET number = 11, hash = (SELECT hash FROM batches WHERE owner = 'collect/0' AND number = 11) \
                  WHERE owner = 'collect/0'";
    let found = after(&files, "front", &format!("{}; {hidden}", deleted(12))).await.unwrap();
    assert!(found.iter().any(|found| found.ends_with("no batch said it")), "{found:#?}");
    assert!(found.iter().any(|found| found.ends_with("no batch wrote this row")), "{found:#?}");
    let all = "DELETE FROM batches WHERE owner = 'collect/0'; DELETE FROM owners WHERE owner = 'collect/0'";
    assert!(!after(&files, "front", all).await.unwrap().is_empty());
}

/// The columns of the tables that every store has.
const OWN: &[(&str, &[(&str, CellKind)])] = &[
    ("meta", &[("key", CellKind::Text), ("value", CellKind::Text)]),
    (
        "batches",
        &[
            ("owner", CellKind::Text),
            ("number", CellKind::Integer),
            ("epoch", CellKind::Integer),
            ("consumed", CellKind::Text),
            ("checkpoint", CellKind::Text),
            ("committed_at", CellKind::Text),
            ("previous", CellKind::Text),
            ("hash", CellKind::Text),
        ],
    ),
    ("owners", &[("owner", CellKind::Text), ("number", CellKind::Integer), ("hash", CellKind::Text)]),
    (
        "journal",
        &[
            ("producer", CellKind::Text),
            ("target", CellKind::Text),
            ("seq", CellKind::Integer),
            ("facts", CellKind::Integer),
            ("previous", CellKind::Text),
            ("hash", CellKind::Text),
            ("body", CellKind::Text),
        ],
    ),
];

fn columns(tables: &[&Table]) -> Vec<(String, Vec<(String, CellKind)>)> {
    let own = OWN.iter().map(|(table, columns)| {
        ((*table).to_owned(), columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect())
    });
    let column = |column: &Column| (column.name.to_owned(), column.kind);
    let stages = tables.iter().map(|table| (table.name.to_owned(), table.columns.iter().map(column).collect()));
    own.chain(stages).collect()
}

/// One row of a table, by its place in the order of its first columns.
fn row(table: &str, columns: &[(String, CellKind)], at: usize) -> String {
    let all: Vec<_> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let all = all.join(", ");
    // A null is equal to nothing, so it is left out of the comparison.
    let key: Vec<_> =
        columns.iter().filter(|(name, _)| name != "known").map(|(name, _)| format!("\"{name}\"")).collect();
    let key = key.join(", ");
    format!("({key}) = (SELECT {key} FROM {table} ORDER BY {all} LIMIT 1 OFFSET {at})")
}

#[tokio::test]
async fn every_changed_value_is_found() {
    let files = stopped().await;
    let mut tried = 0;
    for (service, tables) in [("front", FRONT), ("back", BACK)] {
        for (table, columns) in columns(tables) {
            for (column, kind) in &columns {
                let others: &[&str] = match kind {
                    CellKind::Integer => &["{} + 1", "-1 - {}", "9223372036854775807", "{} | 4294967296"],
                    CellKind::Text | CellKind::Decimal => &[
                        "{} || ' '",
                        "'~' || substr({}, 2)",
                        "substr({}, 1, length({}) - 1)",
                        "CAST(x'ff' AS TEXT)",
                        "''",
                    ],
                };
                for (other, at) in others.iter().zip([0, 1, 2, 0, 1]) {
                    let other = other.replace("{}", &format!("\"{column}\""));
                    let row = row(&table, &columns, at % rows_of(&table));
                    let statement = format!("UPDATE {table} SET \"{column}\" = {other} WHERE {row}");
                    if column == "known" {
                        continue; // There are nulls among them; see below.
                    }
                    tried += 1;
                    // Refused by the key: nothing was changed.
                    let Some(found) = after(&files, service, &statement).await else {
                        continue;
                    };
                    let named = found.iter().filter(|found| is_named(found, &table)).count();
                    assert!(named > 0, "not named: {service} {statement}: {found:#?}");
                }
            }
        }
    }
    assert!(tried > 150, "{tried}");
    assert!(!after(&files, "front", "UPDATE collected SET known = 3 WHERE known IS NULL").await.unwrap().is_empty());
    assert!(
        !after(&files, "front", "UPDATE collected SET known = NULL WHERE known IS NOT NULL").await.unwrap().is_empty()
    );
}

/// Whether a finding is about this table.
fn is_named(found: &str, table: &str) -> bool {
    match table {
        "meta" => found.contains("meta"),
        "batches" => found.contains("batch"),
        "owners" => found.contains("batch") || found.contains("owner"),
        "journal" => found.contains("journal"),
        stages => found.contains(&format!("table {stages}")),
    }
}

/// Of these tables there is only one row.
fn rows_of(table: &str) -> usize {
    if table == "newest" { 1 } else { 2 }
}

#[tokio::test]
async fn every_deleted_row_and_every_two_swapped_are_found() {
    let files = stopped().await;
    for (service, tables) in [("front", FRONT), ("back", BACK)] {
        for (table, columns) in columns(tables) {
            for at in 0..12 {
                let deleted = format!("DELETE FROM {table} WHERE {}", row(&table, &columns, at));
                let copy = Files::new();
                std::fs::copy(files.path(service), copy.path(service)).unwrap();
                if execute(&copy.path(service), &deleted).await.unwrap() == 0 {
                    break;
                }
                let found = after(&files, service, &deleted).await.unwrap();
                assert!(!found.is_empty(), "not found: {service} {deleted}");
            }
        }
    }
    for (service, table, column, one, other) in [
        ("front", "batches", "consumed", "owner = 'collect/0' AND number = 2", "owner = 'collect/0' AND number = 3"),
        ("front", "batches", "hash", "owner = 'collect/0' AND number = 2", "owner = 'collect/0' AND number = 3"),
        ("front", "collected", "by", "request_id = '0.1'", "request_id = '0.2'"),
        ("front", "copied", "sum", "version = 1", "version = 3"),
        ("back", "journal", "body", "seq = 1", "seq = 2"),
        ("back", "ticks", "by", "name = 'a' AND number = 1", "name = 'a' AND number = 2"),
    ] {
        let value = |row: &str| format!("(SELECT \"{column}\" FROM {table} WHERE {row} LIMIT 1)");
        let swap = format!(
            "UPDATE {table} SET \"{column}\" = CASE WHEN {one} THEN {} ELSE {} END WHERE ({one}) OR ({other})",
            value(other),
            value(one)
        );
        let found = after(&files, service, &swap).await.unwrap();
        assert!(!found.is_empty(), "not found: {swap}");
    }
}

#[tokio::test]
async fn no_byte_of_a_file_can_make_it_panic() {
    let files = stopped().await;
    let bytes = std::fs::read(files.path("back")).unwrap();
    let mut found = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let copy = Files::new();
        std::fs::copy(files.path("front"), copy.path("front")).unwrap();
        let mut other = bytes.clone();
        other[at] ^= 0x04;
        std::fs::write(copy.path("back"), other).unwrap();
        found += usize::from(opens(&copy.path("back")).await && !audit_files(&copy).await.is_empty());
    }
    assert!(found > 0);
}

async fn opens(path: &Path) -> bool {
    Sqlite::open_to_read(path, meta("back").unwrap()).await.is_ok()
}

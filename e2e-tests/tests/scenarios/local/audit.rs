//! The audit of a stopped system finds and names every change of its stored data.

mod damage;
mod short_history;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::scenarios::harness::{Load, LocalSystem, Namespace, Random, overdraft, wait_until_books_settle};

use self::damage::{Damage, File};

/// The seed that selects rows and bits. The tests must pass with any seed.
const SEED: u64 = 0xB17_F11B;

/// A stopped system with rows in every table, and with a short history of rates, so that many audits take little time.
async fn stopped() -> LocalSystem {
    fill(short_history::start().await).await
}

/// A stopped system with rows in every table, and with the built-in history.
async fn stopped_with_built_in_history() -> LocalSystem {
    fill(LocalSystem::start().await).await
}

/// Fills every table, and stops the system.
async fn fill(mut local: LocalSystem) -> LocalSystem {
    let (client, namespace) = (&local.client, Namespace::new());
    let load = Load::prepare(client, 3).await;
    assert_eq!(load.send(client).finish().await.len(), load.len());
    load.assert_one_effect_each(client).await;
    let sku = namespace.name("lantern");
    client.put_offer(&sku, &json!({"price": {"amount": "1.00", "currency": "GBP"}, "open_price": true})).await;
    client.buy(&namespace.name("rejected"), &namespace.order("alice", "BTN", &[&sku])).await.expect_status(201);
    let alice = client.open_account(&namespace, "alice", &overdraft("1.00", "fee")).await;
    client.open_account(&namespace, "bob", &json!(null)).await;
    client.open_limited_account(&namespace, "carol", "5.00").await;
    client.pay(&namespace.name("t0"), &namespace.name("carol"), "merchant", "1.00").await.expect_status(201);
    client.pay(&namespace.name("t1"), alice.as_str(), "merchant", "2.00").await.expect_status(201);
    client.pay(&namespace.name("t2"), &namespace.name("nobody"), "merchant", "2.00").await.expect_status(201);
    // Stock that is over-sold, given back and lost.
    let room = namespace.name("room");
    client.put_limited_offer(&room, json!({"capacity": 1})).await;
    let bought = client.buy_together(&namespace, &["grace", "heidi"], &room).await;
    client.cancel(&bought[0], &json!({})).await.expect_status(201);
    client.recall(&namespace.name("strike"), &room, 1).await.expect_status(201);
    // Goods that come back, and others that nobody takes back.
    for (key, goods) in [("back", sku), ("refused", namespace.name("nothing"))] {
        let order = namespace.order("alice", "GBP", &[&goods]);
        client.bring_back(&namespace.name(key), &order).await.expect_status(201);
    }
    wait_until_books_settle(client).await;
    local.stop().await;
    local
}

/// Damages the file of one service in each of these ways, one at a time, and asserts that the audit finds it.
async fn check(local: LocalSystem, service: &'static str, ways: &[Damage]) {
    let mut random = Random(SEED);
    let path = local.data().join(format!("{service}.sqlite"));
    let whole = fs::read(&path).unwrap();
    let clean = local.audit().await;
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    let (mut damages, mut missed) = (0, Vec::new());
    for table in File::open(&path).await.tables().await {
        for way in ways {
            for column in way.columns(&table) {
                let mut file = File::open(&path).await;
                let done = way.apply(&mut file, &table, column, &mut random).await;
                file.close().await;
                if let Some(done) = done {
                    damages += 1;
                    missed.extend(
                        verdict(&local.audit().await, service, &table.name).err().map(|why| format!("{done}: {why}")),
                    );
                    restore(&path, &whole);
                }
            }
        }
    }
    eprintln!("{damages} kinds of damage to {service} with seed {SEED:#x}");
    assert!(
        missed.is_empty(),
        "of {damages} kinds of damage the audit missed or misnamed {}:\n{}",
        missed.len(),
        missed.join("\n")
    );
    let clean = local.audit().await;
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
}

/// Checks that the audit exits with code 1 and names the service and the record.
fn verdict(audit: &Output, service: &str, table: &str) -> Result<(), String> {
    let printed = format!("{}{}", String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
    if audit.status.code() != Some(1) {
        return Err(format!("{:?}: {printed}", audit.status));
    }
    let table_place = format!("table {table}");
    let places = match table {
        "journal" => ["journal "].as_slice(),
        "batches" => &["batch "],
        "owners" => &["batch ", "owners"],
        "meta" => &["meta"],
        _ => &[table_place.as_str()],
    };
    let named = |line: &str| line.contains(service) && places.iter().any(|place| line.contains(place));
    if printed.lines().any(named) && !printed.contains("panicked") { Ok(()) } else { Err(printed) }
}

/// Writes back the undamaged file, and removes the `-wal` and `-shm` files beside it.
fn restore(path: &Path, whole: &[u8]) {
    for rest in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(rest);
        if fs::exists(&name).unwrap() {
            fs::remove_file(&name).unwrap();
        }
    }
    fs::write(path, whole).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_in_any_column_of_exchange_rate_is_found_and_named() {
    check(stopped_with_built_in_history().await, "exchange-rate", &[Damage::Bit]).await;
}

#[tokio::test]
async fn a_flipped_bit_in_any_column_of_purchase_is_found_and_named() {
    check(stopped().await, "purchase", &[Damage::Bit]).await;
}

#[tokio::test]
async fn a_flipped_bit_in_any_column_of_the_ledger_is_found_and_named() {
    check(stopped().await, "ledger", &[Damage::Bit]).await;
}

const ROWS: [Damage; 5] = [Damage::Delete, Damage::DeleteLast, Damage::Insert, Damage::Swap, Damage::Empty];

#[tokio::test]
async fn a_deleted_added_or_swapped_row_of_exchange_rate_is_found_and_named() {
    check(stopped_with_built_in_history().await, "exchange-rate", &ROWS).await;
}

#[tokio::test]
async fn a_deleted_added_or_swapped_row_of_purchase_is_found_and_named() {
    check(stopped().await, "purchase", &ROWS).await;
}

#[tokio::test]
async fn a_deleted_added_or_swapped_row_of_the_ledger_is_found_and_named() {
    check(stopped().await, "ledger", &ROWS).await;
}

#[tokio::test]
async fn a_missing_file_or_one_that_is_not_a_database_is_named() {
    let local = stopped().await;
    for service in unbundled::services::all(None).iter().map(web::ServiceDefinition::name) {
        let path = local.data().join(format!("{service}.sqlite"));
        let whole = fs::read(&path).unwrap();
        for damaged in [None, Some(b"no database here".repeat(300)), Some(whole[..whole.len() / 2].to_vec())] {
            match &damaged {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let audit = local.audit().await;
            let printed =
                format!("{}{}", String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
            assert!(audit.status.code().is_some_and(|code| code != 0), "{service}: {printed}");
            assert!(printed.contains(service) && !printed.contains("panicked"), "{service}: {printed}");
            restore(&path, &whole);
        }
    }
    assert_eq!(local.audit().await.status.code(), Some(0));
}

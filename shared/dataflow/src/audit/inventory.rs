//! What is there and no stage accounts for: owners, frames, tables that nobody wrote.

use std::collections::BTreeSet;

use stage::{Producer, Seq, StreamPartition};

use super::{Accounted, AuditedService, End, Finding, at, batch_place, frame_place, wrong};

pub(super) async fn check(service: &AuditedService, accounted: &Accounted) -> Vec<End> {
    let mut ends = records(service, accounted);
    ends.extend(frames(service, accounted));
    ends.extend(tables(service, accounted));
    ends.extend(notes(service, accounted).await);
    ends
}

fn records(service: &AuditedService, accounted: &Accounted) -> Vec<End> {
    let mut ends = Vec::new();
    for (name, rows) in &service.inventory.records {
        let owner = name.parse().ok().and_then(|owner| accounted.owners.get(&owner));
        let what = match owner {
            None => format!("{rows} batch records of an owner that is no stage's"),
            Some(Some(records)) if records != rows => {
                format!("{rows} batch records, of which only {records} follow each other from the first")
            }
            Some(_) => continue,
        };
        ends.push(wrong(service.name, format!("batches {name}"), what));
    }
    ends
}

/// Frames after the last that a batch said, and journals of which no batch said anything.
fn frames(service: &AuditedService, accounted: &Accounted) -> Vec<End> {
    let mut ends = Vec::new();
    for (by, to, rows) in &service.inventory.frames {
        let (Ok(by), Ok(to)) = (by.parse::<Producer>(), to.parse::<StreamPartition>()) else {
            continue;
        };
        let is_whole = accounted.owners.get(&by).is_some_and(Option::is_some);
        let emitted = accounted.emitted.get(&(by.clone(), to.clone())).map_or(0, |seq| seq.0);
        if is_whole && emitted < *rows {
            let place = frame_place(&by, &to, Seq(emitted + 1));
            ends.push(wrong(service.name, place, "no batch said it"));
        }
    }
    ends
}

fn tables(service: &AuditedService, accounted: &Accounted) -> Vec<End> {
    let there: BTreeSet<_> = service.inventory.tables.iter().map(String::as_str).collect();
    let unknown = there.iter().filter(|name| !accounted.tables.contains(**name));
    let what = "belongs to no stage";
    unknown.map(|name| wrong(service.name, format!("table {name}"), what)).collect()
}

/// The note of the newest record of each owner: of those who have none at all.
async fn notes(service: &AuditedService, accounted: &Accounted) -> Vec<End> {
    let notes = match service.store.chain_ends().await.map_err(at(service.name, "owners")) {
        Ok(notes) => notes,
        Err(end) => return vec![end],
    };
    let unknown = notes.into_iter().filter(|(owner, _, _)| !accounted.owners.contains_key(owner));
    let finding = |(owner, number, _)| Finding {
        service: service.name,
        place: batch_place(&owner, number),
        what: "is noted as the newest of an owner that is no stage's".to_owned(),
    };
    unknown.map(finding).map(End::Wrong).collect()
}

//! The lines of a purchase, and what became of those whose stock is limited.

use contracts::{LineStatus, PurchaseLine, Sku};
use rules::{Dropped, LineStock, Settlement};

use crate::accept::PurchaseRow;
use crate::settle::SettlementRow;

pub(crate) fn lines(row: &PurchaseRow, settlement: Option<&SettlementRow>) -> Vec<PurchaseLine> {
    let lines = row.lines.iter().cloned().map(PurchaseLine::from);
    let is_open = row.constraint.is_some() && row.reason_code.is_none();
    match settlement {
        None if !is_open => lines.collect(),
        None => lines.map(|line| PurchaseLine { state: Some(LineStatus::Open), ..line }).collect(),
        Some(SettlementRow { state, .. }) => {
            (0..).zip(lines).map(|(number, line)| decided(number, line, state)).collect()
        }
    }
}

fn decided(number: u32, line: PurchaseLine, settlement: &Settlement) -> PurchaseLine {
    let planned = settlement.plan.as_ref().zip(usize::try_from(number).ok());
    let planned = planned.and_then(|(plan, number)| plan.lines.get(number));
    let is_limited = planned.is_some_and(|line| line.is_limited);
    let stock = settlement.lines.get(&number).map(|line| &line.stock);
    let upgraded_to = match stock {
        Some(LineStock::Held(place)) if place.sku != line.sku => Some(place.sku.clone()),
        _ => None,
    };
    let state = match (settlement.dropped.get(&number), stock) {
        (Some(Dropped::Refused), _) => Some(LineStatus::Refused),
        (Some(Dropped::Lost), _) => Some(LineStatus::Lost),
        (Some(Dropped::Released | Dropped::Cancelled(_)), _) => Some(LineStatus::Released),
        (None, None) => is_limited.then_some(LineStatus::Open),
        (None, Some(LineStock::Held(_))) => Some(kind(upgraded_to.as_ref())),
        (None, Some(LineStock::Queued(_))) => Some(LineStatus::Queued),
        (None, Some(LineStock::Nothing | LineStock::Gone)) => Some(LineStatus::Refused),
    };
    let upgraded_to = upgraded_to.filter(|_| state == Some(LineStatus::Upgraded));
    PurchaseLine { state, upgraded_to, ..line }
}

fn kind(upgraded_to: Option<&Sku>) -> LineStatus {
    if upgraded_to.is_some() { LineStatus::Upgraded } else { LineStatus::Held }
}

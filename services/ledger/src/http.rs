//! `GET /accounts/{id}`, `GET /accounts/{id}/entries`, `GET /trial-balance`.

use std::collections::BTreeMap;

use ::web::Problem;
use actix_web::HttpRequest;
use actix_web::web::{self, Data, Json, ServiceConfig};
use contracts::{Account, AccountId, Entries, Entry, TrialBalance, TrialLine};
use dataflow::Store;
use money::{Amount, Currency, Money};
use serde::Deserialize;
use stage::Cell;

use crate::post::{AccountRow, BalanceRow, EntryRow, TotalsRow};

/// Accounts that are there before anything is posted to them.
const HOUSE: [&str; 4] = ["merchant", "fx", "fees", "vouchers"];
/// Entries of a page, unless the client says otherwise.
const PAGE_DEFAULT: usize = 100;
/// Entries of a page at most.
const PAGE_MAX: usize = 1_000;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig, store: &Store) {
    config
        .app_data(Data::new(store.clone()))
        .service(web::resource("/accounts/{id}").route(web::get().to(account)))
        .service(web::resource("/accounts/{id}/entries").route(web::get().to(entries)))
        .service(web::resource("/trial-balance").route(web::get().to(trial_balance)));
}

async fn account(store: Data<Store>, request: HttpRequest) -> Result<Json<Account>, Problem> {
    let id = known_account(&store, &request).await?;
    let rows = store.rows::<BalanceRow>(&[Cell::Text(id.to_string())], None, usize::MAX).await?;
    let balances = rows.into_iter().map(|row| (row.currency, row.amount)).collect();
    Ok(Json(Account { id, balances }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<u64>,
    limit: Option<usize>,
}

async fn entries(store: Data<Store>, request: HttpRequest) -> Result<Json<Entries>, Problem> {
    let id = known_account(&store, &request).await?;
    let Page { after, limit } = ::web::query(&request)?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::unprocessable(format!("limit is 1 to {PAGE_MAX}")).at("limit"));
    }
    let after = i64::try_from(after.unwrap_or(0)).unwrap_or(i64::MAX);
    let rows = store.rows::<EntryRow>(&[Cell::Text(id.to_string())], Some(&[Cell::Integer(after)]), limit + 1).await?;
    let more = rows.len() > limit;
    let entries = rows.into_iter().take(limit).map(entry).collect::<Result<Vec<_>, _>>()?;
    let next = entries.last().map(|entry| entry.number).filter(|_| more);
    Ok(Json(Entries { entries, next }))
}

fn entry(row: EntryRow) -> Result<Entry, Problem> {
    let amount = Money::new(row.amount, row.currency).map_err(|error| Problem::internal(&error))?;
    Ok(Entry { number: row.number, transfer: row.transfer, side: row.side, amount, time: row.time })
}

/// The account named in the path, if anything was ever posted to it.
async fn known_account(store: &Store, request: &HttpRequest) -> Result<AccountId, Problem> {
    let name = ::web::segment::decode(request, "id")?;
    let missing = || Problem::not_found("no such account: accounts open with their first entry");
    let id: AccountId = name.parse().map_err(|_| missing())?;
    let known = HOUSE.contains(&id.as_str()) || store.get::<AccountRow>(&(id.clone(),)).await?.is_some();
    known.then_some(id).ok_or_else(missing)
}

/// From one snapshot: one statement reads all partitions' totals.
async fn trial_balance(store: Data<Store>) -> Result<Json<TrialBalance>, Problem> {
    let rows = store.rows::<TotalsRow>(&[], None, usize::MAX).await?;
    Ok(Json(add_up(&rows)))
}

fn add_up(rows: &[TotalsRow]) -> TrialBalance {
    let mut balance: BTreeMap<Currency, TrialLine> = BTreeMap::new();
    for row in rows {
        let zero = Amount::zero(row.currency);
        let line = balance.entry(row.currency).or_insert(TrialLine {
            debits: zero,
            credits: zero,
            in_transit_debits: zero,
            in_transit_credits: zero,
            difference: zero,
        });
        line.debits += row.debits;
        line.credits += row.credits;
        line.in_transit_debits += row.said_debits - row.applied_debits;
        line.in_transit_credits += row.said_credits - row.applied_credits;
        line.difference = line.debits + line.in_transit_debits - line.credits - line.in_transit_credits;
    }
    balance
}

//! The books: accounts, their entries, the trial balance.

use ::web::{Failing, NotFound, Problem, Reading, UnprocessableContent};
use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use contracts::{Account, AccountId, Entries, Entry, TrialBalance};
use dataflow::{Store, StoreError};
use money::Money;
use serde::Deserialize;
use stage::Cell;
use utoipa::IntoParams;

use super::Ledger;
use crate::post::{AccountRow, BalanceRow, EntryRow, TotalsRow};
use crate::trial_balance::add_up;

/// Number of entries on a page, unless the client sets `limit`.
const PAGE_DEFAULT: usize = 100;
/// Maximum number of entries on a page.
const PAGE_MAX: usize = 1_000;

/// An account and its balances.
#[utoipa::path(
    get, path = "/accounts/{id}", tag = "accounts", operation_id = "get_account",
    params(("id" = AccountId, Path, description = "The account; `customer:{id}` for a customer.")),
    responses((status = 200, description = "The account.", body = Account), NotFound, Reading)
)]
pub async fn account(ledger: Data<Ledger>, request: HttpRequest) -> Result<Json<Account>, Problem> {
    let id = account_id(&request)?;
    Ok(Json(show(&ledger.store, id).await?.ok_or_else(no_account)?))
}

/// The current state of an account, if it exists.
pub async fn show(store: &Store, id: AccountId) -> Result<Option<Account>, StoreError> {
    let row = store.get::<AccountRow>(&(id.clone(),)).await?;
    if row.is_none() && !id.is_system() {
        return Ok(None);
    }
    let balances = store.rows::<BalanceRow>(&[Cell::Text(id.to_string())], None, usize::MAX).await?;
    let balances = balances.into_iter().map(|row| (row.currency, row.amount)).collect();
    let (overdraft, daily_limit) = row.map(|row| (row.overdraft, row.daily_limit)).unwrap_or_default();
    Ok(Some(Account { id, balances, overdraft, daily_limit }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// The number of the last entry on the previous page.
    #[param(format = "uint64", maximum = 18_446_744_073_709_551_615_u64)]
    after: Option<u64>,
    /// The maximum number of entries; 100 by default.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
}

/// The entries of an account, in order, page by page.
#[utoipa::path(
    get, path = "/accounts/{id}/entries", tag = "accounts", operation_id = "list_entries",
    params(("id" = AccountId, Path, description = "The account; `customer:{id}` for a customer."), Page),
    responses((status = 200, description = "The entries.", body = Entries), NotFound, UnprocessableContent, Reading)
)]
pub async fn entries(ledger: Data<Ledger>, request: HttpRequest) -> Result<Json<Entries>, Problem> {
    let (store, id) = (&ledger.store, account_id(&request)?);
    if !id.is_system() && store.get::<AccountRow>(&(id.clone(),)).await?.is_none() {
        return Err(no_account());
    }
    let Page { after, limit } = ::web::query(&request)?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::unprocessable(format!("limit must be 1 to {PAGE_MAX}")).of_parameter("limit"));
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
    let EntryRow { number, request_id, purpose, side, time, .. } = row;
    Ok(Entry { number, request_id, purpose, side, amount, time })
}

fn account_id(request: &HttpRequest) -> Result<AccountId, Problem> {
    ::web::segment::decode(request, "id")?.parse().map_err(|_| no_account())
}

fn no_account() -> Problem {
    Problem::not_found("no such account: POST /accounts opens one; a customer's account opens with its first entry")
}

/// The trial balance by currency: debits, credits, amounts in transit, and the difference, which is always 0.
#[utoipa::path(
    get, path = "/trial-balance", tag = "books", operation_id = "get_trial_balance",
    responses((status = 200, description = "The trial balance, from one snapshot.", body = TrialBalance), Failing)
)]
pub async fn trial_balance(ledger: Data<Ledger>) -> Result<Json<TrialBalance>, Problem> {
    // One statement reads the totals of all partitions.
    let rows = ledger.store.rows::<TotalsRow>(&[], None, usize::MAX).await?;
    Ok(Json(add_up(&rows)))
}

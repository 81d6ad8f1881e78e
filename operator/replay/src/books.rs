//! The ledger's postings of the file's purchases and returns.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{AccountId, Entries, Leg, Purpose, Side};
use futures_util::{StreamExt, TryStreamExt, stream};
use money::{Amount, Currency};
use operator_client::{IN_FLIGHT, ServiceClient, ServiceError};
use serde::Serialize;
use stage::RequestId;

use crate::purchase::Accepted;

/// The number of entries per page.
const PAGE: u32 = 1_000;

/// Postings by purchase or return.
pub type Postings = BTreeMap<RequestId, Vec<Leg>>;

/// The account and side of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Amounts that customers paid.
    CustomerDebits,
    /// Amounts that customers got back.
    CustomerCredits,
    /// Amounts that the seller got.
    MerchantCredits,
    /// Amounts that the seller gave back.
    MerchantDebits,
    /// Amounts received for exchange.
    FxCredits,
    /// Amounts given in exchange.
    FxDebits,
    /// Any other place, where no purchase and no return posts.
    Elsewhere,
}

impl Place {
    /// The place of this leg.
    pub fn of(leg: &Leg) -> Self {
        match (leg.account.as_str(), leg.side) {
            ("merchant", Side::Credit) => Self::MerchantCredits,
            ("merchant", Side::Debit) => Self::MerchantDebits,
            ("fx", Side::Credit) => Self::FxCredits,
            ("fx", Side::Debit) => Self::FxDebits,
            (account, Side::Debit) if account.starts_with("customer:") => Self::CustomerDebits,
            (account, Side::Credit) if account.starts_with("customer:") => Self::CustomerCredits,
            (_, Side::Debit | Side::Credit) => Self::Elsewhere,
        }
    }
}

/// Sums by place and currency.
pub type Sums = BTreeMap<Place, BTreeMap<Currency, Amount>>;

/// Adds up postings.
pub fn sums<'a>(legs: impl IntoIterator<Item = &'a Leg>) -> Sums {
    let mut sums = Sums::new();
    for leg in legs {
        let currency = leg.amount.currency();
        let of_place = sums.entry(Place::of(leg)).or_default();
        *of_place.entry(currency).or_insert_with(|| Amount::zero(currency)) += leg.amount.amount();
    }
    sums
}

/// All postings of what was accepted, from the accounts that they may have touched. Other entries of these
/// accounts, from a user's own experiments, are left out.
///
/// # Errors
/// [`ServiceError`].
pub async fn postings(ledger: &ServiceClient, all: &[Accepted]) -> Result<Postings, ServiceError> {
    let submissions = || all.iter().map(|accepted| &accepted.submission);
    let ours: BTreeMap<_, _> = submissions().map(|sent| (&sent.request_id, sent.kind.purpose())).collect();
    let customers = submissions().map(|sent| AccountId::of_customer(&sent.customer));
    let accounts: BTreeSet<_> = customers.chain([AccountId::merchant(), AccountId::fx()]).collect();
    stream::iter(accounts)
        .map(|account| of_account(ledger, account, &ours))
        .buffer_unordered(IN_FLIGHT)
        .try_fold(Postings::new(), async |mut all, found| {
            for (transfer, leg) in found {
                all.entry(transfer).or_default().push(leg);
            }
            Ok(all)
        })
        .await
}

async fn of_account(
    ledger: &ServiceClient,
    account: AccountId,
    ours: &BTreeMap<&RequestId, Purpose>,
) -> Result<Vec<(RequestId, Leg)>, ServiceError> {
    let base = format!("/accounts/{}/entries?limit={PAGE}", web::segment::encode(account.as_str()));
    let (mut found, mut path) = (Vec::new(), base.clone());
    let mut last = 0;
    // An account that does not exist has no entries: all that its customer sent was rejected.
    while let Some(page) = ledger.get::<Entries>(&path).await? {
        for entry in page.entries {
            if entry.number <= last {
                return Err(ledger.unexpected(&path, &format!("entry {} after entry {last}", entry.number)));
            }
            last = entry.number;
            // A transfer, or a fee, may have the same id.
            if ours.get(&entry.request_id) == Some(&entry.purpose) {
                let leg = Leg { account: account.clone(), side: entry.side, amount: entry.amount };
                found.push((entry.request_id, leg));
            }
        }
        match page.next {
            Some(next) => path = format!("{base}&after={next}"),
            None => break,
        }
    }
    Ok(found)
}

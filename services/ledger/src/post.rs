//! `post`: double entry. It posts the payer's leg of a purchase and says the remaining ones.
//!
//! Debit and credit meet in different partitions, and no commit spans them: the payer's leg is posted
//! here and now, the others are said in the same commit to the partitions of their accounts, where
//! they cannot be refused. What was said and is not yet posted is in transit.

use chrono::{DateTime, Utc};
use contracts::{AccountId, CREDITS, Fact, Leg, LegsSaid, OUTCOMES, PURCHASES, PaymentPosted, PurchaseConfirmed, Side};
use money::{Amount, Currency};
use stage::{
    Broken, Cause, Decimal, Event, Integer, Keys, Outputs, Partition, RequestId, Row as _, Rows, Spread, Stage, Stream,
    Table, Text, Time,
};

stage::row! {
    /// An account. It opens with its first entry.
    pub struct AccountRow: "accounts" {
        key {
            /// Its name.
            account: AccountId => Text,
        }
        value {
            /// How many entries it has.
            entries: u64 => Integer,
        }
    }
}

stage::row! {
    /// What an account holds in one currency: credits less debits.
    pub struct BalanceRow: "balances" {
        key {
            /// Whose.
            account: AccountId => Text,
            /// Of which currency.
            currency: Currency => Text,
        }
        value {
            /// How much.
            amount: Amount => Decimal,
        }
    }
}

stage::row! {
    /// One posting. Never changed.
    pub struct EntryRow: "entries" {
        key {
            /// To which account.
            account: AccountId => Text,
            /// 1, 2, 3 … of the account's.
            number: u64 => Integer,
        }
        value {
            /// The request it belongs to.
            transfer: RequestId => Text,
            /// Which side.
            side: Side => Text,
            /// Of which currency.
            currency: Currency => Text,
            /// How much; never negative.
            amount: Amount => Decimal,
            /// When the request came in.
            time: DateTime<Utc> => Time,
        }
    }
}

stage::row! {
    /// Running totals of one partition in one currency: what the trial balance adds up.
    pub struct TotalsRow: "totals" {
        key {
            /// Of which partition.
            partition: u64 => Integer,
            /// Of which currency.
            currency: Currency => Text,
        }
        value {
            /// Posted here.
            debits: Amount => Decimal,
            /// Posted here.
            credits: Amount => Decimal,
            /// Said from here to other accounts.
            said_debits: Amount => Decimal,
            /// Said from here to other accounts.
            said_credits: Amount => Decimal,
            /// Of those posted here, such as were said before.
            applied_debits: Amount => Decimal,
            /// Of those posted here, such as were said before.
            applied_credits: Amount => Decimal,
        }
    }
}

impl TotalsRow {
    fn zero(partition: u64, currency: Currency) -> Self {
        let zero = Amount::zero(currency);
        Self {
            partition,
            currency,
            debits: zero,
            credits: zero,
            said_debits: zero,
            said_credits: zero,
            applied_debits: zero,
            applied_credits: zero,
        }
    }
}

/// Posts to the accounts of one partition.
pub struct Post {
    partition: u64,
}

impl Post {
    /// For the accounts of this partition.
    pub fn new(partition: Partition) -> Self {
        Self { partition: u64::from(partition.0) }
    }

    fn leg_keys(&self, leg: &Leg, keys: &mut Keys) {
        keys.row::<AccountRow>(&(leg.account.clone(),));
        keys.row::<BalanceRow>(&(leg.account.clone(), leg.amount.currency()));
        keys.row::<TotalsRow>(&(self.partition, leg.amount.currency()));
    }

    /// Writes the entry, the balance and the posted total.
    fn post(&self, transfer: &RequestId, leg: &Leg, cause: &Cause, rows: &mut Rows) -> Result<(), Broken> {
        let (account, currency, amount) = (&leg.account, leg.amount.currency(), leg.amount.amount());
        let entries = rows.get::<AccountRow>(&(account.clone(),))?.map_or(0, |row| row.entries) + 1;
        rows.put(&AccountRow { account: account.clone(), entries })?;
        let balance = rows.get::<BalanceRow>(&(account.clone(), currency))?;
        let mut balance = balance.map_or(Amount::zero(currency), |row| row.amount);
        match leg.side {
            Side::Debit => balance -= amount,
            Side::Credit => balance += amount,
        }
        rows.put(&BalanceRow { account: account.clone(), currency, amount: balance })?;
        rows.insert(&EntryRow {
            account: account.clone(),
            number: entries,
            transfer: transfer.clone(),
            side: leg.side,
            currency,
            amount,
            time: cause.time,
        })?;
        self.total(rows, leg, |totals| match leg.side {
            Side::Debit => &mut totals.debits,
            Side::Credit => &mut totals.credits,
        })
    }

    fn total(&self, rows: &mut Rows, leg: &Leg, of: impl Fn(&mut TotalsRow) -> &mut Amount) -> Result<(), Broken> {
        let currency = leg.amount.currency();
        let totals = rows.get::<TotalsRow>(&(self.partition, currency))?;
        let mut totals = totals.unwrap_or(TotalsRow::zero(self.partition, currency));
        *of(&mut totals) += leg.amount.amount();
        rows.put(&totals)
    }
}

/// The legs of a purchase: the payer's first.
fn legs(purchase: &PurchaseConfirmed) -> (Leg, Vec<Leg>) {
    let leg = |account, side, amount| Leg { account, side, amount };
    let (charged, total) = (purchase.charged, purchase.total);
    let payer = leg(AccountId::of_customer(&purchase.customer), Side::Debit, charged);
    let mut others = vec![leg(AccountId::merchant(), Side::Credit, total)];
    if charged.currency() != total.currency() {
        others.push(leg(AccountId::fx(), Side::Credit, charged));
        others.push(leg(AccountId::fx(), Side::Debit, total));
    }
    (payer, others)
}

impl Stage for Post {
    type Fact = Fact;
    type Said = Fact;
    type Answer = ();
    const NAME: &'static str = "post";
    const SPREAD: Spread = Spread::Every;
    const READS: &'static [&'static Stream] = &[&PURCHASES, &CREDITS];
    const TABLES: &'static [&'static Table] =
        &[AccountRow::TABLE, BalanceRow::TABLE, EntryRow::TABLE, TotalsRow::TABLE];

    fn keys(&self, event: &Event<Fact>, _: &Rows, keys: &mut Keys) -> Result<(), Broken> {
        match &event.fact {
            Fact::PurchaseConfirmed(purchase) => {
                let (payer, others) = legs(purchase);
                self.leg_keys(&payer, keys);
                others.iter().for_each(|leg| keys.row::<TotalsRow>(&(self.partition, leg.amount.currency())));
            }
            Fact::LegsSaid(said) => said.legs.iter().for_each(|leg| self.leg_keys(leg, keys)),
            Fact::PurchaseRejected(_) | Fact::RatesPublished(_) | Fact::HistoryImported(_) | Fact::PaymentPosted(_) => {
            }
        }
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut Rows, say: &mut Outputs<Fact>) -> Result<(), Broken> {
        match &event.fact {
            Fact::PurchaseConfirmed(purchase) => {
                let (payer, others) = legs(purchase);
                let transfer = purchase.purchase.clone();
                self.post(&transfer, &payer, &event.cause, rows)?;
                for leg in &others {
                    self.total(rows, leg, |totals| match leg.side {
                        Side::Debit => &mut totals.said_debits,
                        Side::Credit => &mut totals.said_credits,
                    })?;
                }
                for legs in others.chunk_by(|a, b| a.account == b.account) {
                    let said = LegsSaid { transfer: transfer.clone(), legs: legs.to_vec() };
                    say.say(&CREDITS, legs[0].account.key(), Fact::LegsSaid(said))?;
                }
                let posted = PaymentPosted { purchase: transfer };
                say.say(&OUTCOMES, payer.account.key(), Fact::PaymentPosted(posted))
            }
            Fact::LegsSaid(said) => {
                for leg in &said.legs {
                    self.post(&said.transfer, leg, &event.cause, rows)?;
                    self.total(rows, leg, |totals| match leg.side {
                        Side::Debit => &mut totals.applied_debits,
                        Side::Credit => &mut totals.applied_credits,
                    })?;
                }
                Ok(())
            }
            // What was refused moves no money; the others are said elsewhere.
            Fact::PurchaseRejected(_) | Fact::RatesPublished(_) | Fact::HistoryImported(_) | Fact::PaymentPosted(_) => {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;

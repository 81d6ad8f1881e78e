//! The expected decisions on payments and claims, in the order in which `post` read them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::violation::Checked;
use super::{minor_units, text, units, unreadable};

/// One posting: account, request, purpose, side, currency, minor units.
pub type Posting = (String, String, &'static str, &'static str, String, i128);

/// How far a claimed account may go below zero in one currency, in minor units.
#[derive(Clone, Debug)]
struct Overdraft {
    currency: String,
    limit: i128,
    fee: Option<i128>,
}

/// An existing account.
#[derive(Clone, Debug)]
enum Account {
    /// Opened by its first entry; it has no limit.
    Used,
    /// Opened by a claim, perhaps with a daily limit in minor units of a currency.
    Claimed(Option<Overdraft>, Option<(i128, String)>),
}

/// The decision on one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// `purchase`, `transfer` or `claim`.
    pub kind: &'static str,
    /// The id of its request.
    pub request: String,
    /// The reason code of the refusal; `None` if it was not refused.
    pub refused: Option<&'static str>,
    /// Whether it crossed a limit for a fee.
    pub fee: bool,
}

/// The expected state of the ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<String, Account>,
    /// The balance of each account after the postings so far, in minor units by currency.
    held: BTreeMap<(String, String), i128>,
    /// What each account has paid on each day, in minor units by currency.
    paid: BTreeMap<(String, String, String), i128>,
    /// Postings that are expected and have not been seen yet, and how often. Refunds of one purchase may be equal.
    due: BTreeMap<Posting, u32>,
    /// The expected final balance of each account, in minor units by currency.
    pub balances: BTreeMap<(String, String), i128>,
    /// All decisions, by kind and request.
    pub decided: BTreeMap<(&'static str, String), Decided>,
}

const HOUSE: [&str; 4] = ["merchant", "fx", "fees", "vouchers"];

impl Ledger {
    /// Whether a transfer may name the account.
    pub fn knows(&self, account: &str) -> bool {
        HOUSE.contains(&account) || account.starts_with("customer:") || self.accounts.contains_key(account)
    }

    /// A posting was seen. Returns `false` if it was not expected (any more).
    pub fn posted(&mut self, posting: &Posting) -> bool {
        let Some(times) = self.due.get_mut(posting) else { return false };
        *times -= 1;
        if *times == 0 {
            self.due.remove(posting);
        }
        true
    }

    /// The expected postings that have not been seen.
    pub fn due(&self) -> impl Iterator<Item = &Posting> {
        self.due.keys()
    }

    /// Applies a fact that `post` has read. Returns the decision, if the fact requires one.
    pub fn apply(&mut self, fact: &Value) -> Checked<Option<Decided>> {
        let (data, kind) = (&fact["data"], text(&fact["type"])?);
        let day: String = text(&fact["time"])?.chars().take_while(|letter| *letter != 'T').collect();
        let decided = match kind.as_str() {
            "PurchaseConfirmed" => self.purchase(data, &day)?,
            "PurchaseRefunded" => {
                self.refund(data)?;
                return Ok(None);
            }
            "TransferAccepted" => self.transfer(data, &day)?,
            "AccountClaimed" => self.claim(data)?,
            "LegsRequested" => {
                for leg in data["legs"].as_array().ok_or_else(|| unreadable(data))? {
                    let (account, (amount, currency)) = (text(&leg["account"])?, money(&leg["amount"])?);
                    let signed = if leg["side"] == "credit" { amount } else { -amount };
                    self.hold(&account, &currency, signed);
                }
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let known = self.decided.insert((decided.kind, decided.request.clone()), decided.clone());
        super::ensure!(known.is_none(), Repeats, "{decided:?} was decided twice");
        Ok(Some(decided))
    }

    fn purchase(&mut self, data: &Value, day: &str) -> Checked<Decided> {
        let payer = format!("customer:{}", text(&data["customer"])?);
        let ((charged, pay_in), (total, currency)) = (money(&data["charged"])?, money(&data["total"])?);
        let mut legs = vec![("merchant", "credit", currency.clone(), total)];
        if pay_in != currency {
            legs.extend([("fx", "credit", pay_in.clone(), charged), ("fx", "debit", currency, total)]);
        }
        self.pay(("purchase", &text(&data["purchase"])?), &payer, (charged, &pay_in), &legs, day)
    }

    /// Posts the reverse of a part of a payment, and a voucher. It is never refused, and no payment of the day.
    fn refund(&mut self, data: &Value) -> Checked {
        let (request, payer) = (text(&data["purchase"])?, format!("customer:{}", text(&data["customer"])?));
        let ((credit, pay_in), (total, currency)) = (money(&data["credit"])?, money(&data["of_total"])?);
        let mut legs = vec![(payer.as_str(), "credit", credit, &pay_in), ("merchant", "debit", total, &currency)];
        if pay_in != currency {
            legs.extend([("fx", "debit", credit, &pay_in), ("fx", "credit", total, &currency)]);
        }
        for (account, side, amount, currency) in legs {
            self.owe(&request, "refund", account, side, (amount, currency));
        }
        self.hold(&payer, &pay_in, credit);
        if let Some(voucher) = data.get("voucher") {
            let (amount, currency) = money(voucher)?;
            self.owe(&request, "voucher", &payer, "credit", (amount, &currency));
            self.owe(&request, "voucher", "vouchers", "debit", (amount, &currency));
            self.hold(&payer, &currency, amount);
        }
        Ok(())
    }

    fn transfer(&mut self, data: &Value, day: &str) -> Checked<Decided> {
        let (payer, payee, (amount, currency)) =
            (text(&data["payer"])?, text(&data["payee"])?, money(&data["amount"])?);
        let legs = [(payee.as_str(), "credit", currency.clone(), amount)];
        self.pay(("transfer", &text(&data["transfer"])?), &payer, (amount, &currency), &legs, day)
    }

    fn claim(&mut self, data: &Value) -> Checked<Decided> {
        let (request, account) = (text(&data["claim"])?, text(&data["account"])?);
        let is_taken = HOUSE.contains(&account.as_str()) || self.accounts.contains_key(&account);
        if !is_taken {
            let overdraft = data.get("overdraft").map(overdraft).transpose()?;
            let daily_limit = data.get("daily_limit").map(money).transpose()?;
            self.accounts.insert(account, Account::Claimed(overdraft, daily_limit));
        }
        Ok(Decided { kind: "claim", request, refused: is_taken.then_some("handle_taken"), fee: false })
    }

    fn pay(
        &mut self,
        (kind, request): (&'static str, &str),
        payer: &str,
        (amount, currency): (i128, &str),
        legs: &[(&str, &'static str, String, i128)],
        day: &str,
    ) -> Checked<Decided> {
        let before = self.held.get(&(payer.to_owned(), currency.to_owned())).copied().unwrap_or_default();
        let after = before - amount;
        let mut decided = Decided { kind, request: request.to_owned(), refused: None, fee: false };
        let mut fee = None;
        let paid = self.paid.entry((payer.to_owned(), day.to_owned(), currency.to_owned())).or_default();
        if let Some(Account::Claimed(overdraft, daily_limit)) = self.accounts.get(payer) {
            let is_over = |(limit, of): &(i128, String)| of == currency && *paid + amount > *limit;
            if daily_limit.as_ref().is_some_and(is_over) {
                decided.refused = Some(if kind == "purchase" { "payment_refused" } else { "daily_limit" });
                return Ok(decided);
            }
            let here = overdraft.as_ref().filter(|overdraft| overdraft.currency == currency);
            let floor = here.map_or(0, |overdraft| -overdraft.limit);
            match here.and_then(|overdraft| overdraft.fee) {
                None if amount > 0 && after < floor => {
                    decided.refused = Some(if kind == "purchase" { "payment_refused" } else { "overdrawn" });
                    return Ok(decided);
                }
                Some(cost) if before >= floor && after < floor => fee = Some(cost),
                _ => {}
            }
        }
        *paid += amount;
        self.owe(request, kind, payer, "debit", (amount, currency));
        for (account, side, currency, amount) in legs {
            self.owe(request, kind, account, side, (*amount, currency));
        }
        self.hold(payer, currency, -amount);
        if let Some(cost) = fee {
            decided.fee = true;
            self.owe(request, "overdraft_fee", payer, "debit", (cost, currency));
            self.owe(request, "overdraft_fee", "fees", "credit", (cost, currency));
            self.hold(payer, currency, -cost);
        }
        Ok(decided)
    }

    fn owe(&mut self, request: &str, purpose: &'static str, account: &str, side: &'static str, sum: (i128, &str)) {
        let (amount, currency) = (sum.0, sum.1.to_owned());
        let posting = (account.to_owned(), request.to_owned(), purpose, side, currency.clone(), amount);
        *self.due.entry(posting).or_default() += 1;
        let balance = self.balances.entry((account.to_owned(), currency)).or_default();
        *balance += if side == "credit" { amount } else { -amount };
    }

    fn hold(&mut self, account: &str, currency: &str, signed: i128) {
        self.accounts.entry(account.to_owned()).or_insert(Account::Used);
        *self.held.entry((account.to_owned(), currency.to_owned())).or_default() += signed;
    }
}

/// An amount in minor units, and its currency.
fn money(value: &Value) -> Checked<(i128, String)> {
    let currency = text(&value["currency"])?;
    let amount = units(&text(&value["amount"])?, minor_units(&currency)).ok_or_else(|| unreadable(value))?;
    Ok((amount, currency))
}

fn overdraft(value: &Value) -> Checked<Overdraft> {
    let currency = text(&value["currency"])?;
    let amount = |value: &Value| units(value.as_str()?, minor_units(&currency));
    let limit = amount(&value["limit"]).ok_or_else(|| unreadable(value))?;
    let fee = if value["policy"] == "fee" { amount(&value["fee"]) } else { None };
    Ok(Overdraft { limit, fee, currency })
}

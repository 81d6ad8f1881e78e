//! What a client can read, and when it is there.

use chrono::{DateTime, Utc};
use contracts::{
    Account, AccountId, BatchAnswer, Entries, Entry, LineRequest, Purchase, PurchaseId, Side, TrialBalance,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Corner, segment, timestamp, until};

impl Client {
    /// `POST /purchases/batch`; what each line was answered.
    pub async fn batch(&self, lines: &[Value], wait_s: u32) -> Vec<BatchAnswer<Purchase>> {
        let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        self.send(self.batch_of(body.into_bytes(), wait_s)).await.is(200).lines()
    }

    /// `POST /purchases/batch` with any body, to be sent.
    pub fn batch_of(&self, body: Vec<u8>, wait_s: u32) -> reqwest::RequestBuilder {
        let request = self.ask(Method::POST, &format!("{}/purchases/batch", self.at.purchase));
        let request = request.header("Content-Type", "application/x-ndjson").body(body);
        if wait_s == 0 { request } else { request.header("Prefer", format!("wait={wait_s}")) }
    }

    /// A purchase once it has its outcome.
    pub async fn outcome(&self, id: &PurchaseId) -> Purchase {
        let look = async || Some(self.shown(id).await).filter(|purchase| purchase.status.is_outcome());
        until(&format!("purchase {id} has an outcome"), look).await
    }

    /// `GET /accounts/{id}`, or none when it has never been used.
    pub async fn account(&self, id: &AccountId) -> Option<Account> {
        let answer = self.get(&format!("{}/accounts/{}", self.at.ledger, segment(id.as_str()))).await;
        if answer.status == 404 { None } else { Some(answer.is(200).json()) }
    }

    /// The account of a customer.
    pub async fn account_of(&self, customer: &str) -> Option<Account> {
        self.account(&AccountId::of_customer(&customer.parse().unwrap())).await
    }

    /// `GET /accounts/{id}/entries` with a query.
    pub async fn entries_page(&self, id: &AccountId, query: &str) -> Entries {
        self.get(&format!("{}/accounts/{}/entries{query}", self.at.ledger, segment(id.as_str()))).await.is(200).json()
    }

    /// All entries of an account.
    pub async fn entries(&self, id: &AccountId) -> Vec<Entry> {
        let (mut entries, mut next) = (Vec::new(), Some(0));
        while let Some(after) = next {
            let page = self.entries_page(id, &format!("?after={after}&limit=1000")).await;
            entries.extend(page.entries);
            next = page.next;
        }
        entries
    }

    /// All entries of a customer.
    pub async fn entries_of(&self, customer: &str) -> Vec<Entry> {
        self.entries(&AccountId::of_customer(&customer.parse().unwrap())).await
    }

    /// The postings of one transfer to an account, as `debit 15.30 GBP`, once there are so many.
    pub async fn postings(&self, account: &AccountId, transfer: &str, count: usize) -> Vec<String> {
        let look = async || {
            let entries = self.entries(account).await.into_iter().filter(|entry| entry.request_id.0 == transfer);
            let postings: Vec<_> = entries.map(|entry| posting(entry.side, &entry)).collect();
            Some(postings).filter(|postings| postings.len() >= count)
        };
        until(&format!("{account} has {count} postings of {transfer}"), look).await
    }

    /// `GET /trial-balance`.
    pub async fn trial_balance(&self) -> TrialBalance {
        self.get(&format!("{}/trial-balance", self.at.ledger)).await.is(200).json()
    }

    /// Returns once the purchase service's copy has this rate. What is free moves no money, and shows its rate.
    pub async fn rate_is_copied(&self, corner: &Corner, pair: &str, rate: &str, from: DateTime<Utc>) {
        let (base, quote) = pair.split_once('/').unwrap();
        let sku = corner.name(format!("free-{base}"));
        self.offer_for(&sku, "0", base).await;
        let mut probes = 0..;
        let look = async || {
            let order = json!({"customer": corner.name("prober"), "pay_in": quote, "occurred_at": timestamp(from),
                "lines": [{"sku": sku, "quantity": 1}]});
            let key = corner.name(format!("probe-{base}-{quote}-{rate}-{}", probes.next().unwrap()));
            let shown = self.buy(&key, &order).await.purchase().rate?;
            (shown.rate == rate && shown.valid_from == from).then_some(())
        };
        until(&format!("{pair} {rate} is copied"), look).await;
    }
}

impl super::Answer {
    /// The lines of an answer to a batch.
    pub fn lines(&self) -> Vec<BatchAnswer<Purchase>> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.body.lines().map(read).collect()
    }
}

fn posting(side: Side, entry: &Entry) -> String {
    format!("{side} {}", entry.amount)
}

/// `sku × quantity at price`, for comparing.
pub fn line(line: &LineRequest) -> String {
    let price = line.unit_price.map_or_else(String::new, |price| format!(" at {price}"));
    format!("{} × {}{price}", line.sku, line.quantity)
}

//! Client methods that read purchases, accounts and books, and that wait for a state to be visible.

use chrono::{DateTime, Utc};
use contracts::{
    Account, AccountId, BatchItemResult, Entries, Entry, Purchase, PurchaseId, PurchaseLine, Side, TrialBalance,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Namespace, path_segment, timestamp, wait_until};

impl Client {
    /// `POST /purchases/batch`; returns the result of each line.
    pub async fn buy_batch(&self, lines: &[Value], wait_s: u32) -> Vec<BatchItemResult<Purchase>> {
        let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        self.send(self.batch_request(body.into_bytes(), wait_s)).await.expect_status(200).lines()
    }

    /// Builds `POST /purchases/batch` with any body. With `wait_s` 0 it has no `Prefer` header.
    pub fn batch_request(&self, body: Vec<u8>, wait_s: u32) -> reqwest::RequestBuilder {
        let request = self.request(Method::POST, &format!("{}/purchases/batch", self.addresses.purchase));
        let request = request.header("Content-Type", "application/x-ndjson").body(body);
        if wait_s == 0 { request } else { request.header("Prefer", format!("wait={wait_s}")) }
    }

    /// Waits until a purchase has an outcome, and returns it.
    pub async fn wait_for_outcome(&self, id: &PurchaseId) -> Purchase {
        let outcome = async || Some(self.get_purchase(id).await).filter(|purchase| purchase.status.is_outcome());
        wait_until(&format!("purchase {id} has an outcome"), outcome).await
    }

    /// `GET /accounts/{id}`; `None` if the account was never used.
    pub async fn account(&self, id: &AccountId) -> Option<Account> {
        let response = self.get(&format!("{}/accounts/{}", self.addresses.ledger, path_segment(id.as_str()))).await;
        if response.status == 404 { None } else { Some(response.expect_status(200).json()) }
    }

    /// The account of a customer.
    pub async fn customer_account(&self, customer: &str) -> Option<Account> {
        self.account(&AccountId::of_customer(&customer.parse().unwrap())).await
    }

    /// `GET /accounts/{id}/entries` with a query.
    pub async fn entries_page(&self, id: &AccountId, query: &str) -> Entries {
        self.get(&format!("{}/accounts/{}/entries{query}", self.addresses.ledger, path_segment(id.as_str())))
            .await
            .expect_status(200)
            .json()
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
    pub async fn customer_entries(&self, customer: &str) -> Vec<Entry> {
        self.entries(&AccountId::of_customer(&customer.parse().unwrap())).await
    }

    /// The postings of one transfer to an account, such as `debit 15.30 GBP`, once there are at least `count`.
    pub async fn postings(&self, account: &AccountId, transfer: &str, count: usize) -> Vec<String> {
        let find = async || {
            let entries = self.entries(account).await.into_iter().filter(|entry| entry.request_id.0 == transfer);
            let postings: Vec<_> = entries.map(|entry| posting(entry.side, &entry)).collect();
            Some(postings).filter(|postings| postings.len() >= count)
        };
        wait_until(&format!("{account} has {count} postings of {transfer}"), find).await
    }

    /// `GET /trial-balance`.
    pub async fn trial_balance(&self) -> TrialBalance {
        self.get(&format!("{}/trial-balance", self.addresses.ledger)).await.expect_status(200).json()
    }

    /// Returns once the local copy of the purchase service has this rate. It buys a free item again and again, which
    /// moves no money and whose purchase contains the rate.
    pub async fn wait_for_rate_copy(&self, namespace: &Namespace, pair: &str, rate: &str, from: DateTime<Utc>) {
        let (base, quote) = pair.split_once('/').unwrap();
        let sku = namespace.name(format!("free-{base}"));
        self.put_priced_offer(&sku, "0", base).await;
        let mut probes = 0..;
        let probe = async || {
            let order = json!({"customer": namespace.name("prober"), "pay_in": quote, "occurred_at": timestamp(from),
                "lines": [{"sku": sku, "quantity": 1}]});
            let key = namespace.name(format!("probe-{base}-{quote}-{rate}-{}", probes.next().unwrap()));
            let used = self.buy(&key, &order).await.purchase().rate?;
            (used.rate == rate && used.valid_from == from).then_some(())
        };
        wait_until(&format!("{pair} {rate} is copied"), probe).await;
    }
}

impl super::Response {
    /// The results of the lines of a batch.
    pub fn lines(&self) -> Vec<BatchItemResult<Purchase>> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.body.lines().map(read).collect()
    }
}

fn posting(side: Side, entry: &Entry) -> String {
    format!("{side} {}", entry.amount)
}

/// Formats a line of a purchase as `sku × quantity at price`, for comparisons.
pub fn describe_line(line: &PurchaseLine) -> String {
    let price = line.unit_price.map_or_else(String::new, |price| format!(" at {price}"));
    format!("{} × {}{price}", line.sku, line.quantity)
}

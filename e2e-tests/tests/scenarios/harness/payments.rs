//! Client methods and helpers for accounts and transfers.

use contracts::{AccountId, PurchaseId, Transfer};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Client, Namespace, Response};

impl Client {
    /// Builds `POST /accounts`, which claims a handle.
    pub fn claim_request(&self, handle: &str, overdraft: &Value) -> RequestBuilder {
        let mut body = json!({"handle": handle});
        if !overdraft.is_null() {
            body["overdraft"] = overdraft.clone();
        }
        self.request(Method::POST, &format!("{}/accounts", self.addresses.ledger)).json(&body)
    }

    /// Opens an account with a unique handle.
    pub async fn open_account(&self, namespace: &Namespace, name: &str, overdraft: &Value) -> AccountId {
        let handle = namespace.name(name);
        self.send(self.claim_request(&handle, overdraft)).await.expect_status(201);
        handle.parse().unwrap()
    }

    /// Opens an account that may go below zero, with a daily limit in euros. Returns the account as it was opened.
    pub async fn open_limited_account(&self, namespace: &Namespace, name: &str, daily_limit: &str) -> Value {
        let mut body = json!({"handle": namespace.name(name), "overdraft": overdraft("1000.00", "fee")});
        body["daily_limit"] = json!({"amount": daily_limit, "currency": "EUR"});
        let request = self.request(Method::POST, &format!("{}/accounts", self.addresses.ledger)).json(&body);
        let opened: Value = self.send(request).await.expect_status(201).json();
        assert_eq!(opened["daily_limit"], body["daily_limit"]);
        opened
    }

    /// Builds `POST /transfers` with an amount in euros.
    pub fn transfer_request(&self, key: &str, from: &str, to: &str, amount: &str) -> RequestBuilder {
        let body = json!({"from": from, "to": to, "amount": {"amount": amount, "currency": "EUR"}});
        self.request(Method::POST, &format!("{}/transfers", self.addresses.ledger))
            .header("Idempotency-Key", key)
            .json(&body)
    }

    /// `POST /transfers` with an amount in euros and `Prefer: wait=30`, which waits for the outcome.
    pub async fn pay(&self, key: &str, from: &str, to: &str, amount: &str) -> Response {
        self.send(self.transfer_request(key, from, to, amount).header("Prefer", "wait=30")).await
    }

    /// The balance of an account in euros.
    pub async fn euro_balance(&self, id: &AccountId) -> String {
        let account = self.account(id).await.unwrap_or_else(|| panic!("there is no account {id}"));
        account.balances.get(&"EUR".parse().unwrap()).map_or_else(|| "0.00".to_owned(), ToString::to_string)
    }

    /// `GET /transfers/{id}`.
    pub async fn get_transfer(&self, id: &impl std::fmt::Display) -> Transfer {
        self.get(&format!("{}/transfers/{id}", self.addresses.ledger)).await.expect_status(200).json()
    }
}

impl Response {
    /// The transfer in the body. The status has to be 201 if the transfer has an outcome, and 202 otherwise.
    pub fn transfer(&self) -> Transfer {
        let transfer: Transfer = self.json();
        let status = if transfer.status.is_outcome() { 201 } else { 202 };
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        assert_eq!(self.header("location"), Some(format!("/transfers/{}", transfer.id).as_str()));
        assert_eq!(PurchaseId::of(&transfer.request_id).to_string(), transfer.id.to_string());
        transfer
    }
}

/// The JSON of an overdraft in euros.
pub fn overdraft(limit: &str, policy: &str) -> Value {
    json!({"limit": limit, "currency": "EUR", "policy": policy})
}

//! Accounts and transfers.

use contracts::{AccountId, PurchaseId, Transfer};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, Client, Corner};

impl Client {
    /// `POST /accounts`, to be sent.
    pub fn claim(&self, handle: &str, overdraft: &Value) -> RequestBuilder {
        let mut body = json!({"handle": handle});
        if !overdraft.is_null() {
            body["overdraft"] = overdraft.clone();
        }
        self.ask(Method::POST, &format!("{}/accounts", self.at.ledger)).json(&body)
    }

    /// Opens an account that nobody has.
    pub async fn open(&self, corner: &Corner, name: &str, overdraft: &Value) -> AccountId {
        let handle = corner.name(name);
        self.send(self.claim(&handle, overdraft)).await.is(201);
        handle.parse().unwrap()
    }

    /// `POST /transfers` of so many euros, to be sent.
    pub fn transfer(&self, key: &str, from: &str, to: &str, amount: &str) -> RequestBuilder {
        let body = json!({"from": from, "to": to, "amount": {"amount": amount, "currency": "EUR"}});
        self.ask(Method::POST, &format!("{}/transfers", self.at.ledger)).header("Idempotency-Key", key).json(&body)
    }

    /// `POST /transfers` of so many euros, and wait for the outcome.
    pub async fn pay(&self, key: &str, from: &str, to: &str, amount: &str) -> Answer {
        self.send(self.transfer(key, from, to, amount).header("Prefer", "wait=30")).await
    }

    /// What an account holds in euros.
    pub async fn euros(&self, id: &AccountId) -> String {
        let account = self.account(id).await.unwrap_or_else(|| panic!("{id} is not there"));
        account.balances.get(&"EUR".parse().unwrap()).map_or_else(|| "0.00".to_owned(), ToString::to_string)
    }

    /// `GET /transfers/{id}`.
    pub async fn shown_transfer(&self, id: &impl std::fmt::Display) -> Transfer {
        self.get(&format!("{}/transfers/{id}", self.at.ledger)).await.is(200).json()
    }
}

impl Answer {
    /// The transfer, which says the same as the status does.
    pub fn transfer(&self) -> Transfer {
        let transfer: Transfer = self.json();
        let status = if transfer.status.is_outcome() { 201 } else { 202 };
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        assert_eq!(self.header("location"), Some(format!("/transfers/{}", transfer.id).as_str()));
        assert_eq!(PurchaseId::of(&transfer.request_id).to_string(), transfer.id.to_string());
        transfer
    }
}

/// The terms of an overdraft in euros.
pub fn overdraft(limit: &str, policy: &str) -> Value {
    json!({"limit": limit, "currency": "EUR", "policy": policy})
}

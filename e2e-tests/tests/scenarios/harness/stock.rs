//! Client methods for limited stock and returns, and what they show.

use contracts::{Offer, Purchase};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Namespace, Response};

impl Client {
    /// Sets an offer at 10.00 EUR with other terms.
    pub async fn put_limited_offer(&self, sku: &str, terms: Value) -> Offer {
        let mut all = json!({"price": {"amount": "10.00", "currency": "EUR"}});
        let terms = terms.as_object().cloned().unwrap_or_default();
        terms.into_iter().for_each(|(name, value)| all[name] = value);
        self.put_offer(sku, &all).await
    }

    /// Buys one piece of each SKU, paid in euros, and waits for the outcome. The request id is the customer's name with
    /// `-` for spaces.
    pub async fn buy_one(&self, namespace: &Namespace, customer: &str, skus: &[&str]) -> Purchase {
        let customer = namespace.name(customer);
        self.buy(&customer.replace(' ', "-"), &namespace.order(&customer, "EUR", skus))
            .await
            .expect_status(201)
            .purchase()
    }

    /// Buys one piece of the SKU for each customer, all in one batch: none of them sees the others' stock.
    pub async fn buy_together(&self, namespace: &Namespace, customers: &[&str], sku: &str) -> Vec<Purchase> {
        let line = |customer: &&str| {
            let customer = namespace.name(customer);
            let mut order = namespace.order(&customer, "EUR", &[sku]);
            order["request_id"] = json!(customer);
            order
        };
        let lines: Vec<_> = customers.iter().map(line).collect();
        let results = self.buy_batch(&lines, 30).await;
        results.into_iter().map(|result| result.purchase.expect("accepted")).collect()
    }

    /// `POST /purchases/{id}/cancellation` with `Prefer: wait=30`.
    pub async fn cancel(&self, purchase: &Purchase, body: &Value) -> Response {
        let url = format!("{}/purchases/{}/cancellation", self.addresses.purchase, purchase.id);
        self.send(self.request(Method::POST, &url).header("Prefer", "wait=30").json(body)).await
    }

    /// `POST /offers/{sku}/recall` with `Prefer: wait=30`.
    pub async fn recall(&self, key: &str, sku: &str, quantity: u64) -> Response {
        let request = self.request(Method::POST, &format!("{}/recall", self.offer_url(sku)));
        let request = request.header("Idempotency-Key", key).header("Prefer", "wait=30");
        self.send(request.json(&json!({"quantity": quantity}))).await
    }

    /// `POST /returns` with `Prefer: wait=30`.
    pub async fn bring_back(&self, key: &str, body: &Value) -> Response {
        let request = self.request(Method::POST, &format!("{}/returns", self.addresses.purchase));
        self.send(request.header("Idempotency-Key", key).header("Prefer", "wait=30").json(body)).await
    }

    /// The stock of an offer: allocated and available.
    pub async fn stock(&self, sku: &str) -> (u64, Option<u64>) {
        let offer: Offer = self.get(&self.offer_url(sku)).await.expect_status(200).json();
        (offer.allocated, offer.available)
    }
}

/// Status, reason, lines, and what came back of a purchase, such as `settled held, back 1.00 EUR`.
pub fn describe(purchase: &Purchase) -> String {
    let mut words = vec![purchase.status.to_string()];
    words.extend(purchase.reason.as_ref().map(|reason| reason.code.to_string()));
    words.extend(purchase.lines.iter().filter_map(|line| line.state).map(|state| state.to_string()));
    let mut parts = vec![words.join(" ")];
    parts.extend(purchase.refunded.map(|money| format!("back {money}")));
    parts.extend(purchase.vouchers.map(|money| format!("voucher {money}")));
    parts.extend(purchase.cancellation.as_ref().map(|cancellation| format!("cancellation {}", cancellation.status)));
    parts.join(", ")
}

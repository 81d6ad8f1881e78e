//! Goods that come back without naming their purchase: refunded at the rate of the return, with stock as it was.

use chrono::TimeDelta;
use contracts::{AccountId, Purpose, ReasonCode, Return, ReturnItemResult, ReturnStatus};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System, assert_balances, money, timestamp};

/// Sends a return that gets its outcome.
async fn returned(client: &Client, key: &str, body: &Value) -> Return {
    client.bring_back(key, body).await.expect_status(201).json()
}

/// Expects that a return is rejected for this reason.
async fn rejected(client: &Client, key: &str, body: &Value, expected: ReasonCode) {
    let refused = returned(client, key, body).await;
    let code = refused.reason.map(|reason| reason.code);
    assert_eq!((refused.status, code, refused.refunded), (ReturnStatus::Rejected, Some(expected), None), "{key}");
}

#[tokio::test]
async fn a_return_credits_the_customer_and_leaves_the_stock_as_it_is() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, room, customer) = (&system.client, namespace.name("room"), namespace.name("alice"));
    client.put_limited_offer(&room, json!({"capacity": 2})).await;
    let key = namespace.name("both");
    let order = namespace.order(&customer, "EUR", &[&room]);
    client.buy(&key, &order).await.expect_status(201);

    // The key may also name a purchase. Nobody has bought the second piece.
    let back = json!({"customer": customer, "pay_in": "EUR", "lines": [{"sku": room, "quantity": 2}]});
    let response = client.bring_back(&key, &back).await.expect_status(201);
    let first: Return = response.json();
    assert_eq!((first.status, &first.reason, &first.rate), (ReturnStatus::Settled, &None, &None));
    assert_eq!((first.total, first.refunded), (Some(money("20.00 EUR")), Some(money("20.00 EUR"))));
    let steps: Vec<_> = first.history.iter().map(|step| step.status).collect();
    assert_eq!(steps, [ReturnStatus::Accepted, ReturnStatus::Settled]);
    assert_eq!(response.header("location"), Some(format!("/returns/{}", first.id).as_str()));
    assert_eq!(response.header("preference-applied"), Some("wait=30"));
    let url = format!("{}/returns/{}", client.addresses.purchase, first.id);
    assert_eq!(client.get(&url).await.expect_status(200).body, response.body);
    assert_eq!(client.stock(&room).await, (1, Some(1)));

    assert_balances(client, &customer, &[("EUR", "10.00")]).await;
    let account = AccountId::of_customer(&customer.parse().unwrap());
    assert_eq!(client.postings(&AccountId::merchant(), &key, 2).await.len(), 2);
    let purposes: Vec<_> = client.entries(&account).await.into_iter().map(|entry| entry.purpose).collect();
    assert_eq!(purposes, [Purpose::Purchase, Purpose::Return]);
    client.get(&format!("{}/returns/nobody", client.addresses.purchase)).await.expect_status(404).problem();
    system.finish().await;
}

#[tokio::test]
async fn a_repeated_return_is_refunded_once() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, key) = (&system.client, namespace.name("lantern"), namespace.name("back"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let customer = namespace.name("alice");
    let back = namespace.order(&customer, "GBP", &[&sku]);
    let all = futures_util::future::join_all((0..20).map(|_| client.bring_back(&key, &back))).await;
    assert!(all.iter().all(|one| one.status == 201 && one.body == all[0].body), "{all:?}");
    client.put_priced_offer(&sku, "99.00", "GBP").await;
    assert_eq!(client.bring_back(&key, &back).await.body, all[0].body);
    client.bring_back(&key, &namespace.order(&customer, "GBP", &[&sku, &sku])).await.expect_status(409).problem();
    assert_balances(client, &customer, &[("GBP", "15.30")]).await;
    assert_eq!(client.customer_entries(&customer).await.len(), 1);
    system.finish().await;
}

#[tokio::test]
async fn a_return_is_converted_at_the_rate_of_its_own_time() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, customer) = (&system.client, namespace.name("lantern"), namespace.name("alice"));
    client.put_priced_offer(&sku, "39.75", "GBP").await;
    let (then, later) = (namespace.moment, namespace.moment + TimeDelta::hours(6));
    for (rate, from) in [("0.848", then), ("0.5", later)] {
        client.set_rate("EUR/GBP", rate, from).await;
        client.wait_for_rate_copy(&namespace, "EUR/GBP", rate, from).await;
    }
    let order = |at| {
        let mut order = namespace.order(&customer, "EUR", &[&sku]);
        order["occurred_at"] = json!(timestamp(at));
        order
    };
    client.buy(&namespace.name("buy"), &order(then)).await.expect_status(201);
    let back = returned(client, &namespace.name("then"), &order(later - TimeDelta::seconds(1))).await;
    assert_eq!((back.total, back.refunded), (Some(money("39.75 GBP")), Some(money("46.88 EUR"))));
    assert_eq!(back.rate.map(|rate| rate.valid_from), Some(then));
    assert_balances(client, &customer, &[("EUR", "0.00")]).await;
    // The same goods, when the pound is worth more.
    let key = namespace.name("later");
    let back = returned(client, &key, &order(later)).await;
    assert_eq!((back.refunded, back.rate.map(|rate| rate.valid_from)), (Some(money("79.50 EUR")), Some(later)));
    let mut fx_postings = client.postings(&AccountId::fx(), &key, 2).await;
    fx_postings.sort();
    assert_eq!(fx_postings, ["credit 39.75 GBP", "debit 79.50 EUR"]);
    assert_eq!(client.postings(&AccountId::merchant(), &key, 1).await, ["debit 39.75 GBP"]);
    assert_balances(client, &customer, &[("EUR", "79.50")]).await;
    system.finish().await;
}

#[tokio::test]
async fn a_return_is_rejected_for_the_reasons_of_a_purchase_and_moves_nothing() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, customer) = (&system.client, namespace.name("lantern"), namespace.name("alice"));
    client.put_priced_offer(&sku, "1.00", "GBP").await;
    // The built-in rates end long before.
    let key = |name: &str| namespace.name(name);
    let order = |pay_in: &str, sku: &str| namespace.order(&customer, pay_in, &[sku]);
    rejected(client, &key("stale"), &order("EUR", &sku), ReasonCode::StaleRate).await;
    rejected(client, &key("none"), &order("BTN", &sku), ReasonCode::NoRate).await;
    rejected(client, &key("unknown"), &order("GBP", &namespace.name("nothing")), ReasonCode::UnknownOffer).await;
    let mut own_price = order("GBP", &sku);
    own_price["lines"][0]["unit_price"] = json!({"amount": "100.00", "currency": "GBP"});
    rejected(client, &key("own"), &own_price, ReasonCode::PriceNotOpen).await;
    client.put_offer(&sku, &json!({"price": {"amount": "1.00", "currency": "GBP"}, "open_price": true})).await;
    rejected(client, &key("own"), &own_price, ReasonCode::PriceNotOpen).await;
    assert_eq!(client.customer_account(&customer).await, None);
    let back = returned(client, &key("own, open").replace(", ", "-"), &own_price).await;
    assert_eq!(back.refunded, Some(money("100.00 GBP")));
    for (body, status, place) in [
        (json!({"customer": customer, "pay_in": "GBP", "lines": []}), 422, "/lines"),
        (json!({"customer": customer, "pay_in": "XXX", "lines": own_price["lines"]}), 422, "/pay_in"),
        (
            json!({"customer": customer, "pay_in": "GBP", "lines": own_price["lines"], "purchase": "p"}),
            400,
            "/purchase",
        ),
        (
            json!({"customer": customer, "pay_in": "GBP", "lines": [{"sku": sku, "quantity": -1}]}),
            422,
            "/lines/0/quantity",
        ),
    ] {
        let problem = client.bring_back(&key("bad"), &body).await.expect_status(status).problem();
        assert_eq!(problem.pointer.as_deref(), Some(place), "{body}");
    }
    client.get(&format!("{}/returns/{}", client.addresses.purchase, key("bad"))).await.expect_status(404);
    system.finish().await;
}

#[tokio::test]
async fn a_batch_of_returns_has_a_result_for_each_line() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    let line = |name: &str, sku: &str| {
        let mut line = namespace.order(&namespace.name(name), "GBP", &[sku]);
        line["request_id"] = json!(namespace.name(name));
        line
    };
    let mut other = line("alice", &sku);
    other["pay_in"] = json!("EUR");
    let lines = [line("alice", &sku), json!({"request_id": "x"}), line("bob", "nothing"), other, line("alice", &sku)];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let url = format!("{}/returns/batch", client.addresses.purchase);
    let send = async || {
        let request = client.request(Method::POST, &url).header("Content-Type", "application/x-ndjson");
        client.send(request.header("Prefer", "wait=30").body(body.clone())).await.expect_status(200)
    };
    let response = send().await;
    let results: Vec<ReturnItemResult<Return>> =
        response.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = |result: &ReturnItemResult<Return>| {
        let status = result.returned.as_ref().map(|back| back.status.to_string()).unwrap_or_default();
        format!("{} {status}", result.http_status)
    };
    let shown: Vec<_> = results.iter().map(shown).collect();
    assert_eq!(shown, ["201 settled", "400 ", "201 rejected", "409 ", "201 settled"]);
    assert_eq!(send().await.body, response.body);
    assert_balances(client, &namespace.name("alice"), &[("GBP", "15.30")]).await;
    system.finish().await;
}
